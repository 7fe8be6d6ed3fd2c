"""The ranking where classes overlap, against plain loops, and what it is good for."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from rsretrieve.audit.estimators.classifiers import (
    Discriminant,
    FixedScores,
    NeighbourVotes,
    Restricted,
    assign_folds,
)
from rsretrieve.audit.estimators.dawid_skene import ClassifierSet, fit_dawid_skene
from rsretrieve.audit.estimators.em_state import EMState, uniform_noise
from rsretrieve.audit.estimators.given_labels import NOT_CONFIRMED, Decisions
from rsretrieve.audit.estimators.logistic_regression import Logistic
from rsretrieve.audit.estimators.starts.label_odds import LabelOdds, odds_of_labels
from rsretrieve.audit.estimators.unit_vectors import UnitRows
from rsretrieve.audit.posterior import posterior_from_em
from rsretrieve.evaluation.label_error_metrics import average_precision

RNG = np.random.default_rng(4)
LABELS = RNG.integers(0, 3, 40)
LOG_ODDS = RNG.normal(0, 3, (40, 3))


def plain_odds(row: NDArray[np.float64], label: int) -> float:
    return float(row[label]) - math.log(sum(math.exp(v) for c, v in enumerate(row) if c != label))


def test_odds_are_those_of_the_definition() -> None:
    expected = [plain_odds(row, label) for row, label in zip(LOG_ODDS, LABELS.tolist())]
    np.testing.assert_allclose(odds_of_labels(LOG_ODDS, LABELS), expected)


def test_the_order_is_that_of_the_weighted_sum_and_the_odds_stay_the_same_as_a_set() -> None:
    confirmed = np.full(40, NOT_CONFIRMED)
    confirmed[:5] = LABELS[:5]
    decisions = Decisions(confirmed, np.ones(40, bool))
    state = EMState(LABELS, uniform_noise(0.2, 3), decisions=decisions)
    others = RNG.normal(0, 3, 40)
    before = odds_of_labels(LOG_ODDS, LABELS)
    after = odds_of_labels(LabelOdds(others, 2.0).ranked(LOG_ODDS, state), LABELS)
    np.testing.assert_allclose(after[:5], before[:5])  # decided by a person
    np.testing.assert_allclose(np.sort(after), np.sort(before))
    summed = (before + 2.0 * others)[5:]
    assert np.argsort(after[5:]).tolist() == np.argsort(summed).tolist()


def ring(classes: int, per_class: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Classes in a ring, each of which overlaps its neighbours."""
    rng = np.random.default_rng(seed)
    true = rng.permutation(np.repeat(np.arange(classes), per_class))
    angles = 2 * np.pi * true / classes
    rows = rng.standard_normal((len(true), 32))
    rows[:, :2] += 1.2 / np.sin(np.pi / classes) * np.column_stack((np.cos(angles), np.sin(angles)))
    rows = np.column_stack((rows, np.full(len(rows), 6.0)))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), true


def reached(rows: NDArray[np.float32], given: NDArray[np.int64], wrong: NDArray[np.bool_]) -> float:
    """The average precision of the fit."""
    folds = assign_folds(given, 5)
    classifiers = ClassifierSet(
        [Discriminant(rows, folds), NeighbourVotes.among(UnitRows(rows))],
        logistic=Logistic(rows, folds),
    )
    found = fit_dawid_skene(given, int(given.max()) + 1, classifiers)
    ranked = average_precision(-posterior_from_em(found, given).margin, wrong)
    assert ranked is not None
    return ranked


@pytest.mark.medium
def test_a_fit_that_was_carried_away_from_the_labels_does_not_rank_them_alone() -> None:
    rows, true = ring(9, 50, seed=1)
    rng = np.random.default_rng(1)
    wrong = rng.random(len(true)) < 0.25
    given = np.where(wrong, (true + rng.integers(1, 9, len(true))) % 9, true)
    assert reached(rows, given, wrong) > 0.7  # 0.62 by the fit alone


def by_prototypes(
    rows: NDArray[np.float32],
    prototypes: NDArray[np.float32],
    given: NDArray[np.int64],
    logistic: Logistic | None,
) -> NDArray[np.float64]:
    """How doubtful each label of tiles is that a model did not see."""
    every = Restricted(FixedScores(rows @ prototypes.T), np.ones(len(rows), bool))
    classifiers = ClassifierSet(
        [Discriminant(rows, assign_folds(given, 5)), every], logistic=logistic
    )
    return -posterior_from_em(fit_dawid_skene(given, len(prototypes), classifiers), given).margin


def classes_with_look_alikes(
    per_class: int, seed: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Nine classes; every eighth tile lies among those of the next class, a little apart."""
    rng = np.random.default_rng(seed)
    true = rng.permutation(np.repeat(np.arange(9), per_class))
    is_alike = rng.random(len(true)) < 0.12
    rows = rng.standard_normal((len(true), 32))
    rows += 4.0 * np.eye(9, 32)[np.where(is_alike, (true + 1) % 9, true)]
    rows[is_alike, 9 + true[is_alike]] += 2.5
    rows = np.column_stack((rows, np.full(len(rows), 2.0)))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), true


@pytest.mark.medium
@pytest.mark.parametrize("seed", [0, 5])
def test_prototypes_and_a_discriminant_that_err_alike_do_not_rank_alone(seed: int) -> None:
    rows, true = classes_with_look_alikes(60, seed)
    learned, of_learned = classes_with_look_alikes(60, seed=99)
    prototypes = np.stack([learned[of_learned == c].mean(axis=0) for c in range(9)])
    prototypes /= np.linalg.norm(prototypes, axis=1, keepdims=True)
    rng = np.random.default_rng(seed)
    wrong = rng.random(len(true)) < 0.3
    given = np.where(wrong, (true + rng.integers(1, 9, len(true))) % 9, true)
    logistic = Logistic(rows, assign_folds(given, 5))
    alone, joined = (
        average_precision(by_prototypes(rows, prototypes, given, each), wrong) or 0.0
        for each in (None, logistic)
    )
    assert joined > alone + 0.01
