"""What is said of every label, as columns: flagged or not, the suggestion, and its evidence."""

from __future__ import annotations

from dataclasses import dataclass
from math import log

import numpy as np
from numpy.typing import NDArray

from rsretrieve.audit.estimators.prototype_scores import LabelScores
from rsretrieve.audit.estimators.unit_vectors import blocks_of
from rsretrieve.audit.evidence.evidence import Evidence
from rsretrieve.audit.posterior import Judgement

CLEAR_ODDS = 3.0
"""Below these odds of the suggested class against the next, two classes are about as likely."""


@dataclass(frozen=True)
class Verdicts:
    """What is said of N labels.

    Attributes:
        flagged: (N,) bool, labels thought wrong.
        probability: (N,) float64, that the label is wrong.
        predicted: (N,) int64, the likeliest class; of a flagged label the likeliest other.
        runner_up: (N,) int64, the likeliest but for that.
        is_clear: (N,) bool, the predicted class is clearly likelier than any other.
        own_similarity, predicted_similarity, runner_up_similarity: (N,) float32, to the
            prototypes of the given label and of these two.
        votes: (N,) float32, the share of the neighbours' votes for the given label, or NaN.
        area: (N,) float32, area under the margin in training, or NaN.
        weight: (N,) float32, m_i at the end of training, or NaN.
        prototype_score: (N,) float64, that the label is right by the prototypes alone.
        predicted_probability: (N,) float64, that the predicted class is the tile's.
        witnessed_probability: (N,) float64, the same by views not trained on the labels.
    """

    flagged: NDArray[np.bool_]
    probability: NDArray[np.float64]
    predicted: NDArray[np.int64]
    runner_up: NDArray[np.int64]
    is_clear: NDArray[np.bool_]
    own_similarity: NDArray[np.float32]
    predicted_similarity: NDArray[np.float32]
    runner_up_similarity: NDArray[np.float32]
    votes: NDArray[np.float32]
    area: NDArray[np.float32]
    weight: NDArray[np.float32]
    prototype_score: NDArray[np.float64]
    predicted_probability: NDArray[np.float64]
    witnessed_probability: NDArray[np.float64]


def verdicts_of(
    evidence: Evidence,
    judgement: Judgement,
    flagged: NDArray[np.bool_],
    scores: LabelScores,
    votes: NDArray[np.float32] | None,
) -> Verdicts:
    """Put a judgement into words for each label.

    Args:
        evidence: what there was to judge by.
        judgement: how likely labels and classes are.
        flagged: (N,) bool, the labels that are called issues.
        scores: by the prototypes alone.
        votes: (N,) of the neighbours for the given label, where they were asked.
    """
    labels, rows = evidence.labels(), np.arange(len(flagged))
    # Of a flagged label the given class itself is no suggestion, however likely.
    place = (flagged & (judgement.ranked[:, 0] == labels)).astype(np.int64)
    predicted = judgement.ranked[rows, place]
    runner_up = judgement.ranked[rows, 1 - place]
    log_p = judgement.log_probability[rows, place]
    gap = log_p - judgement.log_probability[rows, 1 - place]
    nothing = np.full(len(rows), np.nan, np.float32)
    own, own_similarity = labels == predicted, scores.own_similarity
    return Verdicts(
        flagged=flagged,
        probability=judgement.issue_probability,
        predicted=predicted,
        runner_up=runner_up,
        is_clear=gap >= log(CLEAR_ODDS),
        own_similarity=own_similarity,
        predicted_similarity=np.where(own, own_similarity, _similarities(evidence, predicted)),
        runner_up_similarity=np.where(
            labels == runner_up, own_similarity, _similarities(evidence, runner_up)
        ),
        votes=nothing if votes is None else votes,
        area=nothing if evidence.areas is None else evidence.areas,
        weight=nothing if evidence.weights is None else evidence.weights,
        prototype_score=scores.label_score,
        predicted_probability=np.exp(log_p),
        witnessed_probability=judgement.witnessed[rows, place],
    )


def _similarities(evidence: Evidence, classes: NDArray[np.int64]) -> NDArray[np.float32]:
    """Each row's cosine to the prototype of a class of its own choice: (N,)."""
    found = np.empty(len(classes), np.float32)
    for rows in blocks_of(len(classes), evidence.vectors.dimensions):
        products = evidence.vectors[rows] * evidence.prototypes[classes[rows]]
        found[rows] = products.sum(axis=1)
    return found
