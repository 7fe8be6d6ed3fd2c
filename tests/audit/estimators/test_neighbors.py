"""Neighbours among all tiles, against all products."""

from __future__ import annotations

import numpy as np
import pytest

from rsretrieve.audit.estimators import neighbors
from rsretrieve.audit.estimators.neighbors import neighbours_among_all
from rsretrieve.audit.estimators.unit_vectors import UnitRows

RNG = np.random.default_rng(4)
ROWS = RNG.normal(0, 1, (6, 8))[RNG.integers(0, 6, 900)] + RNG.normal(0, 0.5, (900, 8))
ROWS = (ROWS / np.linalg.norm(ROWS, axis=1, keepdims=True)).astype(np.float32)
ROWS[17] = 0  # unknown
PRODUCTS = ROWS @ ROWS.T
np.fill_diagonal(PRODUCTS, -2)
PRODUCTS[:, 17] = -2
NEAREST = np.argsort(-PRODUCTS, axis=1)[:, :7]
KNOWN = np.arange(900) != 17


@pytest.mark.parametrize("most_together", [10_000, 100])
def test_the_neighbours_of_few_tiles_are_exact(
    monkeypatch: pytest.MonkeyPatch, most_together: int
) -> None:
    monkeypatch.setattr(neighbors, "MOST_TOGETHER", most_together)
    found = neighbours_among_all(UnitRows(ROWS), 7)
    np.testing.assert_array_equal(found.rows[KNOWN], NEAREST[KNOWN])
    np.testing.assert_allclose(
        found.similarities[KNOWN], np.take_along_axis(PRODUCTS, NEAREST, 1)[KNOWN], atol=1e-6
    )


def test_the_neighbours_of_many_tiles_are_searched_in_the_nearest_cells(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in (("MOST_TOGETHER", 50), ("MOST_EXACT", 100), ("PER_CELL", 50)):
        monkeypatch.setattr(neighbors, name, value)
    found = neighbours_among_all(UnitRows(ROWS), 7)
    assert (found.rows[17] == -1).all()
    assert not (found.rows == np.arange(900)[:, None]).any()
    same = [len(set(a) & set(b)) for a, b in zip(found.rows[KNOWN], NEAREST[KNOWN])]
    assert np.mean(same) > 0.9 * 7
    kept = np.take_along_axis(PRODUCTS, found.rows, 1)[KNOWN]
    np.testing.assert_allclose(found.similarities[KNOWN], kept, atol=1e-6)


def test_fewer_tiles_than_neighbours_leave_places_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbors, "MOST_TOGETHER", 2)
    found = neighbours_among_all(UnitRows(ROWS[:5]), 7)
    assert (found.rows[:, :4] >= 0).all()
    assert (found.rows[:, 4:] == -1).all()
    assert (found.similarities[:, 4:] == -1).all()
