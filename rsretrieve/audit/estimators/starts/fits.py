"""One fit of the noise model from one start, and how well it predicts labels it did not use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsretrieve.audit.estimators.candidates import (
    Candidates,
    Scores,
    log_softmax,
    posterior_of_label,
)
from rsretrieve.audit.estimators.classifiers import assign_folds
from rsretrieve.audit.estimators.em_state import LOG_CERTAIN, EMState

Refit = Callable[[EMState], Callable[[], Scores]]
"""Refits the classifiers to a state; see `dawid_skene.log_p_by_labels`."""

PASSES, UPDATES = ((True, 5), (False, 5)), 2
"""T is first counted on all tiles, then on the certain half; fewest iterations of each."""

_MOST_ITERATIONS, _STILL_CHANGES = 30, 0.002
_PARTS, _HELD_OUT_ITERATIONS = 3, 5


@dataclass(frozen=True)
class Fit:
    """A fit, and the noise rates by other ways to count.

    Attributes:
        state: posterior and confusion matrix.
        other_rates: by other ways to count than the mean of the posterior.
        is_distinct: the tiles form distinct groups, one of each class; see `groups`.
    """

    state: EMState
    other_rates: tuple[float, ...] = ()
    is_distinct: bool = False

    @property
    def rate(self) -> float:
        """The mean probability that a label is wrong."""
        return self.state.noise_rate

    @property
    def rates(self) -> tuple[float, ...]:
        """By all ways to count."""
        return (self.rate, *self.other_rates)


@dataclass(frozen=True)
class HeldOut:
    """How well a fit predicts N labels, each by a posterior that does not use it.

    Attributes:
        log_likelihood: (N,) float64 of each label.
        predicted: (N,) int64 the most probable class.
    """

    log_likelihood: NDArray[np.float64]
    predicted: NDArray[np.int64]

    @property
    def mean(self) -> float:
        """The mean log likelihood."""
        return float(self.log_likelihood.mean())

    def better_by(self, other: HeldOut) -> float:
        """By how many standard errors its mean log likelihood is higher than another one's."""
        return standard_errors(self.log_likelihood - other.log_likelihood)


def fit_from(
    state: EMState,
    refit: Refit,
    advance: Callable[[int], None],
    passes: Sequence[tuple[bool, int]] = PASSES,
) -> Fit:
    """Iterate until the posterior changes no more: first with T of all tiles, then of half.

    Args:
        state: to start from; it is changed.
        refit: the classifiers.
        advance: called with N after each iteration.
        passes: whether T is counted on all tiles, and the fewest iterations.
    """
    rates: list[float] = []
    for by_all_tiles, fewest in passes:
        # A few wrong decisions could lead the first iterations to another local maximum.
        state.is_reviewed = not by_all_tiles
        for iteration in range(_MOST_ITERATIONS):
            before = state.posterior
            log_p = refit(state)
            for _ in range(UPDATES):
                state.update(log_p(), by_all_tiles=by_all_tiles)
            advance(len(state.labels))
            change = np.abs(state.posterior - before).sum(axis=1).mean() / 2
            if iteration + 1 >= fewest and change < _STILL_CHANGES:
                break
        rates.append(state.noise_rate)
    return Fit(state, (rates[0], state.noise_rate_by_transitions))


def held_out(
    fit: Fit,
    refit: Refit,
    advance: Callable[[int], None],
    iterations: int = _HELD_OUT_ITERATIONS,
    *,
    keeps_transitions: bool = False,
) -> HeldOut:
    """Predict every label by a posterior that does not use it: of two parts of the tiles in three.

    The confusion matrix is that of the fit: one label changes it little. It changes in the
    iterations, unless it is kept.

    Args:
        fit: whose confusion matrix.
        refit: the classifiers.
        advance: called with N after each iteration.
        iterations: for each of the three parts.
        keeps_transitions: the confusion matrix does not change.
    """
    labels, transitions = fit.state.labels, fit.state.transitions
    candidates = fit.state.candidates
    by_label = posterior_of_label(candidates, transitions, labels)
    found, predicted = np.empty(len(labels)), np.empty(len(labels), np.int64)
    parts = assign_folds(labels, _PARTS)
    for part in range(_PARTS):
        rows = parts == part
        state = EMState(labels, transitions, by_label, rows, candidates, fit.state.decisions)
        for _ in range(iterations):
            state.update(refit(state)(), by_all_tiles=False)
            state.transitions = transitions if keeps_transitions else state.transitions
            advance(len(labels))
        log_p = refit(state)()
        found[rows] = state.log_likelihood(log_p)[rows]
        predicted[rows] = most_probable(log_p, candidates)[rows]
    return HeldOut(found, predicted)


def most_probable(log_p: Scores, candidates: Candidates) -> NDArray[np.int64]:
    """(N,) int64 the class with the highest of (N, C) log probabilities."""
    columns = log_p[:, candidates.likely].argmax(axis=1)
    return np.asarray(candidates.classes_of(columns[:, None])[:, 0], np.int64)


def certain_share(log_p: Scores, candidates: Candidates) -> float:
    """The share of tiles one of whose classes has a probability of 0.95."""
    likely = log_softmax(log_p, candidates.log_sizes)[:, candidates.likely]
    return float((likely.max(axis=1) >= LOG_CERTAIN).mean())


def standard_errors(differences: NDArray[np.float64]) -> float:
    """The mean of differences, in units of its standard error."""
    error = float(differences.std()) / np.sqrt(len(differences))
    return float(differences.mean() / max(error, 1e-12))
