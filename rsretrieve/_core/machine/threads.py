"""The number of threads that compute, and how they wait for each other.

OpenMP's threads wait for the slowest one after every layer. If another program occupies a core,
one thread has none to run on and all others wait: a training that takes 25 s alone had not ended
after 150 s beside two threads of matrix products, however soon waiting threads slept
(`GOMP_SPINCOUNT` of 1000, which costs a quarter of the rate alone). A single thread took 53 s.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_BLAS = "OPENBLAS_THREAD_TIMEOUT"
_TICKS = "16"  # 2^16 ticks of the processor, 20 µs; OpenBLAS's own choice is a thousand times that
_SET_BY_USERS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
_LEAST_WATCHED_S = 0.2


def let_waiting_threads_sleep() -> None:
    """Let NumPy's idle threads sleep soon; to be called before NumPy is imported.

    By default they occupy the cores from the import on, although a short command never has work
    for them. A setting of the user is kept.
    """
    os.environ.setdefault(_BLAS, _TICKS)


@dataclass(frozen=True)
class ProcessorUsage:
    """Processor time used up to a moment.

    Attributes:
        at_s: the moment, by a monotonic clock.
        all_s: by all programs on the cores that this process may use, without those of lower
            priority.
        own_s: by this process and the processes that it started.
    """

    at_s: float
    all_s: float
    own_s: float


def processor_usage(proc: Path = Path("/proc")) -> ProcessorUsage | None:
    """The processor time used until now; None if the system does not report it."""
    try:
        cores = {f"cpu{number}" for number in os.sched_getaffinity(0)}
        lines = [line.split() for line in (proc / "stat").read_text().splitlines()]
        tick_s = 1 / os.sysconf("SC_CLK_TCK")
        # user, (nice,) system, (idle, iowait,) irq, softirq
        ticks = sum(int(line[i]) for line in lines if line[0] in cores for i in (1, 3, 6, 7))
        return ProcessorUsage(time.monotonic(), ticks * tick_s, _own_s(proc, tick_s))
    except (OSError, AttributeError, ValueError, IndexError):  # not Linux
        return None


class ProcessorWatch:
    """Measures how many cores other programs leave free.

    Args:
        usage: reads the processor time.
    """

    def __init__(self, usage: Callable[[], ProcessorUsage | None] = processor_usage) -> None:
        self._usage = usage
        self._before: ProcessorUsage | None = None

    def start(self) -> None:
        """Start to measure."""
        self._before = self._usage()

    def free_cores(self) -> int | None:
        """The number of cores that other programs left free since the start or the last call.

        Returns:
            At least 1; None if it is unknown, or the user set the number of threads.
        """
        before, now = self._before, self._usage()
        if before is None or now is None or now.at_s - before.at_s < _LEAST_WATCHED_S:
            return None
        self._before = now
        if any(name in os.environ for name in _SET_BY_USERS):
            return None
        others = (now.all_s - before.all_s) - (now.own_s - before.own_s)
        busy = max(0.0, others / (now.at_s - before.at_s))
        return max(1, round(len(os.sched_getaffinity(0)) - busy))


PROCESSORS = ProcessorWatch()


def _own_s(proc: Path, tick_s: float) -> float:
    """Processor time of this process, its ended children and its running children."""
    ended = os.times()
    own_s = sum(ended[:4])
    for task in (proc / "self" / "task").iterdir():
        for number in (task / "children").read_text().split():
            own_s += tick_s * _ticks_of(proc / number)
    return own_s


def _ticks_of(process: Path) -> int:
    try:
        said = (process / "stat").read_text()
    except OSError:
        return 0  # it has just ended
    fields = said.rpartition(")")[2].split()  # what is before is a name, of any characters
    return sum(map(int, fields[11:13]))
