"""Batches that do not fit in memory: taken in parts, found by trial.

Memory is not asked for in advance: what a network takes is known when it has taken it. So
a batch is tried whole, and where memory runs out in halves, and so on; what did fit once is
where the next batch begins.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Callable
from typing import TypeVar

import torch

from rsretrieve.errors import ran_out_of_memory

T = TypeVar("T")


class Parts:
    """How many tiles are taken at once.

    Args:
        fewest: a part is never smaller; where it does not fit, nothing does.
        noticed: told the new number where it falls.
        most: where it begins; None with all at once.
    """

    def __init__(
        self,
        fewest: int,
        noticed: Callable[[int], None] = lambda _: None,
        most: int | None = None,
    ) -> None:
        self.fewest = fewest
        self.most = most
        self._noticed = noticed

    def over(self, count: int, work: Callable[[slice], T]) -> list[T]:
        """Work on `count` tiles, in as few parts as fit.

        Args:
            count: at least one.
            work: done for each part in turn; for all again from the first, in smaller parts,
                where memory runs out.

        Returns:
            What it gave for each part.

        Raises:
            torch.OutOfMemoryError, MemoryError, RuntimeError: the smallest part does not fit.
        """
        while True:
            sizes = self._sizes(count, self.most)
            smaller = max(self.fewest, max(sizes) // 2)
            try:
                return [work(part) for part in _slices(sizes)]
            except Exception as error:
                if not ran_out_of_memory(error) or self._sizes(count, smaller) == sizes:
                    raise
            # Only here is what the failed trial took let go: the error held on to it.
            gc.collect()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            self.most = smaller
            self._noticed(smaller)

    def _sizes(self, count: int, most: int | None) -> list[int]:
        """Of nearly one size, none smaller than the fewest unless there are no more."""
        pieces = 1 if most is None else math.ceil(count / most)
        pieces = max(1, min(pieces, count // self.fewest))
        return [count // pieces + (i < count % pieces) for i in range(pieces)]


def _slices(sizes: list[int]) -> list[slice]:
    ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]
    return [slice(end - size, end) for size, end in zip(sizes, ends)]
