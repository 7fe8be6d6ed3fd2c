"""Matrices of likely classes, against matrices of all classes."""

from __future__ import annotations

import numpy as np
import pytest

from rsretrieve.audit.estimators.candidates import (
    AllClasses,
    LikelyClasses,
    Scores,
    certain_posterior,
    log_softmax,
    posterior_of_label,
    softmax,
)
from rsretrieve.audit.estimators.em_state import EMState, certain_half, uniform_noise

CLASSES, TILES, LIKELY = 9, 40, 4
RNG = np.random.default_rng(3)
LABELS = RNG.integers(0, CLASSES, TILES)
FIRST = np.array([RNG.permutation(np.delete(np.arange(CLASSES), y))[: LIKELY - 1] for y in LABELS])
CANDIDATES = LikelyClasses(CLASSES, np.column_stack([FIRST, LABELS]).astype(np.int32))
TRANSITIONS = RNG.dirichlet(np.ones(CLASSES), CLASSES)


def dense(kept: Scores, *, shared: bool = False) -> Scores:
    """(N, K) values from those of the likely classes; a class of the rest has that of the rest.

    Args:
        kept: (N, C).
        shared: the value of the rest is that of all its classes together.
    """
    found = np.empty((TILES, CLASSES))
    for row in range(TILES):
        found[row] = kept[row, -1] / (CANDIDATES.rest if shared else 1)
        for column, number in enumerate(CANDIDATES.numbers[row]):
            found[row, number] = kept[row, column]
    return found


SCORES = RNG.normal(0, 2, (TILES, LIKELY + 1)).astype(np.float32)
POSTERIOR = softmax(SCORES, CANDIDATES.log_sizes)
ALL = AllClasses(CLASSES)


def test_probabilities_are_those_of_all_classes() -> None:
    assert POSTERIOR.dtype == np.float32
    np.testing.assert_allclose(dense(POSTERIOR, shared=True), softmax(dense(SCORES)), atol=1e-6)
    kept = log_softmax(SCORES, CANDIDATES.log_sizes)
    np.testing.assert_allclose(dense(kept), log_softmax(dense(SCORES)), atol=1e-5)


def test_columns_and_classes_are_inverse() -> None:
    columns = CANDIDATES.columns_of(LABELS)
    assert (columns == LIKELY - 1).all()
    np.testing.assert_array_equal(CANDIDATES.classes_of(columns[:, None])[:, 0], LABELS)
    np.testing.assert_array_equal(
        dense(certain_posterior(CANDIDATES, LABELS)), certain_posterior(ALL, LABELS)
    )


def test_counts_and_shares_are_those_of_all_classes() -> None:
    whole, rows = dense(POSTERIOR, shared=True), np.arange(TILES) % 3 == 0
    np.testing.assert_allclose(CANDIDATES.shares(POSTERIOR), ALL.shares(whole), atol=1e-6)
    np.testing.assert_allclose(
        CANDIDATES.count(LABELS, POSTERIOR, rows), ALL.count(LABELS, whole, rows), atol=1e-5
    )


def test_the_likelihood_of_the_rest_is_the_mean_of_its_classes() -> None:
    found, rows = CANDIDATES.likelihood(TRANSITIONS, LABELS), np.array([3, 8])
    for row in range(TILES):
        rest = [c for c in range(CLASSES) if c not in CANDIDATES.numbers[row]]
        expected = [TRANSITIONS[c, LABELS[row]] for c in CANDIDATES.numbers[row]]
        np.testing.assert_allclose(
            found[row], [*expected, TRANSITIONS[rest, LABELS[row]].mean()], atol=1e-6
        )
    np.testing.assert_array_equal(CANDIDATES.likelihood(TRANSITIONS, LABELS, rows), found[rows])
    by_label = posterior_of_label(CANDIDATES, TRANSITIONS, LABELS)
    np.testing.assert_allclose(by_label.sum(axis=1), 1, atol=1e-5)
    ratio = by_label[:, -1] / by_label[:, 0]
    np.testing.assert_allclose(ratio, CANDIDATES.rest * found[:, -1] / found[:, 0], rtol=1e-5)


@pytest.mark.parametrize("by_all_tiles", [True, False])
def test_an_update_is_that_of_all_classes(by_all_tiles: bool) -> None:
    noise = uniform_noise(0.3, CLASSES)  # T of the rest is then that of each of its classes
    kept, whole = EMState(LABELS, noise, candidates=CANDIDATES), EMState(LABELS, noise)
    kept.update(log_softmax(SCORES, CANDIDATES.log_sizes), by_all_tiles=by_all_tiles)
    whole.update(log_softmax(dense(SCORES)), by_all_tiles=by_all_tiles)
    if by_all_tiles:
        np.testing.assert_allclose(kept.transitions, whole.transitions, atol=1e-6)
    np.testing.assert_allclose(dense(kept.posterior, shared=True), whole.posterior, atol=1e-5)
    assert kept.noise_rate == pytest.approx(whole.noise_rate, abs=1e-6)


def test_the_certain_half_is_that_of_all_classes_if_the_rest_is_unlikely() -> None:
    scores = SCORES.copy()
    scores[:, -1] = -9
    np.testing.assert_array_equal(
        certain_half(scores, CANDIDATES), certain_half(dense(scores), ALL)
    )


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_factors_are_found_as_with_all_classes(factor: float) -> None:
    states = [
        EMState(LABELS, uniform_noise(0.2, CLASSES), candidates=candidates)
        for candidates in (CANDIDATES, None)
    ]
    scores = SCORES * np.float32(factor)
    scores[np.arange(TILES), CANDIDATES.columns_of(LABELS)] += 2
    kept = states[0].calibrate_to_labels(scores, "one")
    whole = states[1].calibrate_to_labels(dense(scores), "one")
    np.testing.assert_allclose(dense(kept), whole, atol=1e-3)
    np.testing.assert_allclose(
        states[0].log_likelihood(kept), states[1].log_likelihood(whole), atol=1e-3
    )
