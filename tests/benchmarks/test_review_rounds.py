"""The benchmark of reviews in rounds prints what each round leaves, and what trainings gain."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.benchmark_programs import made_up_data, run_benchmark


@pytest.mark.slow
@pytest.mark.exhaustive
def test_rounds_and_gains_are_printed(tmp_path: Path) -> None:
    ran = run_benchmark("review_rounds", made_up_data(tmp_path), "--epochs", "2", "--seeds", "1")
    lines = [line.strip("| ").split(" | ") for line in ran.output.splitlines() if "---" not in line]
    rounds = [line for line in lines if line[0] == "0"]
    assert [line[1] for line in rounds] == ["0", "1", "2", "3"]
    left = [int(line[3]) for line in rounds]
    found = [int(line[2]) for line in rounds]
    assert left == [left[0] - sum(found[: i + 1]) for i in range(4)]
    assert [line[0] for line in lines[-2:]] == ["fixed labels", "reviewed in rounds"]
