"""Time by the wall and by the processor, where other programs may run beside ours.

What a processor that is shared is asked for says more than how long it took: the second is
somebody else's doing, too. The processes that work for us count.
"""

from __future__ import annotations

import os
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch


@dataclass(frozen=True)
class Moment:
    """A reading of both clocks, in seconds."""

    wall: float
    processor: float

    @classmethod
    def now(cls, device: torch.device) -> Moment:
        """Read them, when the device has done what it was given."""
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return cls(time.perf_counter(), time.process_time() + _of_children())


def _of_children() -> float:
    """Processor seconds of the processes that we started and that still run (Linux)."""
    spent_ns = 0
    for listing in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):
            for process in listing.read_text().split():
                spent_ns += sum(map(_spent_ns, Path(f"/proc/{process}/task").glob("*/schedstat")))
    return spent_ns / 1e9


def _spent_ns(statistics_file: Path) -> int:
    with suppress(OSError):
        return int(statistics_file.read_text().split()[0])
    return 0


class Rates:
    """Tiles per second of several contenders, in rounds that take turns.

    Args:
        device: the clocks wait for it.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._rounds: dict[str, list[tuple[float, float]]] = defaultdict(list)

    def note(self, name: str, tiles: int, start: Moment, end: Moment) -> None:
        """Take down a round."""
        wall = tiles / (end.wall - start.wall)
        processor = tiles / max(end.processor - start.processor, 1e-9)
        self._rounds[name].append((wall, processor))

    def measure(self, name: str, work: Callable[[], int]) -> None:
        """Time a round of work, which tells how many tiles it dealt with."""
        start = Moment.now(self.device)
        tiles = work()
        self.note(name, tiles, start, Moment.now(self.device))

    def __contains__(self, name: str) -> bool:
        return name in self._rounds

    def by_wall(self, name: str) -> float:
        """The median of a contender's rounds, tiles per second."""
        return statistics.median(wall for wall, _ in self._rounds[name])

    def by_processor(self, name: str) -> float:
        """The same, tiles per processor second."""
        return statistics.median(processor for _, processor in self._rounds[name])

    def ratio(self, name: str, other: str) -> float:
        """How many times as fast as the other, round by round, the median.

        By processor time where a processor computes: it is what matters when all of them are
        busy. By the wall where a GPU does.
        """
        which = 0 if self.device.type == "cuda" else 1
        pairs = zip(self._rounds[name], self._rounds[other])
        return statistics.median(ours[which] / theirs[which] for ours, theirs in pairs)


def threads() -> str:
    """How many threads compute, and on how many cores."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{torch.get_num_threads()} threads on {cores} cores"
