"""Threads that wait keep no core, and no more of them compute than cores are free."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from types import SimpleNamespace

import pytest

from rsretrieve._core.machine.threads import (
    ProcessorUsage,
    ProcessorWatch,
    let_waiting_threads_sleep,
    processor_usage,
)

BLAS = "OPENBLAS_THREAD_TIMEOUT"


@pytest.mark.parametrize(("set_before", "expected"), [(None, "16"), ("4", "4")])
def test_openblas_is_told_unless_the_user_told_it(monkeypatch, set_before, expected):
    monkeypatch.setenv(BLAS, set_before or "")
    if set_before is None:
        monkeypatch.delenv(BLAS)
    let_waiting_threads_sleep()
    assert os.environ[BLAS] == expected


PROGRAM = f"""
import os, sys
from rsretrieve._core.machine import threads
was = threads.let_waiting_threads_sleep
threads.let_waiting_threads_sleep = lambda: print("numpy" in sys.modules) or was()
import rsretrieve.cli.main
print(os.environ["{BLAS}"])
"""


def test_the_program_sets_it_before_numpy_is_loaded():
    surroundings = {k: v for k, v in os.environ.items() if k != BLAS}
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=surroundings, capture_output=True, text=True
    )
    assert ran.stdout.split() == ["False", "16"], ran.stderr


@pytest.fixture
def watched(monkeypatch):
    """Lets a second pass on four cores, in which so much was computed by all and by us."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)

    def passes(all_s, own_s, seconds=1.0):
        after = ProcessorUsage(10 + seconds, 100 + all_s, 50 + own_s)
        usages = iter([ProcessorUsage(10, 100, 50), after])
        watch = ProcessorWatch(lambda: next(usages))
        watch.start()
        return watch.free_cores()

    return passes


@pytest.mark.parametrize(
    ("all_s", "own_s", "free"),
    [(0, 0, 4), (3.9, 3.9, 4), (3, 1, 2), (4, 0, 1), (1.3, 1.0, 4), (9, 0, 1), (0.9, 1.0, 4)],
)
def test_cores_that_others_keep_are_not_free(watched, all_s, own_s, free):
    assert watched(all_s, own_s) == free


@pytest.mark.parametrize("name", ["OMP_NUM_THREADS", "MKL_NUM_THREADS"])
def test_what_the_user_set_stays(watched, monkeypatch, name):
    monkeypatch.setenv(name, "3")
    assert watched(4, 0) is None


def test_a_moment_tells_nothing(watched):
    assert watched(0.4, 0, seconds=0.1) is None


def test_where_the_system_does_not_tell_nothing_changes(tmp_path):
    assert processor_usage(tmp_path) is None
    watch = ProcessorWatch(lambda: processor_usage(tmp_path))
    watch.start()
    assert watch.free_cores() is None


BUSY = "while True: pass"


@pytest.mark.medium
@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="only Linux tells")
def test_what_our_own_processes_compute_is_ours():
    """A process that we started counts as we do, while it runs and after it ended."""
    usage = processor_usage()
    assert usage is not None
    with subprocess.Popen([sys.executable, "-c", BUSY]) as busy:
        running = usage
        while running.own_s - usage.own_s <= 0.1:  # however long others keep the cores
            with suppress(subprocess.TimeoutExpired):
                busy.wait(0.2)
            running = processor_usage()
            assert busy.poll() is None
        busy.kill()
    ended = processor_usage()
    assert ended.own_s >= running.own_s - 0.02  # clock ticks
    assert running.all_s - usage.all_s > 0.1


@pytest.mark.parametrize(("free", "expected"), [(1, [1]), (2, [2]), (9, []), (None, [])])
def test_pytorch_takes_the_free_cores_and_never_more_than_before(monkeypatch, free, expected):
    from rsretrieve.network import device

    taken = []
    fake = SimpleNamespace(
        get_num_threads=lambda: 4, set_num_threads=taken.append, device=device.torch.device
    )
    monkeypatch.setattr(device, "torch", fake)
    monkeypatch.setattr(device.PROCESSORS, "free_cores", lambda: free)
    assert str(device.choose_device("cpu")) == "cpu"
    assert taken == expected
