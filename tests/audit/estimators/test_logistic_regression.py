"""The cross-fitted logistic regression, against scikit-learn, and where it joins the fit."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from rsretrieve.audit.estimators.candidates import softmax
from rsretrieve.audit.estimators.classifiers import Discriminant, NeighbourVotes, assign_folds
from rsretrieve.audit.estimators.dawid_skene import ClassifierSet, EMResult, fit_dawid_skene
from rsretrieve.audit.estimators.logistic_regression import Logistic
from rsretrieve.audit.estimators.unit_vectors import UnitRows
from rsretrieve.audit.posterior import posterior_from_em
from rsretrieve.evaluation.label_error_metrics import average_precision

CLASSES, PER_CLASS, FOLDS = 8, 60, 4

Rows, Labels = NDArray[np.float32], NDArray[np.int64]


@pytest.fixture(scope="module")
def tiles() -> tuple[Rows, Labels]:
    """Unit rows in random order, whose directions differ in length, and their classes."""
    rng = np.random.default_rng(1)
    true = rng.permutation(np.repeat(np.arange(CLASSES), PER_CLASS))
    scales = np.linspace(0.2, 1.6, 24)
    rows = 0.35 * rng.standard_normal((CLASSES, 24))[true] * scales
    rows += rng.standard_normal((len(true), 24)) * (1.8 - scales)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), true


def test_its_probabilities_are_those_of_scikit_learn(tiles: tuple[Rows, Labels]) -> None:
    rows, true = tiles
    rows = rows.copy()
    rows[5] = 0  # an unknown tile
    folds = assign_folds(true, FOLDS)
    posterior = np.eye(CLASSES)[true]
    posterior[7] = 0  # a tile whose class must not be used
    found = Logistic(rows, folds).class_scores(posterior)
    inputs = np.hstack([rows, np.full((len(rows), 1), 0.3)])
    used = np.ones(len(rows), bool)
    used[[5, 7]] = False
    for fold in range(FOLDS):
        others, scored = used & (folds != fold), folds == fold
        model = LogisticRegression(C=3, fit_intercept=False, tol=1e-8, max_iter=2000)
        expected = model.fit(inputs[others], true[others]).predict_proba(inputs[scored])
        known = rows[scored].any(axis=1)
        np.testing.assert_allclose(softmax(found[scored])[known], expected[known], atol=0.01)
    assert len(set(found[5].tolist())) == 1


def fitted(rows: Rows, given: Labels, *, logistic: bool) -> EMResult:
    folds = assign_folds(given, FOLDS)
    joins = Logistic(rows, folds) if logistic else None
    votes = NeighbourVotes.among(UnitRows(rows))
    classifiers = ClassifierSet([Discriminant(rows, folds), votes], logistic=joins)
    return fit_dawid_skene(given, CLASSES, classifiers)


@pytest.mark.medium
@pytest.mark.parametrize("kind", ["any class", "next class"])
def test_it_joins_where_wrong_labels_are_of_any_class(
    tiles: tuple[Rows, Labels], kind: str
) -> None:
    rows, true = tiles
    rng = np.random.default_rng(1)
    steps = rng.integers(1, CLASSES, len(true)) if kind == "any class" else 1
    wrong = rng.random(len(true)) < 0.3
    given = np.asarray((true + wrong * steps) % CLASSES, np.int64)
    without, with_it = (fitted(rows, given, logistic=each) for each in (False, True))
    reached = [
        average_precision(-posterior_from_em(each, given).margin, wrong)
        for each in (without, with_it)
    ]
    if kind == "next class":
        np.testing.assert_array_equal(with_it.log_odds, without.log_odds)
    else:
        assert reached[0] is not None
        assert reached[1] is not None
        assert reached[1] > reached[0] + 0.01
