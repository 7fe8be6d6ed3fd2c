"""Probability that each label is wrong, and of each class, from the EM fit or prototypes alone."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rsretrieve.audit.estimators.dawid_skene import EMResult
from rsretrieve.audit.estimators.prototype_scores import LabelScores
from rsretrieve.audit.noise_rate import RateRange


@dataclass(frozen=True)
class LabelPosterior:
    """Posterior probabilities for N labels and K classes.

    Attributes:
        margin: (N,) float64, log odds of the given label against all others; lower is worse.
        ranked: (N, 3) int64, the most probable classes, descending (2 columns if K is 2).
        log_probability: (N, 3) float64, logarithms of their probabilities; NaN where nothing is
            said about the label.
        independent: (N, 3) float64, their probabilities by the classifiers that were not
            trained on the labels; NaN where there are none, or nothing is said about the label.
        expected_counts: (K, K) float64, expected tiles, row given label, column true class.
        rates: the noise rates that explain the labels, and whether they agree.
        is_calibrated: the odds estimate probabilities; otherwise they only rank the labels.
        is_untold: (N,) bool, the labels that cannot be audited: the only ones of their
            class. Their odds are even, and they count in no rate. None if there are none.
    """

    margin: NDArray[np.float64]
    ranked: NDArray[np.int64]
    log_probability: NDArray[np.float64]
    independent: NDArray[np.float64]
    expected_counts: NDArray[np.float64]
    rates: RateRange
    is_calibrated: bool
    is_untold: NDArray[np.bool_] | None = None

    def without(self, untold: NDArray[np.bool_], labels: NDArray[np.int64]) -> LabelPosterior:
        """The same, with nothing said about some labels, each the only one of its class.

        Args:
            untold: (N,) bool, these labels.
            labels: (N,) int64 class numbers of all labels.
        """
        if not untold.any():
            return self
        counts, alone = self.expected_counts.copy(), labels[untold]
        counts[alone] = 0
        counts[alone, alone] = 1
        unknown = untold[:, None]
        return replace(
            self,
            margin=np.where(untold, 0.0, self.margin),
            log_probability=np.where(unknown, np.nan, self.log_probability),
            independent=np.where(unknown, np.nan, self.independent),
            expected_counts=counts,
            is_untold=untold,
        )

    @property
    def told(self) -> NDArray[np.bool_]:
        """(N,) bool, the labels that something is said about."""
        if self.is_untold is None:
            return np.ones(len(self.margin), bool)
        return ~self.is_untold

    def untold_classes(self, labels: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(K,) bool, the given labels whose noise rate cannot be determined.

        Args:
            labels: (N,) int64 class numbers of all labels.
        """
        alone = np.bincount(labels[~self.told], minlength=len(self.expected_counts)) > 0
        return np.asarray(alone | (not self.rates.can_be_told))

    @property
    def issue_probability(self) -> NDArray[np.float64]:
        """(N,) probability that the label is wrong."""
        return np.asarray(1 / (1 + np.exp(np.clip(self.margin, -700, 700))))


def posterior_from_em(result: EMResult, labels: NDArray[np.int64]) -> LabelPosterior:
    """Convert the result of `fit_dawid_skene`.

    Args:
        result: of N tiles and K classes.
        labels: (N,) int64 class numbers of the given labels.
    """
    rows, candidates = np.arange(len(labels)), result.candidates
    log_odds, own = result.log_odds, candidates.columns_of(labels)
    alone = log_odds[:, candidates.likely]
    shown = min(3, alone.shape[1])
    ranked = np.argpartition(-alone, shown - 1, axis=1)[:, :shown]
    order = np.argsort(-np.take_along_axis(alone, ranked, 1), axis=1, kind="stable")
    ranked = np.take_along_axis(ranked, order, 1)
    others = log_odds.copy() if candidates.log_sizes is None else log_odds + candidates.log_sizes
    others[rows, own] = -np.inf
    top = others.max(axis=1)
    rest = top + np.log(np.exp(others - top[:, None]).sum(axis=1, dtype=np.float64))
    margin = log_odds[rows, own].astype(np.float64) - rest
    total = log_odds[rows, own] + np.logaddexp(0, -margin)
    return LabelPosterior(
        margin=margin,
        ranked=candidates.classes_of(ranked.astype(np.int64)),
        log_probability=np.take_along_axis(log_odds, ranked, 1) - total[:, None],
        independent=np.take_along_axis(result.independent, ranked, 1).astype(np.float64),
        expected_counts=candidates.count(labels, result.posterior),
        rates=result.rates,
        is_calibrated=True,
    )


def posterior_from_prototypes(
    scores: LabelScores,
    labels: NDArray[np.int64],
    temperature: float,
    classes: int,
) -> LabelPosterior:
    """Use the softmax over the two nearest prototypes as probabilities.

    They rank the labels. A noise rate cannot be told from them: nothing says whether the vectors
    predict the labels at all. Of a confirmed label, its class is the most probable one.

    Args:
        scores: of N labels.
        labels: (N,) int64 class numbers of the given labels.
        temperature: σ of the softmax.
        classes: K.
    """
    gap = scores.predicted_similarity.astype(np.float64) - scores.runner_up_similarity
    is_right = scores.margin > 0  # also where the nearest prototype is another: it is confirmed
    gap = np.where(is_right, scores.margin, gap)
    odds = np.stack([gap, -gap], axis=1) / temperature
    other = np.where(scores.predicted == labels, scores.runner_up, scores.predicted)
    wrong = 1 - scores.label_score
    counts = np.zeros((classes, classes))
    np.add.at(counts, (labels, other), wrong)
    np.add.at(counts, (labels, labels), 1 - wrong)
    return LabelPosterior(
        margin=scores.margin / temperature,
        ranked=np.where(
            is_right[:, None],
            np.stack([labels, other], axis=1),
            np.stack([scores.predicted, scores.runner_up], axis=1),
        ),
        log_probability=-np.logaddexp(0, -odds),
        independent=1 / (1 + np.exp(np.clip(-odds, -700, 700))),
        expected_counts=counts,
        rates=RateRange(0.0, 1.0, can_be_told=False),
        is_calibrated=False,
    )
