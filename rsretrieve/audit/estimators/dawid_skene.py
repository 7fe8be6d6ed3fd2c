"""From views to beliefs: which class each tile is of, and how labels came to be wrong.

A tile of class t is given the label y with probability T_ty. With P_it the probability of
class t by the views, what is believed of tile i, given its label y_i, is

    q_it ∝ P_it · T_{t,y_i}          issue_probability = 1 − q_{i,y_i}

T and q are estimated in turns (expectation maximisation: Dawid & Skene 1979; for networks
Bekker & Goldberger, ICASSP 2016), and each turn the views look again, by what is believed
now instead of by the labels. A view's scores become probabilities by a factor of its own:

- of views that know no labels but by belief (cross-fitted discriminant, neighbours' votes),
  the factor under which the given labels are likeliest, Σ_t P_it T_{t,y_i}. The product
  of such views, which see the same vectors, gets one more such factor; beside views of other
  vectors √½ instead, half way between two witnesses and one that is heard twice.
- of views trained on the very labels, which they may have learned by heart, the factor
  under which *what the first kind believes* is likeliest: they get as much of a say as an
  honest witness confirms; what they say together, of the same vectors, gets one more such
  factor. P is then the product of all views.
- of such views on tiles that they were not trained on, factors as of the first kind.

The area under the margin of the training speaks of the given label alone, right or wrong. It
becomes a probability by a logistic curve fitted to what all other views believe together;
what is left is shared by the other classes alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsretrieve.audit.estimators.classifiers import Scores, View

Transitions = NDArray[np.float64]

_FIRST_TURNS, _SECOND_TURNS, _INNER = 6, 4, 2
_FIRST_RATE = 0.2
_PRIOR_TILES = 50.0
_FACTORS = np.geomspace(0.02, 200, 11)
_FINER = np.array([0.4, 0.63, 1, 1.58, 2.5]), np.array([0.73, 0.86, 1, 1.17, 1.37])
_SAMPLE = 4_000
_NEWTON_STEPS = 15
_LEAST = np.float32(1e-12)
_SAME_VECTORS = np.float32(0.5**0.5)
_LOG_CERTAIN = np.float32(100)


@dataclass(frozen=True)
class Beliefs:
    """What is believed of N tiles.

    Attributes:
        log_odds: (N, K) float32, log(P_it · T_{t,y_i}), unnormalised.
        transitions: (K, K) T, row true class, column label given.
        witness: (N, K) q by the views alone that know labels only by belief.
    """

    log_odds: Scores
    transitions: Transitions
    witness: Scores

    @property
    def posterior(self) -> Scores:
        """(N, K) q."""
        return _softmax(self.log_odds)

    def settled(self, labels: NDArray[np.int64], rows: NDArray[np.bool_]) -> Beliefs:
        """The same, where of some tiles, rows (N,), it is known that their label is right."""
        certain = np.eye(self.log_odds.shape[1], dtype=np.float32)[labels[rows]]
        log_odds, witness = self.log_odds.copy(), self.witness.copy()
        log_odds[rows], witness[rows] = _LOG_CERTAIN * (certain - 1), certain
        return Beliefs(log_odds, self.transitions, witness)


def turns(*, with_trained: bool) -> int:
    """How often the views look at all tiles."""
    return _FIRST_TURNS + (_SECOND_TURNS if with_trained else 0)


def beliefs_of(
    labels: NDArray[np.int64],
    classes: int,
    free: Sequence[View],
    trained: Sequence[View],
    areas: NDArray[np.float32] | None = None,
    advance: Callable[[int], None] = lambda _: None,
    unspoilt: Sequence[View] = (),
) -> Beliefs:
    """Estimate.

    Args:
        labels: (N,) int64 the given labels' class numbers.
        classes: K.
        free: views that know labels only by belief; at least one.
        trained: views trained on these labels.
        areas: (N,) under the margins of that training, NaN where not known; None without.
        advance: is called with how many more tiles were looked at: N for each turn.
        unspoilt: trained views' opinions on the tiles alone that they were not trained on.
    """
    judge = _Judge(labels, classes)
    for _ in range(_FIRST_TURNS):
        opinions = [view.opinions(judge.posterior) for view in free]
        beside = [view.opinions(judge.posterior) for view in unspoilt]
        for _ in range(_INNER):
            judge.believe(judge.together(opinions) + judge.together(beside))
        advance(len(labels))
    witness = judge.posterior
    if trained:
        for _ in range(_SECOND_TURNS):
            seen = [judge.by_labels(view.opinions(judge.posterior)) for view in free]
            told = [judge.by_witness(v.opinions(judge.posterior), witness) for v in trained]
            together = judge.by_witness(np.sum(told, axis=0), witness)
            joint = _SAME_VECTORS * np.sum(seen, axis=0) + together
            joint += judge.together([view.opinions(judge.posterior) for view in unspoilt])
            if areas is not None:
                joint += judge.by_area(areas, _softmax(judge.odds(joint)))
            judge.believe(joint)
            advance(len(labels))
    return Beliefs(judge.log_odds, judge.transitions, witness)


class _Judge:
    """Labels, and what is believed so far."""

    def __init__(self, labels: NDArray[np.int64], classes: int) -> None:
        self.labels, self.classes = labels, classes
        self.posterior: Scores = np.eye(classes, dtype=np.float32)[labels]
        self.transitions = _even(_FIRST_RATE, classes)
        self.log_odds = np.log(self.posterior + _LEAST)
        self._sample = np.arange(0, len(labels), max(1, len(labels) // _SAMPLE))

    def by_labels(self, scores: Scores) -> Scores:
        """Log probabilities, by the factor under which the labels are likeliest."""
        given = self.transitions[:, self.labels[self._sample]].T

        def likelihood(log_p: Scores) -> float:
            return float(np.log((np.exp(log_p) * given).sum(axis=1) + _LEAST).sum())

        return self._by_best_factor(scores, likelihood)

    def together(self, opinions: Sequence[Scores]) -> Scores:
        """Log probabilities by views of the same vectors, with one more factor for all."""
        if not opinions:
            return np.zeros((), np.float32)
        joint = np.sum([self.by_labels(scores) for scores in opinions], axis=0)
        return self.by_labels(joint)

    def by_witness(self, scores: Scores, witness: Scores) -> Scores:
        """Log probabilities, by the factor under which what a witness believes is likeliest."""
        believed = witness[self._sample]
        floor = np.log(_LEAST)
        return self._by_best_factor(
            scores, lambda log_p: float((believed * np.maximum(log_p, floor)).sum())
        )

    def by_area(self, areas: NDArray[np.float32], witness: Scores) -> Scores:
        """Log probabilities: of the label by a logistic curve in the area, of others alike."""
        rows = np.flatnonzero(np.isfinite(areas))
        right = witness[rows, self.labels[rows]].astype(np.float64)
        slope, offset = _logistic_curve(areas[rows].astype(np.float64), right)
        log_odds = slope * areas[rows] + offset
        log_p = np.full((len(self.labels), self.classes), -np.log(self.classes), np.float32)
        log_p[rows] = (-np.logaddexp(0, log_odds) - np.log(self.classes - 1))[:, None]
        log_p[rows, self.labels[rows]] = -np.logaddexp(0, -log_odds)
        return log_p

    def _by_best_factor(self, scores: Scores, worth: Callable[[Scores], float]) -> Scores:
        sample = scores[self._sample]

        def best_of(factors: NDArray[np.float64]) -> float:
            worths = [worth(_log_softmax(sample * np.float32(factor))) for factor in factors]
            return float(factors[int(np.argmax(worths))])

        best = best_of(_FACTORS)
        for finer in _FINER:
            best = best_of(best * finer)
        return np.maximum(_log_softmax(scores * np.float32(best)), np.log(_LEAST))

    def odds(self, log_p: Scores) -> Scores:
        """Log(P_it · T_{t,y_i}), unnormalised."""
        given = np.log(self.transitions[:, self.labels].T).astype(np.float32)
        return _log_softmax(np.asarray(log_p, np.float32)) + given

    def believe(self, log_p: Scores) -> None:
        """Set q by the views' log P and T, then T by q."""
        self.log_odds = self.odds(log_p)
        self.posterior = _softmax(self.log_odds)
        counts = np.zeros((self.classes, self.classes))
        np.add.at(counts.T, self.labels, self.posterior)
        # Of a class with few tiles its own row says little: what all have in common helps.
        wrong = min(max(1 - np.trace(counts) / counts.sum(), 1e-6), 1 - 1e-6)
        prior = _PRIOR_TILES * _even(wrong, self.classes)
        self.transitions = (counts + prior) / (counts + prior).sum(axis=1, keepdims=True)


