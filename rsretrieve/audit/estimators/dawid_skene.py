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
  factor. P is then the product of all classifiers.
- *Out-of-sample* classifiers were trained on labels, but not of these tiles. They are treated
  like independent ones.

The area under the margin in training says only whether the given label is right. A logistic
curve turns it into a probability; the curve is fitted to the posterior of all the other
classifiers. The rest of the probability is shared equally by the other classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsretrieve.audit.estimators.classifiers import Classifier, Scores

Transitions = NDArray[np.float64]

_FIRST_ITERATIONS, _SECOND_ITERATIONS, _UPDATES = 6, 4, 2
_INITIAL_NOISE_RATE = 0.2
_PRIOR_TILES = 50.0
_FACTORS = np.geomspace(0.02, 200, 11)
_FINER = np.array([0.4, 0.63, 1, 1.58, 2.5]), np.array([0.73, 0.86, 1, 1.17, 1.37])
_SAMPLE = 4_000
_NEWTON_STEPS = 15
_LEAST = np.float32(1e-12)
_SAME_VECTORS = np.float32(0.5**0.5)
_LOG_CERTAIN = np.float32(100)


@dataclass(frozen=True)
class ClassifierSet:
    """The classifiers, by what they were trained on.

    Attributes:
        independent: not trained on labels; at least one.
        in_sample: trained on the labels of these tiles.
        out_of_sample: trained on labels of other tiles only.
        areas: (N,) float32 area under the margin of the training, NaN where unknown; or None.
    """

    independent: Sequence[Classifier]
    in_sample: Sequence[Classifier] = ()
    out_of_sample: Sequence[Classifier] = ()
    areas: NDArray[np.float32] | None = None

    @property
    def iterations(self) -> int:
        """How often `fit_dawid_skene` goes over all tiles."""
        return _FIRST_ITERATIONS + (_SECOND_ITERATIONS if self.in_sample else 0)


@dataclass(frozen=True)
class EMResult:
    """Posterior over the classes of N tiles.

    Attributes:
        log_odds: (N, K) float32, log(P_it · T_{t,y_i}), not normalised.
        transitions: (K, K) float64 T, row true class, column given label.
        independent: (N, K) float32, the posterior q without in-sample classifiers.
    """

    log_odds: Scores
    transitions: Transitions
    independent: Scores

    @property
    def posterior(self) -> Scores:
        """(N, K) float32 q; rows sum to 1."""
        return _softmax(self.log_odds)

    def with_confirmed(self, labels: NDArray[np.int64], rows: NDArray[np.bool_]) -> EMResult:
        """The same result, with some labels known to be right.

        Args:
            labels: (N,) int64 class numbers of the given labels.
            rows: (N,) bool, the confirmed labels.
        """
        certain = np.eye(self.log_odds.shape[1], dtype=np.float32)[labels[rows]]
        log_odds, independent = self.log_odds.copy(), self.independent.copy()
        log_odds[rows], independent[rows] = _LOG_CERTAIN * (certain - 1), certain
        return EMResult(log_odds, self.transitions, independent)


def fit_dawid_skene(
    labels: NDArray[np.int64],
    classes: int,
    classifiers: ClassifierSet,
    advance: Callable[[int], None] = lambda _: None,
) -> EMResult:
    """Estimate the posterior and the confusion matrix; see the module for the model.

    Args:
        labels: (N,) int64 class numbers of the given labels.
        classes: K.
        classifiers: of the N tiles.
        advance: called with N after each iteration.

    Returns:
        The posterior of N tiles.
    """
    state = EMState(labels, classes)
    for _ in range(_FIRST_ITERATIONS):
        independent = _scores_of(classifiers.independent, state)
        out_of_sample = _scores_of(classifiers.out_of_sample, state)
        for _ in range(_UPDATES):
            state.update(state.combine(independent) + state.combine(out_of_sample))
        advance(len(labels))
    independent_posterior = state.posterior
    if classifiers.in_sample:
        for _ in range(_SECOND_ITERATIONS):
            state.update(_all_classifiers(classifiers, state, independent_posterior))
            advance(len(labels))
    return EMResult(state.log_odds, state.transitions, independent_posterior)


def _scores_of(classifiers: Sequence[Classifier], state: EMState) -> list[Scores]:
    return [classifier.class_scores(state.posterior) for classifier in classifiers]


def _all_classifiers(classifiers: ClassifierSet, state: EMState, independent: Scores) -> Scores:
    """(N, K) log probabilities by all classifiers together and by the area under the margin."""
    by_labels = [
        state.calibrate_to_labels(scores) for scores in _scores_of(classifiers.independent, state)
    ]
    by_posterior = [
        state.calibrate_to_posterior(scores, independent)
        for scores in _scores_of(classifiers.in_sample, state)
    ]
    in_sample = state.calibrate_to_posterior(np.sum(by_posterior, axis=0), independent)
    log_p: Scores = _SAME_VECTORS * np.sum(by_labels, axis=0) + in_sample
    log_p += state.combine(_scores_of(classifiers.out_of_sample, state))
    if classifiers.areas is not None:
        log_p += state.log_p_by_area(classifiers.areas, _softmax(state.log_odds_of(log_p)))
    return log_p


