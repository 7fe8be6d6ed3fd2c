"""What a part of a command takes, such as its start: Python, PyTorch, the model."""

from __future__ import annotations

import os
import resource
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rsretrieve._core.machine.run_cost import CostMeter, processor_seconds


@dataclass(frozen=True)
class Cost:
    """Seconds by the clock and of processors.

    Attributes:
        seconds: by the clock.
        processor_s: of this process and those that it started.
    """

    seconds: float = 0.0
    processor_s: float = 0.0

    @classmethod
    def of_process(cls) -> Cost:
        """Since this process began: the start of a command that has done nothing else."""
        used = processor_seconds()
        return cls(_process_age_s() or used, used)

    @classmethod
    def since(cls, meter: CostMeter) -> Cost:
        """Since a meter was made."""
        cost = meter.to_json()
        return cls(float(cost["seconds"]), float(cost["processor_seconds"]))

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.seconds + other.seconds, self.processor_s + other.processor_s)

    def times(self, factor: float) -> Cost:
        """A multiple of it."""
        return Cost(factor * self.seconds, factor * self.processor_s)

    def without(self, other: Cost) -> Cost:
        """Less another one; not below 0."""
        seconds, processor_s = self.seconds - other.seconds, self.processor_s - other.processor_s
        return Cost(max(0.0, seconds), max(0.0, processor_s))


NO_COST = Cost()


def peak_bytes() -> int:
    """Peak memory of this process."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _process_age_s(proc: Path = Path("/proc")) -> float:
    """Seconds since this process began; 0 if the system does not tell."""
    with suppress(OSError, ValueError, IndexError):
        fields = (proc / "self" / "stat").read_text(errors="replace").rpartition(")")[2].split()
        began = int(fields[19]) / os.sysconf("SC_CLK_TCK")
        return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - began)
    return 0.0
