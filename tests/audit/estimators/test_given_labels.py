"""Decisions as known examples: certain where a person decided, and as rates of the other labels."""

from __future__ import annotations

import numpy as np
import pytest

from rsretrieve.audit.estimators.classifiers import Discriminant, assign_folds
from rsretrieve.audit.estimators.dawid_skene import ClassifierSet, fit_dawid_skene
from rsretrieve.audit.estimators.em_state import EMState, log_softmax, uniform_noise
from rsretrieve.audit.estimators.given_labels import NOT_CONFIRMED, Decisions, GivenLabels
from rsretrieve.audit.posterior import posterior_from_em

LABELS = np.array([0, 1, 2, 0, 1])
DECISIONS = Decisions(np.array([1, NOT_CONFIRMED, 2, NOT_CONFIRMED, 1]), np.array([True] * 5))
EVEN = np.full((5, 3), 1 / 3)


def test_without_decisions_nothing_changes() -> None:
    given = GivenLabels.of(LABELS, None)
    assert given.with_confirmed_odds(EVEN, LABELS) is EVEN
    assert given.rate_of_open(0.3) == 0.3
    assert given.with_reviewer(EVEN, LABELS) is EVEN


def test_confirmed_classes_are_certain() -> None:
    given = GivenLabels.of(LABELS, DECISIONS)
    assert given.current.tolist() == [1, 1, 2, 0, 1]
    assert (given.found_wrong, given.open_count, given.open_share) == (1, 2, 0.4)
    found = np.exp(log_softmax(given.with_confirmed_odds(EVEN, given.current)))
    assert found[[0, 2, 4]] == pytest.approx(np.eye(3)[[1, 2, 1]])
    assert found[[1, 3]] == pytest.approx(EVEN[[1, 3]])


def test_a_person_is_a_labeller_who_errs_in_2_percent() -> None:
    given = GivenLabels.of(LABELS, DECISIONS)
    found = np.exp(log_softmax(given.with_reviewer(np.log(EVEN), given.current)))
    assert found[0].tolist() == pytest.approx([0.01, 0.98, 0.01])
    assert found[1].tolist() == pytest.approx([1 / 3] * 3)
    certain = np.log(np.array([[0.98, 0.01, 0.01]] * 5))  # as much evidence against it
    found = np.exp(log_softmax(given.with_reviewer(certain, given.current)))
    assert found[0, 0] == pytest.approx(found[0, 1])


def test_the_rate_of_the_other_labels_is_without_those_found() -> None:
    given = GivenLabels.of(LABELS, DECISIONS)
    assert given.rate_of_open(0.4) == pytest.approx((0.4 * 5 - 1) / 2)
    assert given.rate_of_open(0.0) == 0
    unknown = Decisions(DECISIONS.confirmed, np.array([False, True, True, True, True]))
    labels = np.array([1, 1, 2, 0, 1])  # the label of the first before the decision is unknown
    assert GivenLabels.of(labels, unknown).rate_of_open(0.4) == pytest.approx(0.4 * 4 / 2)


def test_a_label_that_is_unknown_does_not_count_for_the_matrix() -> None:
    scores = log_softmax(3.0 * np.eye(3)[LABELS])
    matrices = []
    for labels in ([1, 1, 2, 0, 1], [2, 1, 2, 0, 1]):
        unknown = Decisions(DECISIONS.confirmed, np.array([False, True, True, True, True]))
        state = EMState(np.array(labels), uniform_noise(0.2, 3), decisions=unknown)
        state.update(scores, by_all_tiles=True)
        matrices.append(state.transitions)
    np.testing.assert_array_equal(*matrices)


@pytest.mark.medium
def test_decisions_move_the_count_to_the_labels_that_are_left() -> None:
    """Half of the wrong labels are found by a person, who errs in some decisions."""
    rng, classes = np.random.default_rng(0), 5
    true = rng.permutation(np.repeat(np.arange(classes), 80))
    rows = (3.5 * np.eye(classes, 12)[true] + rng.normal(0, 1, (400, 12))).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    wrong = rng.random(400) < 0.25
    labels = np.where(wrong, (true + rng.integers(1, classes, 400)) % classes, true)
    asked = np.flatnonzero(wrong)[::2]
    confirmed = np.full(400, NOT_CONFIRMED)
    confirmed[asked] = true[asked]
    confirmed[asked[:2]] = labels[asked[:2]]  # errors of the person
    classifiers = ClassifierSet([Discriminant(rows, assign_folds(labels, 5))])
    decisions = Decisions(confirmed, np.ones(400, bool))
    found = fit_dawid_skene(labels, classes, classifiers, decisions=decisions)
    current = np.where(confirmed == NOT_CONFIRMED, labels, confirmed)
    posterior = posterior_from_em(found, current)
    is_open = confirmed == NOT_CONFIRMED
    left = (wrong & is_open).sum()
    assert posterior.issue_probability[is_open].sum() == pytest.approx(left, abs=0.25 * left)
    assert posterior.issue_probability[~is_open].max() < 1e-6
    assert found.rates.low * 400 <= left <= found.rates.high * 400
    matrix = np.diag(found.transitions).mean()
    assert matrix == pytest.approx(0.75, abs=0.05)  # of all labels, before any decision
