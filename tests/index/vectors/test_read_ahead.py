"""Reading scattered rows of a file ahead: it changes nothing, and asks for the right pages."""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rsretrieve.index.vectors.read_ahead import read_ahead
from rsretrieve.index.vectors.vector_index import VectorIndex
from tests.support.indexes.vectors import clustered_rows


class Asked:
    """Stands for a memory map: it notes which bytes it is asked for."""

    def __init__(self) -> None:
        self.ranges: list[tuple[int, int]] = []

    def note(self, _: object, start: int, length: int) -> None:
        self.ranges.append((start, start + length))


@pytest.fixture
def stored(tmp_path: Path) -> Any:
    np.save(tmp_path / "rows.npy", np.arange(4000 * 8, dtype=np.float32).reshape(4000, 8))
    return np.load(tmp_path / "rows.npy", mmap_mode="r")


def test_the_pages_of_the_rows_are_asked_for(stored: Any) -> None:
    asked = Asked()
    rows = np.array([[3999, 5], [-1, 5]])
    read_ahead(stored, rows, advise=asked.note)
    # A header of 128 bytes, then 32 bytes a row.
    for row in (5, 3999):
        begin = 128 + 32 * row
        assert any(start <= begin and begin + 32 <= end for start, end in asked.ranges)
    assert len(asked.ranges) == 2
    assert all(start % mmap.PAGESIZE == 0 for start, _ in asked.ranges)


def test_values_stay_what_they_are(stored: Any) -> None:
    rows = np.array([0, 17, 3999])
    read_ahead(stored, rows)
    assert stored[rows][:, 0].tolist() == [0, 136, 31992]


@pytest.mark.parametrize("rows", [np.zeros((0, 3), np.int64), np.full((2, 2), -1)])
def test_no_rows_are_no_pages(stored: Any, rows: Any) -> None:
    asked = Asked()
    read_ahead(stored, rows, advise=asked.note)
    assert asked.ranges == []


def test_arrays_in_memory_and_very_many_rows_are_left_alone(stored: Any) -> None:
    asked = Asked()
    for array, rows in ((np.zeros((9, 2)), np.arange(9)), (stored, np.zeros(5000, np.int64))):
        read_ahead(array, rows, advise=asked.note)
    assert asked.ranges == []


@pytest.mark.parametrize(("available", "expected"), [(0, 5), (1 << 40, 0)])
def test_many_candidates_are_read_ahead_where_the_vectors_exceed_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, available: int, expected: int
) -> None:
    np.save(tmp_path / "v.npy", clustered_rows(600, 16, 8, 0))
    stored = np.load(tmp_path / "v.npy", mmap_mode="r")
    index = VectorIndex.build(stored, "IVF8,SQ8")
    index.set_parameter("nprobe", 8)
    index.set_parameter("rerank", 8)
    before = index.search(stored[:25], 10)
    module = "rsretrieve.index.vectors"
    monkeypatch.setattr(f"{module}.read_ahead.MOST_ROWS", 400)
    monkeypatch.setattr(f"{module}.vector_index.MOST_ROWS", 400)
    monkeypatch.setattr(f"{module}.vector_index.available_bytes", lambda: available)
    asked: list[int] = []

    def noted(_: object, rows: Any) -> None:
        asked.append(rows.size)

    monkeypatch.setattr(f"{module}.vector_index.read_ahead", noted)
    found = index.search(stored[:25], 10)
    assert [size for size in asked if size <= 400] == [400] * expected
    assert all(np.array_equal(*pair) for pair in zip(before, found))
