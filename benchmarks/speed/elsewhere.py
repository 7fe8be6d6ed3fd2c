"""Work in a process of its own: nothing that rsretrieve tells the C library or PyTorch is heard."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

import torch

from speed.clocks import Moment, Rates

Work = Callable[[], int]
"""Does a round, and tells how many tiles it dealt with."""


class Elsewhere:
    """Rounds of work that another process does, between which it idles.

    Args:
        device: the clocks wait for it.
        make: makes the work, over there; by a name that can be imported.
        arguments: of `make`.
    """

    def __init__(self, device: torch.device, make: Callable[..., Work], *arguments: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self._ours, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, device, make, arguments))
        self._process.start()
        self.round()  # a warm-up

    def round(self) -> tuple[int, Moment, Moment]:
        """Do one; returns tiles, start and end."""
        self._ours.send(True)
        done: tuple[int, Moment, Moment] = self._ours.recv()
        return done

    def measure(self, rates: Rates, name: str) -> None:
        """Time a round."""
        rates.note(name, *self.round())

    def __enter__(self) -> Elsewhere:
        """Already at work."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the process."""
        self._ours.send(False)
        self._process.join()


def _serve(
    ours: Connection, device: torch.device, make: Callable[..., Work], arguments: tuple[Any, ...]
) -> None:
    work = make(*arguments)
    while ours.recv():
        start = Moment.now(device)
        tiles = work()
        ours.send((tiles, start, Moment.now(device)))
