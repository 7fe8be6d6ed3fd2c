"""Noise that looks like overlap of the classes, and overlap that looks like noise."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from rsretrieve.audit.estimators.candidates import AllClasses
from rsretrieve.audit.estimators.classifiers import Discriminant, NeighbourVotes, assign_folds
from rsretrieve.audit.estimators.dawid_skene import ClassifierSet, EMResult, fit_dawid_skene
from rsretrieve.audit.estimators.em_state import EMState, uniform_noise
from rsretrieve.audit.estimators.starts.overlap import directedness, rate_of_classes_unlike
from rsretrieve.audit.estimators.unit_vectors import UnitRows

CLASSES, PER_CLASS = 8, 80

Rows, Labels = NDArray[np.float32], NDArray[np.int64]


def ring(seed: int = 0) -> tuple[Rows, Labels]:
    """(N, 16) unit rows on a ring of classes, neighbours of which overlap, and the classes."""
    rng = np.random.default_rng(seed)
    true = rng.permutation(np.repeat(np.arange(CLASSES), PER_CLASS))
    angle = 2 * np.pi * (true + 0.45 * rng.normal(size=len(true))) / CLASSES
    rows = rng.normal(0, 0.1, (len(true), 16))
    rows[:, 0] += np.cos(angle)
    rows[:, 1] += np.sin(angle)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), true


def fitted(rows: Rows, given: Labels) -> EMResult:
    votes = NeighbourVotes.among(UnitRows(rows))
    classifiers = ClassifierSet([Discriminant(rows, assign_folds(given, 5)), votes])
    return fit_dawid_skene(given, CLASSES, classifiers)


@pytest.mark.medium
@pytest.mark.parametrize("rate", [0.0, 0.3, 0.4])
def test_labels_of_the_next_of_classes_in_a_ring_are_in_the_interval(rate: float) -> None:
    rows, true = ring()
    wrong = np.random.default_rng(1).random(len(true)) < rate
    rates = fitted(rows, np.asarray((true + wrong) % CLASSES)).rates
    assert rates.low <= wrong.mean() <= rates.high
    assert not rates.can_be_told


def test_the_rate_is_counted_on_classes_that_are_not_alike() -> None:
    rng = np.random.default_rng(0)
    groups = rng.permutation(np.repeat(np.arange(CLASSES), 1000))
    # A tenth of the labels is wrong by any class, and a fifth is that of the next class.
    moved = np.where(rng.random(len(groups)) < 0.1, rng.integers(1, CLASSES, len(groups)), 0)
    moved = np.where((moved == 0) & (rng.random(len(groups)) < 0.2), 1, moved)
    labels = np.asarray((groups + moved) % CLASSES)
    log_p = np.full((len(groups), CLASSES), np.log(0.01))
    log_p[np.arange(len(groups)), groups] = np.log(0.7)
    log_p[np.arange(len(groups)), (groups + 1) % CLASSES] = np.log(0.24)
    state = EMState(labels, uniform_noise(0.1, CLASSES), candidates=AllClasses(CLASSES))
    assert rate_of_classes_unlike(log_p, state) == pytest.approx(0.1, abs=0.012)


def test_noise_is_directed_if_each_class_becomes_one_other_class() -> None:
    other = np.roll(np.eye(CLASSES), 1, axis=1)
    assert directedness(0.7 * np.eye(CLASSES) + 0.3 * other) == pytest.approx(1)
    assert directedness(uniform_noise(0.3, CLASSES)) == pytest.approx(0)
