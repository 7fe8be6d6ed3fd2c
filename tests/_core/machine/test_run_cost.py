"""Seconds, processor seconds and energy of a run; and machines that do not tell."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from rsretrieve._core.machine.run_cost import CostMeter, describe_cost

NAMES = {"seconds", "processor_seconds", "energy_joules", "energy_counters"}


def counter(folder: Path, zone: str, name: str, microjoules: int) -> Path:
    place = folder / zone
    place.mkdir(parents=True)
    (place / "name").write_text(f"{name}\n")
    (place / "max_energy_range_uj").write_text("10000000\n")
    (place / "energy_uj").write_text(f"{microjoules}\n")
    return place / "energy_uj"


def test_a_machine_that_does_not_tell_its_energy_has_none(tmp_path: Path) -> None:
    cost = CostMeter(tmp_path / "missing").to_json()
    assert set(cost) == NAMES
    assert [name for name in cost["energy_counters"] if not name.startswith("gpu-")] == []


def test_energy_is_the_difference_of_the_processors_counters(tmp_path: Path) -> None:
    first = counter(tmp_path, "intel-rapl:0", "package-0", 1_000_000)
    second = counter(tmp_path, "intel-rapl:1", "package-1", 9_000_000)
    counter(tmp_path, "intel-rapl:0:0", "core", 0).write_text("5000000")  # a part of package-0
    meter = CostMeter(tmp_path)
    first.write_text("3500000")
    second.write_text("500000")  # it wrapped at 10 J
    cost = meter.to_json()
    assert {"package-0", "package-1"} <= set(cost["energy_counters"])
    assert "core" not in cost["energy_counters"]
    assert cost["energy_joules"] >= 2.5 + 1.5


@pytest.mark.parametrize("content", ["", "many", "\x00"])
def test_counters_that_cannot_be_read_are_left_out(tmp_path: Path, content: str) -> None:
    path = counter(tmp_path, "intel-rapl:0", "package-0", 1)
    meter = CostMeter(tmp_path)
    path.write_text(content)
    assert "package-0" not in meter.to_json()["energy_counters"]


@pytest.mark.medium
def test_processor_seconds_of_this_process_and_its_children_count() -> None:
    meter = CostMeter()
    until = time.process_time() + 0.2
    while time.process_time() < until:
        pass
    loop = "import time\nwhile time.process_time() < 0.3: pass"
    subprocess.run([sys.executable, "-c", loop], check=True)
    assert meter.to_json()["processor_seconds"] >= 0.45


@pytest.mark.parametrize(
    ("cost", "text"),
    [
        ({}, ""),
        ({"seconds": "many"}, ""),
        ({"seconds": 2.5, "processor_seconds": 4.0, "energy_joules": None}, "energy unknown"),
        ({"seconds": 2.5, "processor_seconds": 4.0, "energy_joules": 70.0}, "70 J"),
    ],
)
def test_a_cost_is_described_as_far_as_it_is_known(cost: dict[str, object], text: str) -> None:
    described = describe_cost(cost)
    assert text in described
    assert bool(described) == bool(text)
