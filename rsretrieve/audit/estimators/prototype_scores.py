"""Score labels by the similarity of their tiles to the class prototypes.

Let s_c = w_c·v_i be the cosine of tile i to the prototype of class c, y the given label and
o = argmax_{c ≠ y} s_c the best other class. The score of the label is the probability of y in a
softmax over these two classes, with the temperature σ:

    label_score = 1 / (1 + exp((s_o − s_y) / σ))            0…1, lower is worse

A label is an issue if another prototype is nearer than its own: label_score < 1/2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rsretrieve.audit.estimators.unit_vectors import UnitRows, blocks_of

ISSUE_THRESHOLD = 0.5
_LARGEST_MARGIN = 2.0


@dataclass(frozen=True)
class LeftOut:
    """Removes a tile from its own prototype (leave one out).

    A tile is always similar to a mean that contains it. Let S be the sum of the unit vectors
    behind a prototype and s the cosine of the tile v to it. Then S·v = ‖S‖·s, and the cosine of
    v to S − v is (‖S‖·s − 1) / √(‖S‖² − 2·‖S‖·s + 1). The vectors are not needed.

    Attributes:
        sum_norms: (K,) float64, ‖S‖ of every class.
        members: (N,) bool, the tiles whose vectors are in the sum of their own class.
    """

    sum_norms: NDArray[np.float64]
    members: NDArray[np.bool_]

    def own_similarity(
        self, own: NDArray[np.float32], labels: NDArray[np.int64], rows: slice
    ) -> NDArray[np.float32]:
        """The similarities of some tiles to their own prototypes without these tiles.

        Args:
            own: (n,) float32 cosines to the prototypes of the given labels.
            labels: (n,) int64 class numbers of the given labels.
            rows: which of the N tiles these n are.

        Returns:
            (n,) float32, −1…1.
        """
        norms = self.sum_norms[labels]
        dot = own.astype(np.float64) * norms
        rest = np.sqrt(np.maximum(norms**2 - 2 * dot + 1, 0))
        # The rest is empty for the only member of a class: its similarity is unknown.
        without = np.where(rest > 1e-3, (dot - 1) / np.maximum(rest, 1e-3), 0)
        return np.where(self.members[rows], np.clip(without, -1, 1), own).astype(np.float32)


@dataclass(frozen=True)
class LabelScores:
    """The scores of N labels by the prototypes.

    Attributes:
        label_score: (N,) float64, 0…1, lower is worse.
        margin: (N,) float64, own similarity minus that of the best other class, −2…2. It has
            the order of the scores, and also orders those that are rounded to 0 or 1.
        own_similarity: (N,) float32 cosine to the prototype of the given label.
        predicted: (N,) int64 class of the nearest prototype.
        predicted_similarity: (N,) float32 cosine to that prototype.
        runner_up: (N,) int64 class of the second nearest prototype.
        runner_up_similarity: (N,) float32 cosine to that prototype.
    """

    label_score: NDArray[np.float64]
    margin: NDArray[np.float64]
    own_similarity: NDArray[np.float32]
    predicted: NDArray[np.int64]
    predicted_similarity: NDArray[np.float32]
    runner_up: NDArray[np.int64]
    runner_up_similarity: NDArray[np.float32]

    @property
    def is_issue(self) -> NDArray[np.bool_]:
        """(N,) bool, another prototype is nearer than that of the given label."""
        return self.label_score < ISSUE_THRESHOLD

    def with_confirmed(self, rows: NDArray[np.bool_]) -> LabelScores:
        """The same scores, with some labels, rows (N,), known to be right."""
        return replace(
            self,
            label_score=np.where(rows, 1.0, self.label_score),
            margin=np.where(rows, _LARGEST_MARGIN, self.margin),
        )


def score_labels(
    vectors: UnitRows,
    labels: NDArray[np.int64],
    prototypes: NDArray[np.float32],
    temperature: float,
    left_out: LeftOut | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> LabelScores:
    """Score every label, block by block, so that no N × K matrix is kept.

    Args:
        vectors: N unit rows.
        labels: (N,) int64 class numbers of the given labels.
        prototypes: (K, D) float32, unit rows, K ≥ 2.
        temperature: σ > 0.
        left_out: for prototypes that are means of the same tiles.
        advance: called with the number of tiles after each block.

    Returns:
        The scores, row by row.
    """
    count = len(vectors)
    own, nearest, second = (np.empty(count, np.float32) for _ in range(3))
    predicted, runner_up = np.empty(count, np.int64), np.empty(count, np.int64)
    for rows in blocks_of(count, max(prototypes.shape)):
        similarities = vectors[rows] @ prototypes.T
        numbers = np.arange(len(similarities))
        own[rows] = similarities[numbers, labels[rows]]
        if left_out is not None:
            own[rows] = left_out.own_similarity(own[rows], labels[rows], rows)
            similarities[numbers, labels[rows]] = own[rows]
        predicted[rows], nearest[rows] = _take_best(similarities, numbers)
        runner_up[rows], second[rows] = _take_best(similarities, numbers)
        advance(len(numbers))
    best_other = np.where(predicted == labels, second, nearest)
    margin = own.astype(np.float64) - best_other
    score = 1 / (1 + np.exp(np.clip(-margin / temperature, -700, 700)))
    return LabelScores(score, margin, own, predicted, nearest, runner_up, second)


def nearest_classes(
    vectors: UnitRows,
    prototypes: NDArray[np.float32],
    advance: Callable[[int], None] = lambda _: None,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Find the nearest prototype of each tile, faster than `score_labels`.

    Args:
        vectors: N unit rows.
        prototypes: (K, D) float32, unit rows.
        advance: called with the number of tiles after each block.

    Returns:
        (N,) int64 classes, and (N,) float32 cosines.
    """
    nearest, similarity = np.empty(len(vectors), np.int64), np.empty(len(vectors), np.float32)
    for rows in blocks_of(len(vectors), max(prototypes.shape)):
        similarities = vectors[rows] @ prototypes.T
        numbers = np.arange(len(similarities))
        nearest[rows] = similarities.argmax(axis=1)
        similarity[rows] = similarities[numbers, nearest[rows]]
        advance(len(numbers))
    return nearest, similarity


def _take_best(
    similarities: NDArray[np.float32], numbers: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The best column of each row and its similarity; it is then set to −∞."""
    best = similarities.argmax(axis=1)
    values = similarities[numbers, best]
    similarities[numbers, best] = -np.inf
    return best, values
