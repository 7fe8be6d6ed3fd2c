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

Labels are also informative if the most probable class of held-out labels is the label itself more
often than by chance, by more than four standard errors: of many wrong labels, this shows more.

Where the best fit has distinct groups of tiles (see `groups`), only fits with such groups count.
Where another one has them that explains the labels, the estimate is that of this fit.
Overlap of the classes is judged in `overlap`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rsretrieve.audit.estimators.candidates import Candidates, Transitions
from rsretrieve.audit.estimators.em_state import EMState, uniform_noise
from rsretrieve.audit.estimators.given_labels import Decisions, GivenLabels
from rsretrieve.audit.estimators.starts.fits import (
    PASSES,
    Fit,
    HeldOut,
    Refit,
    fit_from,
    held_out,
    standard_errors,
)
from rsretrieve.audit.estimators.starts.groups import by_distinct_groups, is_certain, with_groups
from rsretrieve.audit.estimators.starts.overlap import (
    DISAGREE,
    EXPLAINS_SE,
    INFORMS_SE,
    range_with_overlap,
)
from rsretrieve.audit.noise_rate import RateRange, with_sampling_error

_LOW, _HIGH, _MIDDLE = 0.2, 0.8, 0.5
"""Rates to start from, as shares of the noise rate of random labels, 1 − 1/K."""

_AGREE, _HIGH_RATE, _AGREES_SE, _SEVERAL = 0.02, 0.5, 4.0, 5


@dataclass(frozen=True)
class FirstFit:
    """The best fit by classifiers that were not trained on the labels.

    Attributes:
        state: posterior and confusion matrix.
        rates: of all fits that explain the labels.
        is_distinct: the tiles form distinct groups, one of each class.
    """

    state: EMState
    rates: RateRange
    is_distinct: bool = False

    @property
    def lost_share(self) -> float:
        """The share of labels, 0…1, of classes that have several labels and would have no tile."""
        labels = np.bincount(self.state.labels, minlength=self.state.classes)
        tiles = self.state.candidates.shares(self.state.posterior) * len(self.state.labels)
        return float(labels[(labels >= _SEVERAL) & (tiles < 1)].sum() / len(self.state.labels))

    @property
    def rates_with_lost(self) -> RateRange:
        """The rates, down to those of a fit in which the labels of lost classes are right.

        Vectors that do not tell classes apart take them for one another. If many labels are of
        such classes, the rate cannot be determined.
        """
        if not (lost := self.lost_share):
            return self.rates
        given = self.state.given
        rates = self.rates.including(max(0.0, self.state.noise_rate - lost), given.open_count)
        return replace(rates, can_be_told=rates.can_be_told and lost <= DISAGREE)

    def refined(self, state: EMState, refit: Refit, advance: Callable[[int], None]) -> FirstFit:
        """The fit of more tiles, from a state with the confusion matrix of this one."""
        fit = fit_from(state, refit, advance, PASSES[1:])
        rates = self.rates
        for rate in fit.rates:
            rates = rates.including(rate, state.given.open_count)
        return FirstFit(fit.state, rates)


def first_fit(
    labels: NDArray[np.int64],
    candidates: Candidates,
    refit: Refit,
    advance: Callable[[int], None] = lambda _: None,
    decisions: Decisions | None = None,
    *,
    by_prototypes: bool = False,
) -> FirstFit:
    """Fit the noise model from several starts, and choose the fit that explains held-out labels.

    Args:
        labels: (N,) int64 class numbers of the given labels, before any decision.
        candidates: the classes of the columns of scores.
        refit: the classifiers.
        advance: called with N after each iteration.
        decisions: the classes that a person confirmed. The rates are those of the other labels.
        by_prototypes: prototypes of a model are among the classifiers.
    """
    undecided = GivenLabels.of(labels, decisions).open_count
    chance = 1 - 1 / candidates.classes

    def fit(share: float) -> Fit:
        start: Transitions = uniform_noise(share * chance, candidates.classes)
        state = EMState(labels, start, candidates=candidates, decisions=decisions)
        return fit_from(state, refit, advance)

    fits = [fit(share) for share in (_LOW, _HIGH)]
    has_groups = not by_prototypes or is_certain(fits, refit)
    if has_groups:
        fits = [by_distinct_groups(each, refit) for each in fits]
    if _agree(fits, _AGREE):
        if fits[0].rate < _HIGH_RATE * chance:
            found = range_with_overlap(fits[0], refit, _range_of(fits, undecided), advance)
            return FirstFit(fits[0].state, found, fits[0].is_distinct)
        fits = fits[:1]
    else:
        middle = fit(_MIDDLE)
        fits.append(by_distinct_groups(middle, refit) if has_groups else middle)
    predictions = [held_out(each, refit, advance) for each in fits]
    best = int(np.argmax([each.mean for each in predictions]))
    if not _are_informative(labels, predictions[best], candidates.classes):
        return FirstFit(fits[best].state, RateRange(0.0, 1.0, False, False))
    explaining = [
        fit
        for fit, each in zip(fits, predictions)
        if predictions[best].better_by(each) <= EXPLAINS_SE
        and (fit.is_distinct or not fits[best].is_distinct)
    ]
    chosen = _most_likely(with_groups(explaining), refit)
    found = _range_of(explaining, undecided)
    found = replace(found, can_be_told=_agree(explaining, DISAGREE))
    found = range_with_overlap(chosen, refit, found, advance)
    return FirstFit(chosen.state, found, chosen.is_distinct)


def _are_informative(labels: NDArray[np.int64], found: HeldOut, classes: int) -> bool:
    """Whether labels are predicted better than by their frequencies."""
    shares = np.bincount(labels, minlength=classes) / len(labels)
    if standard_errors(found.log_likelihood - np.log(shares[labels])) >= INFORMS_SE:
        return True
    by_chance = shares[found.predicted]
    error = np.sqrt((by_chance * (1 - by_chance)).sum())
    agreeing = (found.predicted == labels).sum() - by_chance.sum()
    return bool(agreeing >= _AGREES_SE * max(error, 1e-12))


def _most_likely(fits: Sequence[Fit], refit: Refit) -> Fit:
    """The fit under which the labels are most likely, of fits that explain held-out labels."""
    states = [fit.state for fit in fits]
    return fits[int(np.argmax([state.log_likelihood(refit(state)()).mean() for state in states]))]


def _agree(fits: Sequence[Fit], tolerance: float) -> bool:
    rates = [fit.rate for fit in fits]
    return max(rates) - min(rates) <= tolerance


def _range_of(fits: Sequence[Fit], tiles: int) -> RateRange:
    low, high = with_sampling_error([rate for fit in fits for rate in fit.rates], tiles)
    return RateRange(low, high)
