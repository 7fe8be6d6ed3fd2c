"""The state of the EM fit: the posterior of each tile and the confusion matrix of the labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rsretrieve.audit.estimators.calibration import (
    LEAST,
    LOG_LEAST,
    Target,
    coarse_factor,
    logistic_curve,
    refined_factor,
)
from rsretrieve.audit.estimators.candidates import (
    AllClasses,
    Candidates,
    Scores,
    Transitions,
    certain_posterior,
    log_softmax,
    softmax,
)
from rsretrieve.audit.estimators.given_labels import Decisions, GivenLabels

_PRIOR_TILES = 50.0
_SHARE_FOR_TRANSITIONS, LOG_CERTAIN = 0.5, float(np.log(0.95))
_SAMPLE = 10_000  # of 2,000, no tile may contradict an exaggerated factor
_LARGEST_SHIFT, _BISECTIONS = 3.0, 40


class EMState:
    """The labels, and the current estimates of q and T; see `dawid_skene` for the model.

    Args:
        labels: (N,) int64 class numbers of the given labels, before any decision.
        transitions: (K, K) float64 T to start from, row true class, column given label.
        posterior: (N, C) q to start from; None for certainty of the given label.
        is_held_out: (N,) bool, tiles whose label is not used; None for no tile.
        candidates: the classes of the C columns; None for all K. The given label of each tile is
            one of them, and so is a confirmed class.
        decisions: the classes that a person confirmed; None for no tile.

    Attributes:
        given: the labels and the decisions.
        is_reviewed: q takes the decisions into account.
        posterior: (N, C) q.
        transitions: (K, K) float64 T.
        log_odds: (N, C), log q before normalisation, of a class of each column.
    """

    def __init__(
        self,
        labels: NDArray[np.int64],
        transitions: Transitions,
        posterior: Scores | None = None,
        is_held_out: NDArray[np.bool_] | None = None,
        candidates: Candidates | None = None,
        decisions: Decisions | None = None,
    ) -> None:
        self.labels, self.classes = labels, len(transitions)
        self.decisions, self.given = decisions, GivenLabels.of(labels, decisions)
        self.transitions, self.is_reviewed = transitions, True
        self.candidates = candidates or AllClasses(self.classes)
        self.own = self.candidates.columns_of(labels)
        self.current = self.candidates.columns_of(self.given.current)
        self._sizes = self.candidates.log_sizes
        if posterior is None:
            posterior = certain_posterior(self.candidates, labels)
        self.posterior = posterior
        self.log_odds = np.log(self.posterior + LEAST)
        self._factors: dict[str, float] = {}
        self._is_known = np.ones(len(labels), bool) if is_held_out is None else ~is_held_out
        known = np.flatnonzero(self._is_known)
        self._sample = known[:: max(1, len(known) // _SAMPLE)]

    @property
    def known_posterior(self) -> Scores:
        """(N, C) q; zeros for the tiles that are held out."""
        return np.where(self._is_known[:, None], self.posterior, 0)

    @property
    def noise_rate(self) -> float:
        """Mean probability that a known label is wrong, of those that nobody decided on."""
        rows = np.flatnonzero(self._is_known & self.given.is_open)
        if not len(rows):
            return 0.0
        return float(1 - self.posterior[rows, self.own[rows]].mean(dtype=np.float64))

    @property
    def noise_rate_by_transitions(self) -> float:
        """The noise rate of T for classes as frequent as q says.

        Wrong labels that a person found are subtracted: it is the rate of the other labels.
        """
        rate = float(1 - self.candidates.shares(self.posterior) @ np.diag(self.transitions))
        return self.given.rate_of_open(rate)

    def log_odds_with_rate(self, rate: float) -> Scores:
        """`log_odds`, with one number added to those of the given labels.

        T is estimated on tiles that are certain, so its noise rate is less biased than the mean
        of q. The number is chosen so that both are equal; it does not change the ranking.

        Args:
            rate: the mean probability that a label is wrong that nobody decided on.

        Returns:
            (N, C).
        """
        rows = np.flatnonzero(self.given.is_open)
        if not len(rows):
            return self.log_odds
        own = np.clip(self.posterior[rows, self.own[rows]].astype(np.float64), LEAST, 1 - LEAST)
        margin = np.log(own) - np.log1p(-own)
        low, high = -_LARGEST_SHIFT, _LARGEST_SHIFT
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            too_many = float(np.mean(1 / (1 + np.exp(margin + middle)))) > rate
            low, high = (middle, high) if too_many else (low, middle)
        log_odds = self.log_odds.copy()
        log_odds[rows, self.own[rows]] += (low + high) / 2
        return log_odds

    def log_likelihood(self, log_p: Scores) -> NDArray[np.float64]:
        """(N,) log Σ_t P_it T_{t,y_i} of every given label, held out or not."""
        given = self.candidates.likelihood(self.transitions, self.labels)
        return np.asarray(np.log((softmax(log_p, self._sizes) * given).sum(axis=1) + LEAST))

    def calibrate_to_labels(self, scores: Scores, name: str) -> Scores:
        """Convert scores with the factor that maximises the likelihood of the known labels.

        Args:
            scores: (N, C) of one classifier.
            name: of the classifier; its last factor is where the search starts.

        Returns:
            (N, C) log probabilities.
        """
        given = self.candidates.likelihood(self.transitions, self.labels, self._sample)
        target = Target(np.asfortranarray(given, np.float64), True, self._sizes)
        return self._with_best_factor(scores, name, target)

    def combine(self, scores: Sequence[Scores], name: str) -> Scores:
        """Convert and multiply the scores of classifiers that use the same vectors.

        Args:
            scores: (N, C) of each classifier.
            name: of these classifiers together.

        Returns:
            (N, C) log probabilities; a scalar 0 if there are no classifiers.
        """
        if not scores:
            return np.zeros(())
        each = [self.calibrate_to_labels(s, f"{name} {i}") for i, s in enumerate(scores)]
        return self.calibrate_to_labels(np.sum(each, axis=0), name) if len(each) > 1 else each[0]

    def calibrate_to_posterior(self, scores: Scores, posterior: Scores, name: str) -> Scores:
        """Convert scores with the factor that maximises the likelihood of a posterior.

        Args:
            scores: (N, C) of one classifier.
            posterior: (N, C); rows sum to 1.
            name: of the classifier; its last factor is where the search starts.

        Returns:
            (N, C) log probabilities.
        """
        weights = np.asfortranarray(posterior[self._sample], np.float64)
        return self._with_best_factor(scores, name, Target(weights, False, self._sizes))

    def log_p_by_area(self, areas: NDArray[np.float32], posterior: Scores) -> Scores:
        """Convert the area under the margin (Pleiss et al., NeurIPS 2020) to log probabilities.

        Args:
            areas: (N,) float32, NaN where unknown.
            posterior: (N, C) that the logistic curve is fitted to.

        Returns:
            (N, C) log probabilities.
        """
        rows = np.flatnonzero(np.isfinite(areas))
        right = posterior[rows, self.own[rows]].astype(np.float64)
        slope, offset = logistic_curve(areas[rows].astype(np.float64), right)
        log_odds = slope * areas[rows] + offset
        log_p = np.full(posterior.shape, -np.log(self.classes), posterior.dtype)
        log_p[rows] = (-np.logaddexp(0, log_odds) - np.log(self.classes - 1))[:, None]
        log_p[rows, self.own[rows]] = -np.logaddexp(0, -log_odds)
        return log_p

    def _with_best_factor(self, scores: Scores, name: str, target: Target) -> Scores:
        # Sums over columns are several times as fast in this memory order.
        sample = np.asfortranarray(scores[self._sample], np.float64)
        if name not in self._factors:
            self._factors[name] = coarse_factor(sample, target)
        self._factors[name] = refined_factor(sample, target, self._factors[name])
        return np.maximum(log_softmax(scores * self._factors[name], self._sizes), LOG_LEAST)

    def log_odds_of(self, log_p: Scores) -> Scores:
        """(N, C) log(P_it · T_{t,y_i}), not normalised; log P_it of a tile that is held out.

        Where a person confirmed a class, this decision is included.
        """
        given = np.log(self.candidates.likelihood(self.transitions, self.labels))
        by_label = log_softmax(log_p, self._sizes) + np.where(self._is_known[:, None], given, 0)
        return self.given.with_reviewer(by_label, self.current) if self.is_reviewed else by_label

    def update(self, log_p: Scores, *, by_all_tiles: bool = False) -> None:
        """Set q from the log probabilities of the classifiers and T, then T from q.

        Near the border of two classes, tiles of one look like tiles of the other, and q takes
        their labels for wrong. T is therefore counted on the more certain half of the tiles of
        every class. (Patrini et al., CVPR 2017, estimate T from the most certain tile of a class.)

        Args:
            log_p: (N, C) log probabilities by the classifiers.
            by_all_tiles: count T on all tiles.

        T stays as it is if no tile counts for it.
        """
        self.log_odds = self.log_odds_of(log_p)
        self.posterior = softmax(self.log_odds, self._sizes)
        rows = self._is_known & self.given.is_original
        if not by_all_tiles:
            rows = rows & certain_half(log_p, self.candidates)
        if not rows.any():  # a person decided on all of them, and how they were is not known
            return
        counts = self.candidates.count(self.labels, self.posterior, rows).T
        # The row of a class with few tiles is uncertain: it is drawn towards uniform noise.
        wrong = min(max(1 - np.trace(counts) / counts.sum(), 1e-6), 1 - 1e-6)
        prior = _PRIOR_TILES * uniform_noise(wrong, self.classes)
        self.transitions = (counts + prior) / (counts + prior).sum(axis=1, keepdims=True)


def certain_half(log_p: Scores, candidates: Candidates) -> NDArray[np.bool_]:
    """Find the tiles with the highest probability: half of each class, and all that are certain.

    Args:
        log_p: (N, C) log probabilities.
        candidates: the classes of its columns.

    Returns:
        (N,) bool. Of the tiles whose most probable class is the same, half, or more if more have
        a probability of 0.95.
    """
    log_p = log_softmax(log_p, candidates.log_sizes)[:, candidates.likely]
    top = log_p.max(axis=1)
    predicted = candidates.classes_of(log_p.argmax(axis=1)[:, None])[:, 0]
    order = np.lexsort((-top, predicted))
    sizes = np.bincount(predicted, minlength=candidates.classes)
    rank = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    chosen = np.asarray(top >= LOG_CERTAIN)
    chosen[order] |= rank < np.ceil(_SHARE_FOR_TRANSITIONS * sizes[predicted[order]])
    return chosen


def uniform_noise(rate: float, classes: int) -> Transitions:
    """(K, K) T where a label is wrong with probability `rate`, equally for all other classes."""
    noise = np.full((classes, classes), rate / (classes - 1))
    np.fill_diagonal(noise, 1 - rate)
    return noise
