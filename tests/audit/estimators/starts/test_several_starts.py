"""Noise rates from low to high, and labels that say nothing, on clusters made for the test."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from rsretrieve.audit.estimators.classifiers import Discriminant, NeighbourVotes, assign_folds
from rsretrieve.audit.estimators.dawid_skene import ClassifierSet, EMResult, fit_dawid_skene
from rsretrieve.audit.estimators.unit_vectors import UnitRows
from rsretrieve.audit.noise_rate import RateRange
from rsretrieve.audit.posterior import posterior_from_em

CLASSES, PER_CLASS = 8, 120

Rows, Labels = NDArray[np.float32], NDArray[np.int64]


def clusters(distance: float, seed: int = 0) -> tuple[Rows, Labels]:
    """(N, 24) unit rows in random order, and their classes."""
    rng = np.random.default_rng(seed)
    true = rng.permutation(np.repeat(np.arange(CLASSES), PER_CLASS))
    rows = distance * np.eye(CLASSES, 24)[true] + rng.normal(0, 1, (len(true), 24))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), true


def wrong_labels(true: Labels, kind: str, rate: float) -> Labels:
    rng = np.random.default_rng(1)
    steps = {"uniform": rng.integers(1, CLASSES, len(true)), "next": np.ones(len(true), np.int64)}
    return np.asarray((true + steps[kind] * (rng.random(len(true)) < rate)) % CLASSES, np.int64)


def fitted(rows: Rows, given: Labels) -> EMResult:
    votes = NeighbourVotes.among(UnitRows(rows))
    classifiers = ClassifierSet([Discriminant(rows, assign_folds(given, 5)), votes])
    return fit_dawid_skene(given, CLASSES, classifiers)


@pytest.mark.medium
@pytest.mark.parametrize(
    ("kind", "rate"),
    [
        ("uniform", 0.0),
        ("uniform", 0.1),
        ("uniform", 0.5),
        ("uniform", 0.65),
        ("next", 0.3),
        ("next", 0.4),
    ],
)
def test_the_rate_is_found_however_high_it_is(kind: str, rate: float) -> None:
    rows, true = clusters(4.0)
    given = wrong_labels(true, kind, rate)
    found = fitted(rows, given)
    share = (given != true).mean()
    assert found.rates.can_be_told
    assert posterior_from_em(found, given).issue_probability.mean() == pytest.approx(
        share, abs=0.03
    )
    assert found.rates.low <= share <= found.rates.high
    assert found.rates.high - found.rates.low < 0.15


@pytest.mark.parametrize("seed", range(3))
def test_classes_that_overlap_are_not_noise(seed: int) -> None:
    rows, true = clusters(2.5, seed)
    found = fitted(rows, true)
    assert found.rates.low == 0
    assert posterior_from_em(found, true).issue_probability.mean() < 0.03


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("distance", [1.4, 1.8])
@pytest.mark.medium
def test_classes_that_overlap_widely_may_have_right_labels(distance: float, seed: int) -> None:
    rows, true = clusters(distance, seed)
    rates = fitted(rows, true).rates
    assert rates.low == 0
    assert rates.high < 0.5 or not rates.can_be_told


@pytest.mark.medium
@pytest.mark.parametrize("seed", range(3))
def test_of_labels_drawn_at_random_no_rate_can_be_told(seed: int) -> None:
    rows, true = clusters(4.0)
    given = np.random.default_rng(seed).permutation(true)
    rates = fitted(rows, given).rates
    assert (rates.can_be_told, rates.is_informative) == (False, False)
    assert (rates.low, rates.high) == (0, 1)


@pytest.mark.medium
def test_of_vectors_that_are_noise_no_rate_can_be_told() -> None:
    rows, _ = clusters(0.0)
    _, labels = clusters(0.0, seed=7)
    assert not fitted(rows, labels).rates.can_be_told


def test_a_range_covers_another_estimate_and_moves() -> None:
    told = RateRange(0.1, 0.2)
    wider = told.including(0.3, 100)
    error = 1.96 * np.sqrt(0.3 * 0.7 / 100) + 0.01
    assert (wider.low, wider.high) == (0.1, pytest.approx(0.3 + error))
    assert told.moved(-0.15) == RateRange(0.0, pytest.approx(0.05))


def overlapping(classes: int, tiles: int, distance: float) -> tuple[Rows, Labels]:
    """Classes around random directions: the best possible classifier is right in 7 of 10 tiles."""
    rng = np.random.default_rng(7)
    centres = rng.standard_normal((classes, 32))
    centres *= distance / np.linalg.norm(centres, axis=1, keepdims=True)
    true = np.repeat(np.arange(classes), tiles)
    rows = centres[true] + rng.standard_normal((len(true), 32))
    order = rng.permutation(len(true))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows[order].astype(np.float32), true[order]


@pytest.mark.medium
@pytest.mark.parametrize("rate", [0.3, 0.45])
@pytest.mark.parametrize(("classes", "tiles", "distance"), [(8, 60, 2.2), (20, 60, 2.5)])
def test_noise_among_classes_that_overlap_widely_is_in_the_interval(
    classes: int, tiles: int, distance: float, rate: float
) -> None:
    rows, true = overlapping(classes, tiles, distance)
    rng = np.random.default_rng(0)
    wrong = rng.random(len(true)) < rate
    given = np.where(wrong, (true + rng.integers(1, classes, len(true))) % classes, true)
    votes = NeighbourVotes.among(UnitRows(rows))
    classifiers = ClassifierSet([Discriminant(rows, assign_folds(given, 5)), votes])
    rates = fit_dawid_skene(given, classes, classifiers).rates
    assert rates.low <= wrong.mean() <= rates.high
    assert rates.is_informative


@pytest.mark.parametrize("ends", [(0.0, 0.148), (0.02, 0.06), (0.05, 0.05)])
def test_intervals_of_classes_cover_together_what_the_range_of_all_covers(
    ends: tuple[float, float],
) -> None:
    """Overlap that may hide 10 % of wrong labels is not 0 % in each class."""
    rates, sizes = np.array([0.0, 0.02, 0.13]), np.array([200, 100, 300])
    rate = float(rates @ sizes / sizes.sum())
    low, high = RateRange(*ends).of_parts((rates, rates), rate)
    weights = sizes / sizes.sum()
    assert low @ weights <= min(ends[0], rate) + 1e-12
    assert high @ weights >= max(ends[1], rate) - 1e-12
    assert (low <= rates).all()
    assert (rates <= high).all()
