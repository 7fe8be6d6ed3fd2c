"""The state of the EM fit: the posterior of each tile and the confusion matrix of the labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsretrieve.audit.estimators.classifiers import Scores
from rsretrieve.audit.estimators.given_labels import Decisions, GivenLabels

Transitions = NDArray[np.float64]

_PRIOR_TILES = 50.0
_SHARE_FOR_TRANSITIONS, LOG_CERTAIN = 0.5, float(np.log(0.95))
_FACTORS = np.geomspace(0.02, 200, 11)
_SAMPLE, _COARSE_SAMPLE = 2_000, 500
_NEWTON_STEPS = 15
_LARGEST_SHIFT, _BISECTIONS = 3.0, 40
_LONGEST_STEP, _SHORTEST_STEP = 1.0, 0.002
_LEAST = 1e-12


class EMState:
    """The labels, and the current estimates of q and T; see `dawid_skene` for the model.

    Args:
        labels: (N,) int64 class numbers of the given labels, before any decision.
        transitions: (K, K) float64 T to start from, row true class, column given label.
        posterior: (N, K) q to start from; None for certainty of the given label.
        is_held_out: (N,) bool, tiles whose label is not used; None for no tile.
        decisions: the classes that a person confirmed; None for no tile.

    Attributes:
        given: the labels and the decisions.
        posterior: (N, K) float64 q; certain where a person confirmed the class.
        transitions: (K, K) float64 T.
        log_odds: (N, K) float64, log q before normalisation.
    """

    def __init__(
        self,
        labels: NDArray[np.int64],
        transitions: Transitions,
        posterior: Scores | None = None,
        is_held_out: NDArray[np.bool_] | None = None,
        decisions: Decisions | None = None,
    ) -> None:
        self.labels, self.classes = labels, len(transitions)
        self.decisions, self.given = decisions, GivenLabels.of(labels, decisions)
        self.transitions = transitions
        start = np.eye(self.classes)[labels] if posterior is None else posterior
        self.posterior = self.given.with_confirmed(start)
        self.log_odds = np.log(self.posterior + _LEAST)
        self._factors: dict[str, float] = {}
        self._is_known = np.ones(len(labels), bool) if is_held_out is None else ~is_held_out
        known = np.flatnonzero(self._is_known)
        self._sample = known[:: max(1, len(known) // _SAMPLE)]

    @property
    def known_posterior(self) -> Scores:
        """(N, K) float64 q; zeros for the tiles that are held out."""
        return np.where(self._is_known[:, None], self.posterior, 0)

    @property
    def noise_rate(self) -> float:
        """Mean probability that a known label is wrong, of those that nobody decided on."""
        rows = np.flatnonzero(self._is_known & self.given.is_open)
        return float(1 - self.posterior[rows, self.labels[rows]].mean()) if len(rows) else 0.0

    @property
    def noise_rate_by_transitions(self) -> float:
        """The noise rate of T for classes as frequent as q says.

        Wrong labels that a person found are subtracted: it is the rate of the other labels.
        """
        rate = float(1 - self.posterior.mean(axis=0) @ np.diag(self.transitions))
        return self.given.rate_of_open(rate)

    def log_odds_with_rate(self, rate: float) -> Scores:
        """`log_odds`, with one number added to those of the given labels.

        T is estimated on tiles that are certain, so its noise rate is less biased than the mean
        of q. The number is chosen so that both are equal; it does not change the ranking.

        Args:
            rate: the mean probability that a label is wrong that nobody decided on.

        Returns:
            (N, K) float64.
        """
        rows = np.flatnonzero(self.given.is_open)
        if not len(rows):
            return self.log_odds
        own = np.clip(self.posterior[rows, self.labels[rows]], _LEAST, 1 - _LEAST)
        margin = np.log(own) - np.log1p(-own)
        low, high = -_LARGEST_SHIFT, _LARGEST_SHIFT
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            too_many = float(np.mean(1 / (1 + np.exp(margin + middle)))) > rate
            low, high = (middle, high) if too_many else (low, middle)
        log_odds = self.log_odds.copy()
        log_odds[rows, self.labels[rows]] += (low + high) / 2
        return log_odds

    def log_likelihood(self, log_p: Scores) -> NDArray[np.float64]:
        """(N,) log Σ_t P_it T_{t,y_i} of every given label, held out or not."""
        given = self.transitions[:, self.labels].T
        return np.asarray(np.log((np.exp(log_softmax(log_p)) * given).sum(axis=1) + _LEAST))

    def calibrate_to_labels(self, scores: Scores, name: str) -> Scores:
        """Convert scores with the factor that maximises the likelihood of the known labels.

        Args:
            scores: (N, K) of one classifier.
            name: of the classifier; its last factor is where the search starts.

        Returns:
            (N, K) log probabilities.
        """
        given = np.asfortranarray(self.transitions[:, self.labels[self._sample]].T)
        return self._with_best_factor(scores, name, Target(given, times_p=True))

    def combine(self, scores: Sequence[Scores], name: str) -> Scores:
        """Convert and multiply the scores of classifiers that use the same vectors.

        Args:
            scores: (N, K) of each classifier.
            name: of these classifiers together.

        Returns:
            (N, K) log probabilities; a scalar 0 if there are no classifiers.
        """
        if not scores:
            return np.zeros(())
        each = [self.calibrate_to_labels(s, f"{name} {i}") for i, s in enumerate(scores)]
        return self.calibrate_to_labels(np.sum(each, axis=0), name) if len(each) > 1 else each[0]

    def calibrate_to_posterior(self, scores: Scores, posterior: Scores, name: str) -> Scores:
        """Convert scores with the factor that maximises the likelihood of a posterior.

        Args:
            scores: (N, K) of one classifier.
            posterior: (N, K); rows sum to 1.
            name: of the classifier; its last factor is where the search starts.

        Returns:
            (N, K) log probabilities.
        """
        target = np.asfortranarray(posterior[self._sample])
        return self._with_best_factor(scores, name, Target(target, times_p=False))

    def log_p_by_area(self, areas: NDArray[np.float32], posterior: Scores) -> Scores:
        """Convert the area under the margin (Pleiss et al., NeurIPS 2020) to log probabilities.

        Args:
            areas: (N,) float32, NaN where unknown.
            posterior: (N, K) that the logistic curve is fitted to.

        Returns:
            (N, K) log probabilities.
        """
        rows = np.flatnonzero(np.isfinite(areas))
        right = posterior[rows, self.labels[rows]].astype(np.float64)
        slope, offset = _logistic_curve(areas[rows].astype(np.float64), right)
        log_odds = slope * areas[rows] + offset
        log_p = np.full((len(self.labels), self.classes), -np.log(self.classes))
        log_p[rows] = (-np.logaddexp(0, log_odds) - np.log(self.classes - 1))[:, None]
        log_p[rows, self.labels[rows]] = -np.logaddexp(0, -log_odds)
        return log_p

    def _with_best_factor(self, scores: Scores, name: str, target: Target) -> Scores:
        # Sums over columns are several times as fast in this memory order.
        sample = np.asfortranarray(scores[self._sample])
        if name not in self._factors:
            self._factors[name] = _coarse_factor(sample, target)
        self._factors[name] = _refined_factor(sample, target, self._factors[name])
        return np.maximum(log_softmax(scores * self._factors[name]), np.log(_LEAST))

    def log_odds_of(self, log_p: Scores) -> Scores:
        """(N, K) log(P_it · T_{t,y_i}), not normalised; log P_it of a tile that is held out."""
        given = np.log(self.transitions[:, self.labels].T)
        return log_softmax(log_p) + np.where(self._is_known[:, None], given, 0)

    def update(self, log_p: Scores, *, by_all_tiles: bool = False) -> None:
        """Set q from the log probabilities of the classifiers and T, then T from q.

        Near the border of two classes, tiles of one look like tiles of the other, and q takes
        their labels for wrong. T is therefore counted on the more certain half of the tiles of
        every class. (Patrini et al., CVPR 2017, estimate T from the most certain tile of a class.)

        Args:
            log_p: (N, K) log probabilities by the classifiers.
            by_all_tiles: count T on all tiles.
        """
        self.log_odds = self.log_odds_of(log_p)
        self.posterior = self.given.with_confirmed(softmax(self.log_odds))
        rows = self._is_known if by_all_tiles else self._is_known & certain_half(log_p)
        rows = rows & self.given.is_original
        counts = np.zeros((self.classes, self.classes))
        np.add.at(counts.T, self.labels[rows], self.posterior[rows])
        # The row of a class with few tiles is uncertain: it is drawn towards uniform noise.
        wrong = min(max(1 - np.trace(counts) / counts.sum(), 1e-6), 1 - 1e-6)
        prior = _PRIOR_TILES * uniform_noise(wrong, self.classes)
        self.transitions = (counts + prior) / (counts + prior).sum(axis=1, keepdims=True)


def certain_half(log_p: Scores) -> NDArray[np.bool_]:
    """Find the tiles with the highest probability: half of each class, and all that are certain.

    Args:
        log_p: (N, K) log probabilities.

    Returns:
        (N,) bool. Of the tiles whose most probable class is the same, half, or more if more have
        a probability of 0.95.
    """
    predicted, top = log_p.argmax(axis=1), log_softmax(log_p).max(axis=1)
    order = np.lexsort((-top, predicted))
    sizes = np.bincount(predicted, minlength=log_p.shape[1])
    rank = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    chosen = np.asarray(top >= LOG_CERTAIN)
    chosen[order] |= rank < np.ceil(_SHARE_FOR_TRANSITIONS * sizes[predicted[order]])
    return chosen


@dataclass(frozen=True)
class Target:
    """What calibrated probabilities p should be like.

    Attributes:
        weights: (n, K), the target q; or the likelihood g of the label given each class.
        times_p: q is p·g, normalised.
    """

    weights: Scores
    times_p: bool

    def likelihood(self, scores: Scores, factor: float) -> float:
        """The log likelihood of the labels, or of the target, over all rows."""
        log_p = log_softmax(scores * factor)
        if self.times_p:
            return float(np.log((np.exp(log_p) * self.weights).sum(axis=1) + _LEAST).sum())
        return float((self.weights * np.maximum(log_p, np.log(_LEAST))).sum())

    def slopes(self, scores: Scores, factor: float) -> tuple[float, float]:
        """First and second derivative of the log likelihood by the factor k.

        They are Σ (E_q[s] − E_p[s]) and Σ (Var_q[s] − Var_p[s]), where q is constant and has no
        Var_q unless it depends on p.
        """
        p = softmax(scores * factor)
        q = p * self.weights if self.times_p else self.weights
        q = q / np.maximum(q.sum(axis=1, keepdims=True), _LEAST)
        (mean_p, variance_p), (mean_q, variance_q) = _moments(p, scores), _moments(q, scores)
        curvature = (variance_q if self.times_p else 0.0) - variance_p
        return float((mean_q - mean_p).sum()), float(np.sum(curvature))


def _moments(p: Scores, scores: Scores) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(n,) mean and variance of the scores of each row."""
    weighted = p * scores
    mean = weighted.sum(axis=1)
    return mean, (weighted * scores).sum(axis=1) - mean**2


