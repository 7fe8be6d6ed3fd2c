"""The classifier against scikit-learn, and its leave-one-out scores against refits."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from rsretrieve.search.finding.kind_classifier import KindClassifier
from tests.support.indexes.vectors import clustered_rows

ROWS = clustered_rows(400, 8, 6, seed=2)
EXAMPLES, BACKGROUND = ROWS[:12], ROWS[12:]
WANTED = ROWS[:12] @ ROWS[0] > 0.5


def scores_by_sklearn(left_out: int | None = None) -> np.ndarray:
    """Scores without the offset, with the weights of all examples."""
    kept = np.arange(12) != (-1 if left_out is None else left_out)
    weights = np.where(WANTED, 100 / WANTED.sum(), 100 / (~WANTED).sum())[kept]
    rows = np.concatenate((EXAMPLES[kept], BACKGROUND)).astype(np.float64)
    labels = np.concatenate((WANTED[kept], np.zeros(len(BACKGROUND), bool)))
    importance = np.concatenate((weights, np.full(len(BACKGROUND), 100 / len(BACKGROUND))))
    model = LogisticRegression(C=1.0, tol=1e-10, max_iter=5000)
    model.fit(rows, labels, sample_weight=importance)
    return EXAMPLES @ model.coef_[0] + (0 if left_out is None else model.intercept_[0])


def test_the_weights_are_those_of_scikit_learn():
    found = KindClassifier.fit(EXAMPLES, WANTED, BACKGROUND)
    assert WANTED.sum() in range(1, 12)
    assert EXAMPLES @ found.weights == pytest.approx(scores_by_sklearn(), abs=0.02)


def test_the_own_scores_are_about_those_of_refits():
    found = KindClassifier.fit(EXAMPLES, WANTED, BACKGROUND)
    fitted = EXAMPLES @ found.weights
    refitted = np.array([scores_by_sklearn(number)[number] for number in range(12)])
    offset = np.median(found.own_scores - refitted)
    assert np.corrcoef(found.own_scores, refitted)[0, 1] > 0.98
    assert np.abs(found.own_scores - offset - refitted).mean() < 1.0
    assert (found.own_scores <= fitted + 1e-6)[WANTED].all()
    assert (found.own_scores >= fitted - 1e-6)[~WANTED].all()


def test_one_positive_is_enough():
    found = KindClassifier.fit(EXAMPLES[:1], np.array([True]), BACKGROUND)
    assert np.isfinite(found.weights).all()
    assert np.isfinite(found.own_scores).all()
    assert (ROWS @ found.weights).argmax() in np.flatnonzero(ROWS @ ROWS[0] > 0.8)
