"""Estimate the true class of each tile and how labels become wrong, by expectation maximisation.

A tile of class t is labelled y with probability T_ty (the confusion matrix of the labelling).
With P_it the probability of class t by the classifiers, the posterior of tile i given its label
y_i is

    q_it ∝ P_it · T_{t,y_i}          issue_probability = 1 − q_{i,y_i}

T and q are estimated in turn (Dawid & Skene, Applied Statistics 1979; with a network as the
classifier, Bekker & Goldberger, ICASSP 2016). In each iteration the classifiers are refitted to
the current posterior instead of the labels. The scores of each classifier are multiplied by a
factor of its own and become probabilities by a softmax. How the factor is chosen depends on what
the classifier was trained on:

- *Independent* classifiers use the labels only through the posterior (cross-fitted discriminant,
  votes of neighbours). Their factor maximises the likelihood of the given labels,
  Σ_t P_it T_{t,y_i}. Several of them use the same vectors, so their product gets one more such
  factor. Next to classifiers on other vectors it gets √½ instead, halfway between two
  independent sources and one source counted twice.
- *In-sample* classifiers were trained on these labels and may have memorised them. Their factor
  maximises the likelihood of the *independent posterior*, so they count only as far as the
  independent classifiers confirm them. Their product, on the same vectors, gets one more such
  factor. P is then the product of all classifiers. If the noise rate then lies outside the interval
  of the independent classifiers by more than 0.1, or so far below their estimate, it cannot be
  told.
- *Out-of-sample* classifiers were trained on labels, but not of these tiles. They are treated
  like independent ones. Prototypes by which a class would have no tile are not used.

A *logistic regression* is fitted once to the labels themselves, cross-fitted, and joins the
independent classifiers for the last updates, if there are no in-sample ones. It predicts labels
instead of classes, which is the same up to a constant where a wrong label may be of any class.
Otherwise, or where the labels are not more probable with it, it does not join. For the ranking
where classes overlap, see `starts.label_odds`.

The area under the margin in training says only whether the given label is right. A logistic
curve turns it into a probability; the curve is fitted to the posterior of all the other
classifiers. The rest of the probability is shared equally by the other classes.

The fit is repeated from a low and from a high noise rate; see `starts.several_starts`. Of very
many tiles, the starts are tried on a sample, whose confusion matrix starts the fit of all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from rsretrieve.audit.estimators.candidates import (
    AllClasses,
    Candidates,
    Scores,
    Transitions,
    certain_posterior,
    softmax,
)
from rsretrieve.audit.estimators.classifiers import Classifier, Restricted
from rsretrieve.audit.estimators.em_state import EMState
from rsretrieve.audit.estimators.given_labels import Decisions, GivenLabels
from rsretrieve.audit.estimators.logistic_regression import Logistic
from rsretrieve.audit.estimators.starts.label_odds import LabelOdds, odds_by_labels
from rsretrieve.audit.estimators.starts.overlap import may_be_of_any_class
from rsretrieve.audit.estimators.starts.several_starts import FirstFit, first_fit
from rsretrieve.audit.noise_rate import RateRange, with_sampling_error

_ITERATIONS = 4
_SAME_VECTORS = 0.5**0.5
_CONTRADICTED = 0.1
_LOGISTIC_UPDATES, _RANKING_STRENGTH, _STRENGTH_BESIDE_PROTOTYPES = 3, 1.0, 2.0


@dataclass(frozen=True)
class ClassifierSet:
    """The classifiers, by what they were trained on.

    Attributes:
        independent: not trained on labels; at least one.
        in_sample: trained on the labels of these tiles.
        out_of_sample: trained on labels of other tiles only.
        areas: (N,) float32 area under the margin of the training, NaN where unknown; or None.
        candidates: the classes of the columns of their scores; None for all.
        sample: some of very many tiles, on which several starts are tried; None for all.
        logistic: to be fitted to the labels; None for none.
        views: number of vectors of each tile that the independent classifiers use. Beside
            classifiers on other vectors, the independent ones of all views are averaged.
    """

    independent: Sequence[Classifier]
    in_sample: Sequence[Classifier] = ()
    out_of_sample: Sequence[Classifier] = ()
    areas: NDArray[np.float32] | None = None
    candidates: Candidates | None = None
    sample: SampledClassifiers | None = None
    logistic: Logistic | None = None
    views: int = 1

    @property
    def has_prototypes(self) -> bool:
        """Whether prototypes of a model are among the independent classifiers."""
        return any(isinstance(each, Restricted) for each in self.independent)

    @property
    def without_prototypes(self) -> ClassifierSet:
        """The same without these."""
        others = [each for each in self.independent if not isinstance(each, Restricted)]
        return replace(self, independent=others)


@dataclass(frozen=True)
class SampledClassifiers:
    """The classifiers of some of the tiles, fitted to these alone.

    Attributes:
        rows: (n,) int64 the tiles.
        classifiers: of these tiles.
    """

    rows: NDArray[np.int64]
    classifiers: ClassifierSet


@dataclass(frozen=True)
class EMResult:
    """Posterior over the classes of N tiles.

    Attributes:
        log_odds: (N, C), log(P_it · T_{t,y_i}), not normalised, of a class of each column.
        transitions: (K, K) float64 T, row true class, column given label.
        independent: (N, C), the posterior q without in-sample classifiers.
        rates: noise rates that explain the labels as they are after the decisions, and whether
            they agree.
        candidates: the classes of the C columns.
        given: the labels that it was fitted to.
    """

    log_odds: Scores
    transitions: Transitions
    independent: Scores
    rates: RateRange
    candidates: Candidates
    given: GivenLabels

    @property
    def posterior(self) -> Scores:
        """(N, C) q; rows sum to 1."""
        return softmax(self.log_odds, self.candidates.log_sizes)

    def for_labels(self, labels: NDArray[np.int64]) -> EMResult:
        """The same result, with noise rates of other labels than those it was fitted to.

        Args:
            labels: (N,) int64 the labels whose noise rate is of interest.
        """
        rows, posterior = np.flatnonzero(self.given.is_open), self.posterior
        own, other = (
            self.candidates.columns_of(each)[rows] for each in (self.given.labels, labels)
        )
        gain = (posterior[rows, own] - posterior[rows, other]).sum(dtype=np.float64)
        return replace(self, rates=self.rates.moved(float(gain) / len(labels)))


def fit_dawid_skene(
    labels: NDArray[np.int64],
    classes: int,
    classifiers: ClassifierSet,
    advance: Callable[[int], None] = lambda _: None,
    decisions: Decisions | None = None,
) -> EMResult:
    """Estimate the posterior and the confusion matrix; see the module for the model.

    Args:
        labels: (N,) int64 class numbers of the given labels, before any decision, in an order
            that is random within each class.
        classes: K.
        classifiers: of the N tiles.
        advance: called with a number of tiles after each iteration.
        decisions: the classes that a person confirmed; None for no tile.

    Returns:
        The posterior of N tiles.
    """
    candidates = classifiers.candidates or AllClasses(classes)
    given = GivenLabels.of(labels, decisions)
    first = _first_fit(given, candidates, classifiers, advance)
    if first.lost_share and classifiers.has_prototypes:
        classifiers = classifiers.without_prototypes
        first = _first_fit(given, candidates, classifiers, advance)
    state, by_labels = first.state, None
    if not classifiers.in_sample and not first.is_distinct:
        by_labels = _odds_by_labels(classifiers, first)
        _update_with_logistic(classifiers, state, advance)
    independent_posterior, rates = state.posterior, first.rates_with_lost
    rate = min(rates.part * state.noise_rate_by_transitions, rates.most)
    if not classifiers.in_sample:
        rates = rates.including(rate, state.given.open_count) if rates.is_informative else rates
        log_odds = state.log_odds_with_rate(rate)
        log_odds = by_labels.ranked(log_odds, state) if by_labels else log_odds
        return _result(log_odds, state, independent_posterior, rates)
    for _ in range(_ITERATIONS):
        # In-sample classifiers are certain of the labels that they memorised.
        log_p = _all_classifiers(classifiers, state, independent_posterior)
        state.update(log_p, by_all_tiles=True)
        advance(len(labels))
    tiles = state.given.open_count
    # A training that memorised wrong labels says that they are right.
    lowest, _ = with_sampling_error([rate], tiles)
    contradicted = rates.distance(state.noise_rate) > _CONTRADICTED
    contradicted = contradicted or lowest - state.noise_rate > _CONTRADICTED
    rates = rates.including(state.noise_rate, tiles)
    rates = replace(rates, can_be_told=rates.can_be_told and not contradicted)
    return _result(state.log_odds, state, independent_posterior, rates)


def _result(log_odds: Scores, state: EMState, independent: Scores, rates: RateRange) -> EMResult:
    given = state.given
    certain = given.with_confirmed_odds(log_odds, state.current)
    rates = rates.scaled(given.open_share)
    return EMResult(certain, state.transitions, independent, rates, state.candidates, given)


def _first_fit(
    given: GivenLabels,
    candidates: Candidates,
    classifiers: ClassifierSet,
    advance: Callable[[int], None],
) -> FirstFit:
    """The fit that explains the labels best; of very many tiles, a sample tells where to start."""
    refit = partial(log_p_by_labels, classifiers)
    labels, decisions = given.labels, given.decisions
    if classifiers.sample is None:
        learned = classifiers.has_prototypes
        return first_fit(labels, candidates, refit, advance, decisions, by_prototypes=learned)
    rows, of_sample = classifiers.sample.rows, classifiers.sample.classifiers
    of_rows = of_sample.candidates or AllClasses(candidates.classes)
    some = GivenLabels.of(labels[rows], decisions.taken(rows))
    found = _first_fit(some, of_rows, of_sample, advance)
    start = found.state.transitions
    state = EMState(labels, start, candidates=candidates, decisions=decisions)
    return found.refined(state, refit, advance)


def _odds_by_labels(classifiers: ClassifierSet, first: FirstFit) -> LabelOdds | None:
    """See `starts.label_odds`."""
    if classifiers.logistic is None:
        return None
    refit, discriminant = partial(log_p_by_labels, classifiers), classifiers.independent[0]
    by_prototypes = classifiers.has_prototypes
    strength = _STRENGTH_BESIDE_PROTOTYPES if by_prototypes else _RANKING_STRENGTH
    logistic = replace(classifiers.logistic, strength=strength)
    return odds_by_labels(
        first.state, refit, first.rates, discriminant, logistic, by_prototypes=by_prototypes
    )


def _update_with_logistic(
    classifiers: ClassifierSet, state: EMState, advance: Callable[[int], None]
) -> None:
    """Let the logistic regression join if the labels are more probable with it.

    It does not, either, if wrong labels are mostly of certain classes.
    """
    if classifiers.logistic is None or not may_be_of_any_class(state.transitions):
        return
    given = certain_posterior(state.candidates, state.given.current)
    independent = _scores_of(classifiers.independent, state)
    others = _scores_of(classifiers.out_of_sample, state)
    scores = [*independent, classifiers.logistic.class_scores(given)]

    def log_p(chosen: list[Scores], name: str) -> Scores:
        return np.asarray(state.combine(chosen, name) + state.combine(others, "out of sample"))

    before = state.posterior, state.log_odds, state.transitions
    likelihood = state.log_likelihood(log_p(independent, "independent")).mean()
    for _ in range(_LOGISTIC_UPDATES):
        state.update(log_p(scores, "with logistic"), by_all_tiles=False)
        advance(len(state.labels))
    if state.log_likelihood(log_p(scores, "with logistic")).mean() < likelihood:
        state.posterior, state.log_odds, state.transitions = before


def log_p_by_labels(classifiers: ClassifierSet, state: EMState) -> Callable[[], Scores]:
    """Refit all classifiers but the in-sample ones to the posterior.

    Returns:
        A function that converts their scores to (N, C) log probabilities by the current T.
    """
    independent = _scores_of(classifiers.independent, state)
    out_of_sample = _scores_of(classifiers.out_of_sample, state)
    return lambda: np.asarray(
        state.combine(independent, "independent") + state.combine(out_of_sample, "out of sample")
    )


def _scores_of(classifiers: Sequence[Classifier], state: EMState) -> list[Scores]:
    return [classifier.class_scores(state.known_posterior) for classifier in classifiers]


def _all_classifiers(classifiers: ClassifierSet, state: EMState, independent: Scores) -> Scores:
    """(N, C) log probabilities by all classifiers together and by the area under the margin."""
    by_labels = [
        state.calibrate_to_labels(scores, f"independent {i}")
        for i, scores in enumerate(_scores_of(classifiers.independent, state))
    ]
    by_posterior = [
        state.calibrate_to_posterior(scores, independent, f"in-sample {i}")
        for i, scores in enumerate(_scores_of(classifiers.in_sample, state))
    ]
    in_sample = state.calibrate_to_posterior(np.sum(by_posterior, axis=0), independent, "in-sample")
    log_p: Scores = _SAME_VECTORS / classifiers.views * np.sum(by_labels, axis=0) + in_sample
    log_p += state.combine(_scores_of(classifiers.out_of_sample, state), "out of sample")
    if classifiers.areas is not None:
        posterior = softmax(state.log_odds_of(log_p), state.candidates.log_sizes)
        log_p += state.log_p_by_area(classifiers.areas, posterior)
    return log_p
