"""What a run costs: seconds, processor seconds and, where the machine tells, energy."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from rsretrieve._core.machine.threads import processor_usage

_POWER_FOLDER = Path("/sys/class/powercap")


@dataclass(frozen=True)
class Counter:
    """An energy counter of the machine.

    Attributes:
        name: what it counts, such as `package-0` or `gpu-0`.
        read_joules: the counter's value.
        wraps_at_joules: the value at which it starts again at 0; 0 if it does not.
    """

    name: str
    read_joules: Callable[[], float]
    wraps_at_joules: float = 0.0


class CostMeter:
    """Measures what this process and its children cost from now on.

    Energy is that of the whole machine's processors and GPUs in that time: other programs count.
    A counter that wraps more than once between two readings is not noticed.

    Args:
        power_folder: where Linux reports the counters of processors (RAPL).
    """

    def __init__(self, power_folder: Path = _POWER_FOLDER) -> None:
        self._started = time.monotonic()
        self._processor = processor_seconds()
        self._counters = [*_processor_counters(power_folder), *_gpu_counters()]
        self._joules = [_joules_of(counter) for counter in self._counters]

    def to_json(self) -> dict[str, Any]:
        """The cost so far, as the values of a manifest."""
        seconds = time.monotonic() - self._started
        joules, sources = 0.0, []
        for counter, before in zip(self._counters, self._joules):
            now = _joules_of(counter)
            if before is not None and now is not None:
                joules += now - before + (counter.wraps_at_joules if now < before else 0.0)
                sources.append(counter.name)
        return {
            "seconds": round(seconds, 3),
            "processor_seconds": round(processor_seconds() - self._processor, 3),
            "energy_joules": round(joules, 3) if sources else None,
            "energy_counters": sources,
        }


def describe_cost(cost: Mapping[str, Any]) -> str:
    """A cost in a few words; empty for a manifest that records none."""
    seconds, processor = cost.get("seconds"), cost.get("processor_seconds")
    if not isinstance(seconds, int | float) or not isinstance(processor, int | float):
        return ""
    joules = cost.get("energy_joules")
    energy = f", {joules:.4g} J" if isinstance(joules, int | float) else ", energy unknown"
    return f"{seconds:.4g} s, {processor:.4g} s of processor time{energy}"


def processor_seconds() -> float:
    """Processor seconds of this process, of children that ended, and of those that still run."""
    usage = processor_usage()
    return sum(os.times()[:4]) if usage is None else usage.own_s


def _joules_of(counter: Counter) -> float | None:
    with suppress(Exception):  # a counter that cannot be read is no reason to fail
        return counter.read_joules()
    return None


def _processor_counters(folder: Path) -> list[Counter]:
    """The counters of whole processors; those of their parts (`intel-rapl:0:0`) are in them."""
    counters = []
    with suppress(OSError, ValueError):
        for zone in sorted(folder.glob("intel-rapl:*")):
            if zone.name.count(":") != 1:
                continue
            name = (zone / "name").read_text(encoding="ascii").strip()[:40]
            most = int((zone / "max_energy_range_uj").read_text()) / 1e6
            counters.append(Counter(name, _reader_of(zone / "energy_uj"), most))
    return counters


def _reader_of(path: Path) -> Callable[[], float]:
    return lambda: int(path.read_text()) / 1e6


def _gpu_counters() -> list[Counter]:
    """The counters of NVIDIA's GPUs, if the package pynvml is installed."""
    counters: list[Counter] = []
    with suppress(Exception):  # not installed, no driver, no permission
        pynvml = import_module("pynvml")
        pynvml.nvmlInit()
        for number in range(pynvml.nvmlDeviceGetCount()):
            handle = pynvml.nvmlDeviceGetHandleByIndex(number)
            counters.append(Counter(f"gpu-{number}", _gpu_reader(pynvml, handle)))
    return counters


def _gpu_reader(nvml: Any, handle: Any) -> Callable[[], float]:
    return lambda: nvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1000