def _coarse_factor(sample: Scores, target: Target) -> float:
    """The factor with the highest likelihood of a few tiles."""
    every = max(1, len(sample) // _COARSE_SAMPLE)
    few, target = sample[::every], Target(target.weights[::every], target.times_p)
    factors: list[float] = _FACTORS.tolist()
    return max(factors, key=lambda factor: target.likelihood(few, factor))


def _refined_factor(sample: Scores, target: Target, factor: float) -> float:
    """Newton's method in the logarithm of the factor, with bounded steps."""
    for _ in range(_NEWTON_STEPS):
        first, second = target.slopes(sample, factor)
        gradient, curvature = factor * first, factor**2 * second + factor * first
        step = -gradient / curvature if curvature < 0 else np.sign(gradient) * _LONGEST_STEP
        step = float(np.clip(step, -_LONGEST_STEP, _LONGEST_STEP))
        factor = float(np.clip(factor * np.exp(step), _FACTORS[0], _FACTORS[-1]))
        if abs(step) < _SHORTEST_STEP:
            break
    return factor


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


def uniform_noise(rate: float, classes: int) -> Transitions:
    """(K, K) T where a label is wrong with probability `rate`, equally for all other classes."""
    noise = np.full((classes, classes), rate / (classes - 1))
    np.fill_diagonal(noise, 1 - rate)
    return noise


def log_softmax(scores: Scores) -> Scores:
    """(N, K) log of `softmax`."""
    shifted = scores - scores.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def softmax(scores: Scores) -> Scores:
    """(N, K) probabilities; rows sum to 1."""
    return np.asarray(np.exp(log_softmax(scores)))
