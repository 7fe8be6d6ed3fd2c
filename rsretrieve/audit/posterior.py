"""How likely each label is wrong, and what it should be: by beliefs, or by prototypes alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsretrieve.audit.estimators.dawid_skene import Beliefs
from rsretrieve.audit.estimators.prototype_scores import LabelScores


@dataclass(frozen=True)
class Judgement:
    """What is thought of N labels.

    Attributes:
        margin: (N,) float64, log odds of the given label against all others; lower is worse.
        ranked: (N, 3) int64 the likeliest classes, falling (2 where there are only two).
        log_probability: (N, 3) float64, log of theirs.
        witnessed: (N, 3) float64, their probabilities by views not trained on the labels.
        counts: (K, K) expected tiles, row given label, column true class.
        is_calibrated: the odds are estimates of probabilities, not a rule of thumb.
    """

    margin: NDArray[np.float64]
    ranked: NDArray[np.int64]
    log_probability: NDArray[np.float64]
    witnessed: NDArray[np.float64]
    counts: NDArray[np.float64]
    is_calibrated: bool

    @property
    def issue_probability(self) -> NDArray[np.float64]:
        """(N,) that the label is wrong."""
        return np.asarray(1 / (1 + np.exp(np.clip(self.margin, -700, 700))))


def by_beliefs(beliefs: Beliefs, labels: NDArray[np.int64]) -> Judgement:
    """Judge by what is believed."""
    rows = np.arange(len(labels))
    log_odds = beliefs.log_odds
    shown = min(3, log_odds.shape[1])
    ranked = np.argpartition(-log_odds, shown - 1, axis=1)[:, :shown]
    order = np.argsort(-np.take_along_axis(log_odds, ranked, 1), axis=1, kind="stable")
    ranked = np.take_along_axis(ranked, order, 1)
    others = log_odds.copy()
    others[rows, labels] = -np.inf
    top = others.max(axis=1)
    rest = top + np.log(np.exp(others - top[:, None]).sum(axis=1, dtype=np.float64))
    margin = log_odds[rows, labels].astype(np.float64) - rest
    total = log_odds[rows, labels] + np.logaddexp(0, -margin)
    counts = np.zeros((log_odds.shape[1],) * 2)
    np.add.at(counts, labels, beliefs.posterior)
    return Judgement(
        margin=margin,
        ranked=ranked.astype(np.int64),
        log_probability=np.take_along_axis(log_odds, ranked, 1) - total[:, None],
        witnessed=np.take_along_axis(beliefs.witness, ranked, 1).astype(np.float64),
        counts=counts,
        is_calibrated=True,
    )


def by_prototypes(
    scores: LabelScores, labels: NDArray[np.int64], temperature: float, classes: int
) -> Judgement:
    """Judge by the nearest prototypes alone: the odds are those of the two classes' softmax."""
    gap = scores.predicted_similarity.astype(np.float64) - scores.runner_up_similarity
    odds = np.stack([gap, -gap], axis=1) / temperature
    other = np.where(scores.predicted == labels, scores.runner_up, scores.predicted)
    wrong = 1 - scores.label_score
    counts = np.zeros((classes, classes))
    np.add.at(counts, (labels, other), wrong)
    np.add.at(counts, (labels, labels), 1 - wrong)
    return Judgement(
        margin=scores.margin / temperature,
        ranked=np.stack([scores.predicted, scores.runner_up], axis=1),
        log_probability=-np.logaddexp(0, -odds),
        witnessed=1 / (1 + np.exp(np.clip(-odds, -700, 700))),
        counts=counts,
        is_calibrated=False,
    )
