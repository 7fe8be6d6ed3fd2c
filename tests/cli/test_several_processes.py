"""Which of several processes prints; `tests/trials/test_torchrun.py` starts them."""

from __future__ import annotations

import pytest

from rsretrieve._core.machine import launch
from rsretrieve.cli import several_processes
from rsretrieve.cli.several_processes import report_once
from tests.conftest import Run


def test_a_single_process_reports_its_error() -> None:
    said: list[int] = []
    assert report_once(3, lambda: said.append(1)) == 3
    assert said == [1]


def test_the_code_is_that_of_the_process_that_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "report_failure", lambda code, say: code + 1)
    monkeypatch.setattr(several_processes, "_reported", [])
    assert report_once(3, lambda: pytest.fail("reported by another process")) == 4


def test_a_wrong_number_of_a_process_is_refused(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    place = {"RANK": "7", "WORLD_SIZE": "2", "LOCAL_RANK": "0"}
    for name, value in (place | {"MASTER_ADDR": "node1", "MASTER_PORT": "1"}).items():
        monkeypatch.setenv(name, value)
    ran = run("info", "nothing")
    assert ran.code == 2
    assert "RANK=7" in ran.err
