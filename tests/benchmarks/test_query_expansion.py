"""The benchmark of query expansion prints a row for each index and setting."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import query_expansion
from tests.support.indexes.planet import make_planet


@pytest.mark.medium
def test_a_row_has_the_figures_without_and_with(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_planet(tmp_path / "planet")
    query_expansion.main([str(tmp_path / "planet"), "--others"])
    header, line, *rows = capsys.readouterr().out.splitlines()
    assert header.count("|") == line.count("|") == 17
    assert len(rows) == 1 + len(query_expansion.OTHERS)
    for row in rows:
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert len(cells) == 16
        without, found = float(cells[4]), float(cells[5])
        low, high = (float(part) for part in cells[6].split("(")[1].rstrip(")").split("…"))
        change = float(cells[6].split()[0])
        assert low <= change <= high
        assert change == pytest.approx(found - without, abs=2e-3)


def test_the_interval_of_equal_changes_is_a_point() -> None:
    assert query_expansion.interval(np.full(40, 0.25)) == (0.25, 0.25)
