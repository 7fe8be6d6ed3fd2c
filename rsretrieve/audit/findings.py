"""What the audit found about every label, as arrays: flag, suggestion and supporting figures."""

from __future__ import annotations

from dataclasses import dataclass
from math import log

import numpy as np
from numpy.typing import NDArray

from rsretrieve.audit.estimators.prototype_scores import LabelScores
from rsretrieve.audit.estimators.unit_vectors import blocks_of
from rsretrieve.audit.evidence.evidence import Evidence
from rsretrieve.audit.posterior import LabelPosterior

CLEAR_ODDS = 3.0
"""Two classes count as about equally probable below these odds of the first to the second."""


@dataclass(frozen=True)
class LabelFindings:
    """What the audit found about N labels; see `result_table.SCHEMA` for the meanings.

    Attributes:
        is_label_issue: (N,) bool.
        label_score: (N,) float64.
        predicted, runner_up: (N,) int64 class numbers; the predicted class of a flagged label is
            never the given one.
        is_clear: (N,) bool, the predicted class is clearly more probable than any other.
        own_similarity, predicted_similarity, runner_up_similarity: (N,) float32.
        neighbour_share, area_under_margin, training_weight: (N,) float32, NaN if unknown.
        prototype_score, predicted_probability: (N,) float64.
        witnessed_probability: (N,) float64, NaN if unknown.
        ranked, ranked_probability: (N, up to 3) int64 class numbers and float64, the most
            probable classes, descending; None if unknown.
    """

    is_label_issue: NDArray[np.bool_]
    label_score: NDArray[np.float64]
    predicted: NDArray[np.int64]
    runner_up: NDArray[np.int64]
    is_clear: NDArray[np.bool_]
    own_similarity: NDArray[np.float32]
    predicted_similarity: NDArray[np.float32]
    runner_up_similarity: NDArray[np.float32]
    neighbour_share: NDArray[np.float32]
    area_under_margin: NDArray[np.float32]
    training_weight: NDArray[np.float32]
    prototype_score: NDArray[np.float64]
    predicted_probability: NDArray[np.float64]
    witnessed_probability: NDArray[np.float64]
    ranked: NDArray[np.int64] | None = None
    ranked_probability: NDArray[np.float64] | None = None

    @property
    def issue_probability(self) -> NDArray[np.float64]:
        """(N,) probability that the label is wrong."""
        return 1 - self.label_score


def label_findings(
    evidence: Evidence,
    posterior: LabelPosterior,
    flagged: NDArray[np.bool_],
    scores: LabelScores,
    neighbour_share: NDArray[np.float32] | None,
) -> LabelFindings:
    """Choose a suggestion for every label and gather the figures that support it.

    Args:
        evidence: of N tiles.
        posterior: probabilities of the labels and of the classes.
        flagged: (N,) bool, the labels that are issues.
        scores: by the prototypes alone.
        neighbour_share: (N,) share of the neighbours' votes for the given label; None if the
            neighbours were not searched.

    Returns:
        The findings, row by row.
    """
    labels, rows = evidence.labels, np.arange(len(flagged))
    # The given class is never suggested for a flagged label, however probable it is.
    place = (flagged & (posterior.ranked[:, 0] == labels)).astype(np.int64)
    predicted = posterior.ranked[rows, place]
    runner_up = posterior.ranked[rows, 1 - place]
    log_p = posterior.log_probability[rows, place]
    gap = log_p - posterior.log_probability[rows, 1 - place]
    unknown = np.full(len(rows), np.nan, np.float32)
    own = scores.own_similarity
    return LabelFindings(
        is_label_issue=flagged,
        label_score=1 - posterior.issue_probability,
        predicted=predicted,
        runner_up=runner_up,
        is_clear=gap >= log(CLEAR_ODDS),
        own_similarity=own,
        predicted_similarity=np.where(labels == predicted, own, _similarities(evidence, predicted)),
        runner_up_similarity=np.where(labels == runner_up, own, _similarities(evidence, runner_up)),
        neighbour_share=unknown if neighbour_share is None else neighbour_share,
        area_under_margin=unknown
        if evidence.area_under_margin is None
        else evidence.area_under_margin,
        training_weight=unknown if evidence.training_weight is None else evidence.training_weight,
        prototype_score=scores.label_score,
        predicted_probability=np.exp(log_p),
        witnessed_probability=posterior.independent[rows, place],
        ranked=posterior.ranked,
        ranked_probability=np.exp(posterior.log_probability),
    )


def _similarities(evidence: Evidence, classes: NDArray[np.int64]) -> NDArray[np.float32]:
    """(N,) cosine of each row to the prototype of its class in `classes`."""
    found = np.empty(len(classes), np.float32)
    for rows in blocks_of(len(classes), evidence.vectors.dimensions):
        products = evidence.vectors[rows] * evidence.prototypes[classes[rows]]
        found[rows] = products.sum(axis=1)
    return found
