"""What several processes exchange, compared with what one process has."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import pytest
import torch

from rsretrieve.errors import InputError, LabelsError, ProcessLost
from rsretrieve.training.parallel.processes import ALONE, Processes
from tests.support.processes.gloo_processes import in_processes

pytestmark = pytest.mark.medium
ROWS = torch.arange(22.0).reshape(11, 2)


def exchange(processes: Processes) -> dict[str, Any]:
    rank = processes.rank
    calls: list[int] = []

    def squares(item: int) -> torch.Tensor:
        calls.append(item)
        return torch.full((1 + item % 2, 3), float(item**2), dtype=torch.float64)

    copied = torch.full((2, 3), float(rank)).t()
    processes.copy_of_first([copied])
    return {
        "gathered": processes.gathered(ROWS[processes.part(11)], 11),
        "stacked": processes.stacked(torch.tensor([rank, 7])),
        "sum": processes.sum_(torch.tensor([rank + 1.0])),
        "mapped": torch.cat([*processes.map(squares, range(131))]),
        "one": torch.cat([*processes.map(squares, range(1))]),
        "calls": len(calls),
        "copied": copied,
        "of first": processes.of_first(lambda: f"by {rank}"),
        "readers first": processes.readers_first(lambda: rank),
        "of reader": processes.of_reader(rank),
    }


@pytest.mark.parametrize("count", [2, 4])
def test_all_processes_get_what_one_process_would_have(count: int) -> None:
    alone = exchange(ALONE)
    for rank, found in enumerate(in_processes(count, exchange)):
        assert torch.equal(found["gathered"], ROWS)
        assert found["stacked"].tolist() == [[other, 7] for other in range(count)]
        assert found["sum"].item() == count * (count + 1) / 2
        assert torch.equal(found["mapped"], alone["mapped"])
        assert torch.equal(found["one"], alone["one"])
        assert found["calls"] <= 131 // count + 2
        assert not found["copied"].any()
        assert (found["of first"], found["of reader"]) == ("by 0", 0)
        assert found["readers first"] == rank


def fail_in_one(processes: Processes) -> None:
    with processes.together():
        if processes.rank == 1:
            raise LabelsError("two classes are needed", hint="give --labels")


def differ(processes: Processes) -> None:
    processes.require_same({"seed": 3, "size": 32})
    processes.require_same({"seed": 3, "size": 32} if processes.rank == 0 else None)
    processes.require_same({"seed": processes.rank, "size": 32})


def die(processes: Processes) -> None:
    with processes.watched():
        if processes.rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.1)
        processes.sum_(torch.ones(1))


def test_an_error_of_one_process_is_that_of_all() -> None:
    for error in in_processes(2, fail_in_one):
        assert isinstance(error, LabelsError)
        assert (error.message, error.hint) == ("two classes are needed", "give --labels")


def test_processes_that_were_started_differently_are_refused() -> None:
    for error in in_processes(2, differ):
        assert isinstance(error, InputError)
        assert "seed" in error.message
        assert "size" not in error.message


def test_the_loss_of_a_process_is_named() -> None:
    error, lost = in_processes(2, die)
    assert isinstance(error, ProcessLost)
    assert "--resume" in error.hint
    assert isinstance(lost, ChildProcessError)


def report(processes: Processes) -> tuple[int, list[str]]:
    said: list[str] = []
    time.sleep(0.2 * (processes.rank != 1))
    code = processes.report_failure(10 + processes.rank, lambda: said.append("failed"))
    processes.sum_(torch.ones(1))  # the first process holds the store, and leaves last
    return code, said


def test_one_process_reports_and_all_end_with_its_code() -> None:
    assert in_processes(3, report) == [(11, []), (11, ["failed"]), (11, [])]
