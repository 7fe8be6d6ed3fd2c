"""What a process has taken since it began."""

from __future__ import annotations

import json
import subprocess
import sys
import time

from rsretrieve._core.machine.run_cost import CostMeter
from rsretrieve.costs.cost import Cost, peak_bytes
from tests.support.repository import ROOT

CODE = """
import json, sys, time
began = float(sys.argv[1])
time.sleep(1.5)
from rsretrieve.costs.cost import Cost
found, real = Cost.of_process(), time.time() - began
print(json.dumps([found.seconds, found.processor_s, real]))
"""


def test_the_age_of_a_process_is_that_by_the_clock_and_sleep_is_no_processor_time() -> None:
    words = [sys.executable, "-c", CODE, str(time.time())]
    ran = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    seconds, used, real = json.loads(ran.stdout)
    assert 1.5 <= seconds <= real + 0.1
    assert real - seconds < 10
    assert 0 < used <= real - 1.4


def test_a_start_is_what_a_meter_has_counted_and_is_never_negative() -> None:
    meter = CostMeter()
    assert Cost.since(meter).seconds < 1
    added = Cost(3.0, 2.0) + Cost(1.0, 1.0)
    assert added == Cost(4.0, 3.0)
    assert added.without(Cost(1.0, 5.0)) == Cost(3.0, 0.0)
    assert added.times(0.5) == Cost(2.0, 1.5)


def test_the_peak_is_at_least_what_an_array_takes() -> None:
    before = peak_bytes()
    block = bytearray(before + 50_000_000)
    block[::4096] = b"x" * len(block[::4096])
    assert peak_bytes() > before + 40_000_000
