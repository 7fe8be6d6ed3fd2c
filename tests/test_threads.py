"""OpenMP's threads do not keep the cores while they wait, unless the user wants it."""

from __future__ import annotations

import os

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


def test_the_program_sets_it_before_pytorch_is_loaded(monkeypatch, landscape, run, tmp_path):
    monkeypatch.setenv("OMP_WAIT_POLICY", "")
    monkeypatch.delenv("OMP_WAIT_POLICY")
    monkeypatch.setenv("GOMP_SPINCOUNT", "")
    monkeypatch.delenv("GOMP_SPINCOUNT")
    assert run("split", landscape, "--output", tmp_path / "lists").code == 0
    assert os.environ["GOMP_SPINCOUNT"] == "1000"