def _logistic_curve(values: NDArray[np.float64], right: NDArray[np.float64]) -> tuple[float, float]:
    """Slope and offset under which shares `right`, 0…1, are likeliest (Newton's method)."""
    if not len(values):
        return 0.0, 0.0
    scale = max(float(values.std()), 1e-6)
    inputs = np.stack([values / scale, np.ones(len(values))], axis=1)
    found = np.zeros(2)
    for _ in range(_NEWTON_STEPS):
        p = 1 / (1 + np.exp(-np.clip(inputs @ found, -30, 30)))
        # A little stiffness keeps the slope finite where the classes part cleanly.
        gradient = inputs.T @ (p - right) + found
        curvature = (inputs.T * (p * (1 - p))) @ inputs + np.eye(2)
        found -= np.linalg.solve(curvature, gradient)
    return float(found[0] / scale), float(found[1])


def _even(rate: float, classes: int) -> Transitions:
    """Labels that go wrong with one probability, to each other class alike."""
    even = np.full((classes, classes), rate / (classes - 1))
    np.fill_diagonal(even, 1 - rate)
    return even


def _log_softmax(scores: Scores) -> Scores:
    shifted = scores - scores.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)), np.float32)


def _softmax(scores: Scores) -> Scores:
    return np.exp(_log_softmax(scores))
