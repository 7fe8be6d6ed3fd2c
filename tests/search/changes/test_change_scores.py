"""Scores of change: planted changes under an overall shift."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from rsretrieve.search.changes.change_scores import score_changes
from tests.support.indexes.vectors import clustered_rows, unit_rows


def two_dates(rows: int, changed: int, seed: int = 0):
    """Unit rows, the same turned a little and moved, with some rows taken from other kinds."""
    rng = np.random.default_rng(seed)
    one = clustered_rows(rows, 16, 6, seed)
    turn, _ = np.linalg.qr(np.eye(16) + 0.15 * rng.standard_normal((16, 16)))
    turn *= np.sign(np.diag(turn))
    which = rng.choice(rows, changed, replace=False)
    other = one.copy()
    other[which] = np.roll(one, rows // 2, axis=0)[which]
    other = other @ turn + 0.2 * unit_rows(1, 16, seed + 1) + 0.02 * rng.standard_normal(one.shape)
    other /= np.linalg.norm(other, axis=1, keepdims=True)
    truth = np.zeros(rows, bool)
    truth[which] = (one[which] * np.roll(one, rows // 2, axis=0)[which]).sum(axis=1) < 0.8
    return one, other.astype(np.float32), truth


def test_changes_stand_out_from_the_overall_shift():
    one, other, truth = two_dates(600, 60)
    found = score_changes(one, other)
    assert average_precision_score(truth, found.change) > 0.97
    assert average_precision_score(truth, found.change) > average_precision_score(
        truth, -found.similarity
    )
    assert (found.deviation[truth] > 3).mean() > 0.9
    assert (found.deviation[~truth] > 3).mean() < 0.1
    assert found.shift > 0.1


@pytest.mark.parametrize("rows", [1, 2, 5, 19, 25])
def test_few_pairs_are_scored_beside_the_median_difference(rows):
    one, other, _ = two_dates(rows, 0)
    found = score_changes(one, other)
    assert found.change.shape == (rows,)
    assert np.isfinite(found.change).all()
    assert np.isfinite(found.deviation).all()
    if rows < 20:
        difference = other.astype(float) - one
        expected = np.linalg.norm(difference - np.median(difference, axis=0), axis=1)
        assert found.change == pytest.approx(expected)


def test_nothing_changed_where_both_dates_are_equal():
    one = clustered_rows(100, 8, 3, seed=0)
    found = score_changes(one, one)
    assert found.change.max() < 1e-6
    assert found.similarity == pytest.approx(np.ones(100))
    assert found.shift == 0


@pytest.mark.parametrize("rows", [6, 40, 300])
def test_few_changes_among_files_that_are_equal_stand_out(rows):
    before = unit_rows(rows, 16, 0)
    after = before.copy()
    after[[1, 4]] = -before[[1, 4]]
    scores = score_changes(before, after)
    others = np.delete(scores.deviation, [1, 4])
    assert scores.deviation[[1, 4]].min() > max(1, others.max())
    assert np.isfinite(scores.deviation).all()


def test_no_pair_has_no_score():
    empty = np.empty((0, 8), np.float32)
    assert len(score_changes(empty, empty).change) == 0


def test_the_order_of_the_places_does_not_matter_much():
    one, other, truth = two_dates(300, 30)
    order = np.random.default_rng(1).permutation(300)
    found = score_changes(one[order], other[order])
    assert average_precision_score(truth[order], found.change) > 0.95
