"""The ranking of labels where classes overlap.

Where many tiles are uncertain, refitting the classifiers to their own posterior may carry them away
from the labels. The labels are then ranked by the mean of two log odds of each label: those of the
fit, and those of a classifier that is fitted once to the labels as they are.

- If wrong labels may be of any class, it is a logistic regression, which counts twice.
- If right labels of classes that overlap explain the labels as well as noise, it is the
  discriminant. Wrong labels that resemble the tiles look like overlap, and the noise model of the
  fit would hide them.

The prototypes of a model that saw none of the tiles, and the discriminant of its embedding, err on
the same tiles, and their product is too certain. With them, the logistic regression counts wherever
wrong labels may be of any class, three times. Elsewhere the prototypes tell more than the labels.

Only the order changes: the probabilities that labels are wrong stay the same as a set, so that
their mean is still the noise rate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsretrieve.audit.estimators.candidates import Scores, certain_posterior
from rsretrieve.audit.estimators.classifiers import Classifier
from rsretrieve.audit.estimators.em_state import EMState, uniform_noise
from rsretrieve.audit.estimators.starts.fits import Refit, certain_share
from rsretrieve.audit.estimators.starts.groups import CERTAIN_SHARE
from rsretrieve.audit.estimators.starts.overlap import may_be_of_any_class
from rsretrieve.audit.noise_rate import RateRange

_NO_NOISE, _LOGISTIC_WEIGHT, _WEIGHT_BESIDE_PROTOTYPES = 0.01, 2.0, 3.0


@dataclass(frozen=True)
class LabelOdds:
    """A second opinion on the labels.

    Attributes:
        log_odds: (N,) float64 of each label against all others.
        weight: how much they count, beside 1 of the fit.
    """

    log_odds: NDArray[np.float64]
    weight: float

    def ranked(self, log_odds: Scores, state: EMState) -> Scores:
        """(N, C) log odds of a fit, with the labels that nobody decided on in the mean order.

        Args:
            log_odds: (N, C) of a class of each column.
            state: the labels.
        """
        rows = np.flatnonzero(state.given.is_open)
        own = state.own[rows]
        before = odds_of_labels(log_odds[rows], own)
        order = np.argsort(before + self.weight * self.log_odds[rows], kind="stable")
        after = np.empty(len(rows))
        after[order] = np.sort(before)
        found = log_odds.copy()
        found[rows, own] += after - before
        return found


def odds_by_labels(
    state: EMState,
    refit: Refit,
    rates: RateRange,
    discriminant: Classifier,
    logistic: Classifier,
    *,
    by_prototypes: bool,
) -> LabelOdds | None:
    """The log odds by a classifier of the labels as they are; None where they do not help.

    Args:
        state: of the best fit.
        refit: the classifiers.
        rates: that explain the labels.
        discriminant: to be fitted to the labels.
        logistic: to be fitted to the labels.
        by_prototypes: prototypes of a model are among the classifiers.
    """
    if not rates.is_informative:
        return None
    given = certain_posterior(state.candidates, state.given.current)
    if may_be_of_any_class(state.transitions):
        is_certain = certain_share(refit(state)(), state.candidates) >= CERTAIN_SHARE
        if is_certain and not by_prototypes:
            return None
        scores = logistic.class_scores(given)
        weight = _WEIGHT_BESIDE_PROTOTYPES if by_prototypes else _LOGISTIC_WEIGHT
        return LabelOdds(odds_of_labels(scores, state.own), weight)
    if rates.part > 0 or by_prototypes:
        return None
    noise = uniform_noise(_NO_NOISE, state.classes)
    clean = EMState(state.labels, noise, candidates=state.candidates, decisions=state.decisions)
    scores = clean.calibrate_to_labels(discriminant.class_scores(given), "discriminant")
    return LabelOdds(odds_of_labels(scores, state.own), 1.0)


def odds_of_labels(log_odds: Scores, own: NDArray[np.int64]) -> NDArray[np.float64]:
    """(n,) float64 log odds of the label against all other classes.

    Args:
        log_odds: (n, K), not normalised.
        own: (n,) int64 column of the label.
    """
    rows = np.arange(len(own))
    others = log_odds.astype(np.float64)
    others[rows, own] = -np.inf
    return np.asarray(log_odds[rows, own] - np.logaddexp.reduce(others, axis=1))
