"""Fit the noise model from several starts, and decide whether the noise rate is determined.

The EM fit finds a local maximum, which depends on the start. From a low noise rate alone it stays
near this rate, however many labels are wrong. It is therefore repeated from a low and a high rate.

Fits that differ are compared on labels that they did not use: the tiles are split in three, the
fit uses the labels of two parts, and the likelihood Σ_t P_it T_{t,y_i} of the labels in the third
is measured. The training likelihood would prefer the most complicated explanation.

- A fit *explains* the labels if its mean log likelihood is not less than that of the best fit by
  more than two standard errors of the difference.
- The labels are *informative* if the best fit predicts them better than their frequencies do, by
  more than three standard errors. Otherwise the vectors say nothing about the labels, and every
  noise rate is possible.
- Otherwise the noise rate is determined if the rates of all fits that explain the labels agree.

Classes that overlap look like noise: a tile near the border has a label that its neighbours do not
have. Where many tiles are uncertain, the fit is therefore compared with right labels of classes
that overlap. Unless it explains the held-out labels better, by more than three standard errors,
the range begins at 0; if it is not even better by two, and more than a tenth of the labels would be
wrong, the rate cannot be determined.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rsretrieve.audit.estimators.candidates import (
    Candidates,
    Scores,
    Transitions,
    log_softmax,
    posterior_of_label,
)
from rsretrieve.audit.estimators.classifiers import assign_folds
from rsretrieve.audit.estimators.em_state import LOG_CERTAIN, EMState, uniform_noise
from rsretrieve.audit.estimators.given_labels import Decisions, GivenLabels

Refit = Callable[[EMState], Callable[[], Scores]]
"""Refits the classifiers to a state; see `dawid_skene.log_p_by_labels`."""

_LOW, _HIGH, _MIDDLE = 0.2, 0.8, 0.5
"""Rates to start from, as shares of the noise rate of random labels, 1 − 1/K."""

_PASSES, _UPDATES = ((True, 5), (False, 5)), 2
"""T is first counted on all tiles, then on the certain half; fewest iterations of each."""

_MOST_ITERATIONS, _STILL_CHANGES = 30, 0.002
_AGREE, _DISAGREE = 0.02, 0.1
_HIGH_RATE = 0.5
_PARTS, _HELD_OUT_ITERATIONS = 3, 5
_EXPLAINS_SE, _INFORMS_SE = 2.0, 3.0
_NORMAL_95 = 1.96
_NO_NOISE, _CERTAIN_SHARE = 0.01, 0.7
_MODEL_ERROR = 0.01
"""A tile that looks like another class counts as mislabelled; about so many do in clean data."""


@dataclass(frozen=True)
class RateRange:
    """The noise rates of all fits that explain the labels.

    Attributes:
        low, high: ends of an interval that covers them and their sampling error.
        can_be_told: the fits agree, and the labels are informative.
        is_informative: the vectors predict labels better than their frequencies do.
    """

    low: float
    high: float
    can_be_told: bool = True
    is_informative: bool = True

    def including(self, rate: float, tiles: int) -> RateRange:
        """The range that also covers another estimate of the rate, of so many tiles."""
        low, high = _with_sampling_error([rate], tiles)
        return replace(self, low=min(self.low, low), high=max(self.high, high))

    def moved(self, by: float) -> RateRange:
        """The range after the labels changed, which changes the mean probability by `by`."""
        low, high = (float(np.clip(end + by, 0, 1)) for end in (self.low, self.high))
        return replace(self, low=low, high=high)

    def scaled(self, share: float) -> RateRange:
        """The range for all labels, if it is that of a share of them and the others are right."""
        return replace(self, low=self.low * share, high=self.high * share)


@dataclass(frozen=True)
class FirstFit:
    """The best fit by classifiers that were not trained on the labels.

    Attributes:
        state: posterior and confusion matrix.
        rates: of all fits that explain the labels.
    """

    state: EMState
    rates: RateRange

    def refined(self, state: EMState, refit: Refit, advance: Callable[[int], None]) -> FirstFit:
        """The fit of more tiles, from a state with the confusion matrix of this one."""
        fit = _fit(state, refit, advance, _PASSES[1:])
        rates = self.rates
        for rate in fit.rates:
            rates = rates.including(rate, state.given.open_count)
        return FirstFit(fit.state, rates)


@dataclass(frozen=True)
class _Fit:
    """A fit, and the noise rates by other ways to count."""

    state: EMState
    other_rates: tuple[float, ...]

    @property
    def rate(self) -> float:
        return self.state.noise_rate

    @property
    def rates(self) -> tuple[float, ...]:
        return (self.rate, *self.other_rates)


def first_fit(
    labels: NDArray[np.int64],
    candidates: Candidates,
    refit: Refit,
    advance: Callable[[int], None] = lambda _: None,
    decisions: Decisions | None = None,
) -> FirstFit:
    """Fit the noise model from several starts, and choose the fit that explains held-out labels.

    Args:
        labels: (N,) int64 class numbers of the given labels, before any decision.
        candidates: the classes of the columns of scores.
        refit: the classifiers.
        advance: called with N after each iteration.
        decisions: the classes that a person confirmed. The rates are those of the other labels.
    """
    classes, undecided = candidates.classes, GivenLabels.of(labels, decisions).open_count
    chance = 1 - 1 / classes
    starts = [uniform_noise(share * chance, classes) for share in (_LOW, _HIGH)]

    def fit(start: Transitions) -> _Fit:
        state = EMState(labels, start, candidates=candidates, decisions=decisions)
        return _fit(state, refit, advance)

    fits = [fit(start) for start in starts]
    if _agree(fits, _AGREE):
        if fits[0].rate < _HIGH_RATE * chance:
            found = _range_of(fits, undecided)
            if found.low > 0 and _overlap(fits[0], refit):
                found = _down_to_overlap(fits[0], refit, found, advance)
            return FirstFit(fits[0].state, found)
        fits = fits[:1]
    else:
        fits.append(fit(uniform_noise(_MIDDLE * chance, classes)))
    likelihoods = [_held_out_likelihood(each, refit, advance) for each in fits]
    frequencies = np.log(np.bincount(labels, minlength=classes) / len(labels))[labels]
    best = int(np.argmax([each.mean() for each in likelihoods]))
    if _standard_errors(likelihoods[best] - frequencies) < _INFORMS_SE:
        return FirstFit(fits[best].state, RateRange(0.0, 1.0, False, False))
    explaining = _that_explain(fits, likelihoods, best)
    chosen = _most_likely(explaining, refit)
    found = _range_of(explaining, undecided)
    return FirstFit(
        chosen.state, RateRange(found.low, found.high, _agree(explaining, _DISAGREE), True)
    )


def _fit(
    state: EMState,
    refit: Refit,
    advance: Callable[[int], None],
    passes: Sequence[tuple[bool, int]] = _PASSES,
) -> _Fit:
    """Iterate until the posterior changes no more: first with T of all tiles, then of half."""
    rates: list[float] = []
    for by_all_tiles, fewest in passes:
        # A few wrong decisions could lead the first iterations to another local maximum.
        state.is_reviewed = not by_all_tiles
        for iteration in range(_MOST_ITERATIONS):
            before = state.posterior
            log_p = refit(state)
            for _ in range(_UPDATES):
                state.update(log_p(), by_all_tiles=by_all_tiles)
            advance(len(state.labels))
            change = np.abs(state.posterior - before).sum(axis=1).mean() / 2
            if iteration + 1 >= fewest and change < _STILL_CHANGES:
                break
        rates.append(state.noise_rate)
    return _Fit(state, (rates[0], state.noise_rate_by_transitions))


def _held_out_likelihood(
    fit: _Fit,
    refit: Refit,
    advance: Callable[[int], None],
    iterations: int = _HELD_OUT_ITERATIONS,
) -> NDArray[np.float64]:
    """(N,) log likelihood of every label, by a posterior that does not use it.

    The confusion matrix is that of the fit: one label changes it little.
    """
    labels, transitions = fit.state.labels, fit.state.transitions
    candidates = fit.state.candidates
    by_label = posterior_of_label(candidates, transitions, labels)
    found = np.empty(len(labels))
    parts = assign_folds(labels, _PARTS)
    for part in range(_PARTS):
        rows = parts == part
        state = EMState(labels, transitions, by_label, rows, candidates, fit.state.decisions)
        for _ in range(iterations):
            state.update(refit(state)(), by_all_tiles=False)
            advance(len(labels))
        found[rows] = state.log_likelihood(refit(state)())[rows]
    return found


def _overlap(fit: _Fit, refit: Refit) -> bool:
    """Whether so few tiles are certain that noise may be overlap of the classes."""
    candidates = fit.state.candidates
    log_p = log_softmax(refit(fit.state)(), candidates.log_sizes)
    certain = log_p[:, candidates.likely].max(axis=1) >= LOG_CERTAIN
    return bool(certain.mean() < _CERTAIN_SHARE)


def _down_to_overlap(
    fit: _Fit, refit: Refit, found: RateRange, advance: Callable[[int], None]
) -> RateRange:
    """The range, from 0 on if right labels of classes that overlap explain the labels as well."""
    state = fit.state
    noise = uniform_noise(_NO_NOISE, state.classes)
    clean = EMState(state.labels, noise, candidates=state.candidates, decisions=state.decisions)
    with_noise = _held_out_likelihood(fit, refit, advance)
    without = _held_out_likelihood(_Fit(clean, ()), refit, advance, iterations=0)
    better_by = _standard_errors(with_noise - without)
    if better_by > _INFORMS_SE:
        return found
    can_be_told = better_by > _EXPLAINS_SE or fit.rate <= _DISAGREE
    return replace(found, low=0.0, can_be_told=can_be_told)


def _that_explain(
    fits: Sequence[_Fit], likelihoods: Sequence[NDArray[np.float64]], best: int
) -> list[_Fit]:
    return [
        fit
        for fit, each in zip(fits, likelihoods)
        if _standard_errors(likelihoods[best] - each) <= _EXPLAINS_SE
    ]


def _most_likely(fits: Sequence[_Fit], refit: Refit) -> _Fit:
    """The fit under which the labels are most likely, of fits that explain held-out labels."""
    states = [fit.state for fit in fits]
    return fits[int(np.argmax([state.log_likelihood(refit(state)()).mean() for state in states]))]


def _standard_errors(differences: NDArray[np.float64]) -> float:
    """The mean of differences, in units of its standard error."""
    error = float(differences.std()) / np.sqrt(len(differences))
    return float(differences.mean() / max(error, 1e-12))


def _agree(fits: Sequence[_Fit], tolerance: float) -> bool:
    rates = [fit.rate for fit in fits]
    return max(rates) - min(rates) <= tolerance


def _range_of(fits: Sequence[_Fit], tiles: int) -> RateRange:
    low, high = _with_sampling_error([rate for fit in fits for rate in fit.rates], tiles)
    return RateRange(low, high)


def _with_sampling_error(rates: Sequence[float], tiles: int) -> tuple[float, float]:
    low, high = min(rates), max(rates)
    errors = [_NORMAL_95 * float(np.sqrt(rate * (1 - rate) / tiles)) for rate in (low, high)]
    return max(0.0, low - errors[0] - _MODEL_ERROR), min(1.0, high + errors[1] + _MODEL_ERROR)
