"""Benchmarks keep finished rows, whoever else keeps some meanwhile."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest

from tests.support.repository import ROOT


@pytest.fixture(autouse=True)
def _benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    for name in [name for name in sys.modules if name.split(".")[0] == "grid"]:
        monkeypatch.delitem(sys.modules, name)


def test_two_writers_lose_none_of_each_other_s_rows(tmp_path: Path) -> None:
    from grid.kept_rows import KeptRows

    path = tmp_path / "new" / "rows.csv"
    one, other = (KeptRows(path, ("cell",), ("map", "device")) for _ in range(2))
    one.keep(("a",), {"map": 0.25, "device": "cpu"})
    other.keep(("b",), {"map": math.nan, "device": "cpu"})
    one.keep(("c",), {"map": 1.0, "device": "cpu"})
    one.keep(("a",), {"map": 0.5, "device": "cpu"})
    assert KeptRows(path, ("cell",), ("map", "device")).rows == {
        ("a",): {"cell": "a", "map": "0.5000", "device": "cpu"},
        ("b",): {"cell": "b", "map": "", "device": "cpu"},
        ("c",): {"cell": "c", "map": "1.0000", "device": "cpu"},
    }


def test_the_finished_rows_of_both_benchmarks_can_be_read() -> None:
    from grid.audit_results import AuditResults, audit_table
    from grid.results import Results, markdown_table

    folder = ROOT / "benchmarks/results"
    cells, audits = Results(folder / "noise_robustness.csv"), AuditResults(folder / "audit.csv")
    assert len(markdown_table(list(cells.rows.values())).splitlines()) > 2
    assert "mean of 1 − AP" in audit_table(list(audits.rows.values()))
