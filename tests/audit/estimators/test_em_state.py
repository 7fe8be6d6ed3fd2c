"""The steps of the EM fit, against loops and numerical derivatives."""

from __future__ import annotations

import numpy as np
import pytest

from rsretrieve.audit.estimators.candidates import AllClasses, log_softmax, softmax
from rsretrieve.audit.estimators.em_state import (
    EMState,
    Target,
    certain_half,
    uniform_noise,
)

RNG = np.random.default_rng(0)
SCORES = RNG.normal(0, 1, (60, 4))
LABELS = RNG.integers(0, 4, 60)


def likelihood(target: Target, factor: float) -> float:
    total = 0.0
    for row, weights in zip(log_softmax(SCORES * factor), target.weights):
        if target.times_p:
            total += float(np.log((np.exp(row) * weights).sum()))
        else:
            total += float(weights @ row)
    return total


@pytest.mark.parametrize("times_p", [True, False])
@pytest.mark.parametrize("factor", [0.3, 1.0, 4.0])
def test_slopes_are_the_derivatives_of_the_likelihood(times_p: bool, factor: float) -> None:
    target, h = Target(softmax(RNG.random((60, 4))), times_p), 1e-3
    assert target.likelihood(SCORES, factor) == pytest.approx(likelihood(target, factor))
    below, here, above = (likelihood(target, factor + d) for d in (-h, 0, h))
    first, second = target.slopes(SCORES, factor)
    assert first == pytest.approx((above - below) / (2 * h), rel=1e-4, abs=1e-4)
    assert second == pytest.approx((above - 2 * here + below) / h**2, rel=1e-3, abs=1e-3)


def test_calibrated_scores_have_the_best_factor_of_a_fine_grid() -> None:
    state = EMState(LABELS, uniform_noise(0.2, 4))
    informative = SCORES + 2 * np.eye(4)[LABELS]
    found = state.log_likelihood(state.calibrate_to_labels(informative, "one")).sum()
    grid = [state.log_likelihood(informative * f).sum() for f in np.geomspace(0.02, 200, 400)]
    assert found >= max(grid) - 1e-3


def test_half_of_each_class_is_certain_or_more() -> None:
    log_p = log_softmax(3 * SCORES)
    chosen = certain_half(log_p, AllClasses(4))
    p = np.exp(log_p)
    for label in range(4):
        members = [i for i in range(60) if p[i].argmax() == label]
        best = sorted(members, key=lambda i: -p[i].max())[: -(-len(members) // 2)]
        expected = set(best) | {i for i in members if p[i].max() >= 0.95}
        assert set(np.flatnonzero(chosen)) & set(members) == expected


def test_the_log_odds_have_the_wanted_rate_and_ranking() -> None:
    state = EMState(LABELS, uniform_noise(0.2, 4))
    state.update(log_softmax(SCORES))
    rows = np.arange(60)
    shifted = softmax(state.log_odds_with_rate(0.4))[rows, LABELS]
    assert 1 - shifted.mean() == pytest.approx(0.4, abs=1e-6)
    assert (np.argsort(shifted) == np.argsort(state.posterior[rows, LABELS])).all()


def test_labels_that_are_held_out_are_not_used() -> None:
    held_out = np.arange(60) % 3 == 0
    changed = np.where(held_out, (LABELS + 1) % 4, LABELS)
    states = []
    for labels in (LABELS, changed):
        state = EMState(labels, uniform_noise(0.2, 4), np.full((60, 4), 0.25), held_out)
        state.update(state.calibrate_to_labels(SCORES, "one"))
        states.append(state)
    np.testing.assert_array_equal(states[0].posterior, states[1].posterior)
    np.testing.assert_array_equal(states[0].transitions, states[1].transitions)
    assert not states[0].known_posterior[held_out].any()


def test_tiles_that_contradict_keep_a_factor_from_being_exaggerated() -> None:
    labels = np.random.default_rng(3).integers(0, 2, 6_000)
    scores = np.where(np.eye(2)[labels] > 0, 5.0, 0.0)
    contradicts = np.arange(6_000) % 3 != 0
    contradicts &= np.arange(6_000) % 10 == 1
    scores[contradicts] = scores[contradicts, ::-1]
    state = EMState(labels, uniform_noise(0.01, 2))
    log_p = state.calibrate_to_labels(scores, "one")
    assert np.exp(log_p).max() == pytest.approx(1 - contradicts.mean(), abs=0.02)
