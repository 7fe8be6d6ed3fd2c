"""OpenMP's threads do not keep the cores while they wait, unless the user wants it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from rsretrieve.threads import let_waiting_threads_sleep


@pytest.mark.parametrize(
    ("set_before", "spins"),
    [
        ({}, "1000"),
        ({"GOMP_SPINCOUNT": "7"}, "7"),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, None),
        ({"GOMP_SPINCOUNT": "7", "OMP_WAIT_POLICY": "PASSIVE"}, "7"),
    ],
)
def test_what_the_user_set_stays(monkeypatch, set_before, spins):
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.setenv(name, "")  # so that it is as before afterwards
        monkeypatch.delenv(name)
    for name, value in set_before.items():
        monkeypatch.setenv(name, value)
    let_waiting_threads_sleep()
    assert os.environ.get("GOMP_SPINCOUNT") == spins
    assert os.environ.get("OMP_WAIT_POLICY") == set_before.get("OMP_WAIT_POLICY")


def test_openblas_is_told_too_unless_the_user_told_it(monkeypatch):
    for set_before, expected in ((None, "16"), ("4", "4")):
        monkeypatch.setenv("OPENBLAS_THREAD_TIMEOUT", set_before or "")
        if set_before is None:
            monkeypatch.delenv("OPENBLAS_THREAD_TIMEOUT")
        let_waiting_threads_sleep()
        assert os.environ["OPENBLAS_THREAD_TIMEOUT"] == expected


NAMES = ("GOMP_SPINCOUNT", "OPENBLAS_THREAD_TIMEOUT")
PROGRAM = f"""
import os, sys
import rsretrieve.threads
was = rsretrieve.threads.let_waiting_threads_sleep
rsretrieve.threads.let_waiting_threads_sleep = lambda: print("numpy" in sys.modules) or was()
import rsretrieve.cli.app
print(*(os.environ[name] for name in {NAMES}))
"""


def test_the_program_sets_it_before_numpy_is_loaded():
    surroundings = {k: v for k, v in os.environ.items() if k not in (*NAMES, "OMP_WAIT_POLICY")}
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=surroundings, capture_output=True, text=True
    )
    assert ran.stdout.split() == ["False", "1000", "16"], ran.stderr