class EMState:
    """The labels, and the current estimates of q and T.

    Args:
        labels: (N,) int64 class numbers of the given labels.
        classes: K.

    Attributes:
        posterior: (N, K) float32 q; at the start 1 for the given label.
        transitions: (K, K) float64 T.
        log_odds: (N, K) float32, log q before normalisation.
    """

    def __init__(self, labels: NDArray[np.int64], classes: int) -> None:
        self.labels, self.classes = labels, classes
        self.posterior: Scores = np.eye(classes, dtype=np.float32)[labels]
        self.transitions = _uniform_noise(_INITIAL_NOISE_RATE, classes)
        self.log_odds = np.log(self.posterior + _LEAST)
        self._sample = np.arange(0, len(labels), max(1, len(labels) // _SAMPLE))

    def calibrate_to_labels(self, scores: Scores) -> Scores:
        """Convert scores with the factor that maximises the likelihood of the labels.

        Args:
            scores: (N, K) float32 of one classifier.

        Returns:
            (N, K) float32 log probabilities.
        """
        given = self.transitions[:, self.labels[self._sample]].T

        def likelihood(log_p: Scores) -> float:
            return float(np.log((np.exp(log_p) * given).sum(axis=1) + _LEAST).sum())

        return self._with_best_factor(scores, likelihood)

    def combine(self, scores: Sequence[Scores]) -> Scores:
        """Convert and multiply the scores of classifiers that use the same vectors.

        Args:
            scores: (N, K) float32 of each classifier.

        Returns:
            (N, K) float32 log probabilities; a scalar 0 if there are no classifiers.
        """
        if not scores:
            return np.zeros((), np.float32)
        total = np.sum([self.calibrate_to_labels(each) for each in scores], axis=0)
        return self.calibrate_to_labels(total)

    def calibrate_to_posterior(self, scores: Scores, posterior: Scores) -> Scores:
        """Convert scores with the factor that maximises the likelihood of a posterior.

        Args:
            scores: (N, K) float32 of one classifier.
            posterior: (N, K) float32; rows sum to 1.

        Returns:
            (N, K) float32 log probabilities.
        """
        target = posterior[self._sample]
        floor = np.log(_LEAST)
        return self._with_best_factor(
            scores, lambda log_p: float((target * np.maximum(log_p, floor)).sum())
        )

    def log_p_by_area(self, areas: NDArray[np.float32], posterior: Scores) -> Scores:
        """Convert the area under the margin (Pleiss et al., NeurIPS 2020) to log probabilities.

        Args:
            areas: (N,) float32, NaN where unknown.
            posterior: (N, K) float32 that the logistic curve is fitted to.

        Returns:
            (N, K) float32 log probabilities.
        """
        rows = np.flatnonzero(np.isfinite(areas))
        right = posterior[rows, self.labels[rows]].astype(np.float64)
        slope, offset = _logistic_curve(areas[rows].astype(np.float64), right)
        log_odds = slope * areas[rows] + offset
        log_p = np.full((len(self.labels), self.classes), -np.log(self.classes), np.float32)
        log_p[rows] = (-np.logaddexp(0, log_odds) - np.log(self.classes - 1))[:, None]
        log_p[rows, self.labels[rows]] = -np.logaddexp(0, -log_odds)
        return log_p

    def _with_best_factor(self, scores: Scores, objective: Callable[[Scores], float]) -> Scores:
        sample = scores[self._sample]

        def best_of(factors: NDArray[np.float64]) -> float:
            values = [objective(_log_softmax(sample * np.float32(factor))) for factor in factors]
            return float(factors[int(np.argmax(values))])

        best = best_of(_FACTORS)
        for finer in _FINER:
            best = best_of(best * finer)
        return np.maximum(_log_softmax(scores * np.float32(best)), np.log(_LEAST))

    def log_odds_of(self, log_p: Scores) -> Scores:
        """(N, K) log(P_it · T_{t,y_i}), not normalised."""
        given = np.log(self.transitions[:, self.labels].T).astype(np.float32)
        return _log_softmax(np.asarray(log_p, np.float32)) + given

    def update(self, log_p: Scores) -> None:
        """Set q from the log probabilities of the classifiers and T, then T from q."""
        self.log_odds = self.log_odds_of(log_p)
        self.posterior = _softmax(self.log_odds)
        counts = np.zeros((self.classes, self.classes))
        np.add.at(counts.T, self.labels, self.posterior)
        # The row of a class with few tiles is uncertain: it is drawn towards uniform noise.
        wrong = min(max(1 - np.trace(counts) / counts.sum(), 1e-6), 1 - 1e-6)
        prior = _PRIOR_TILES * _uniform_noise(wrong, self.classes)
        self.transitions = (counts + prior) / (counts + prior).sum(axis=1, keepdims=True)


def _logistic_curve(values: NDArray[np.float64], right: NDArray[np.float64]) -> tuple[float, float]:
    """Slope and offset that maximise the likelihood of `right`, 0…1, by Newton's method."""
    if not len(values):
        return 0.0, 0.0
    scale = max(float(values.std()), 1e-6)
    inputs = np.stack([values / scale, np.ones(len(values))], axis=1)
    found = np.zeros(2)
    for _ in range(_NEWTON_STEPS):
        p = 1 / (1 + np.exp(-np.clip(inputs @ found, -30, 30)))
        # A weak ridge penalty keeps the slope finite where the classes separate perfectly.
        gradient = inputs.T @ (p - right) + found
        curvature = (inputs.T * (p * (1 - p))) @ inputs + np.eye(2)
        found -= np.linalg.solve(curvature, gradient)
    return float(found[0] / scale), float(found[1])


def _uniform_noise(rate: float, classes: int) -> Transitions:
    """(K, K) T where a label is wrong with probability `rate`, equally for all other classes."""
    noise = np.full((classes, classes), rate / (classes - 1))
    np.fill_diagonal(noise, 1 - rate)
    return noise


def _log_softmax(scores: Scores) -> Scores:
    shifted = scores - scores.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)), np.float32)


def _softmax(scores: Scores) -> Scores:
    return np.exp(_log_softmax(scores))
