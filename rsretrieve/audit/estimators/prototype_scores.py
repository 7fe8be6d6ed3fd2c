"""Score labels by their tiles' similarity to the class prototypes.

With s_c = w_c·v_i the cosine of tile i to the prototype of class c, y its given label and
o = argmax_{c ≠ y} s_c the best other class, the label's score is the probability of y in a
softmax over the two alone, at the temperature σ:

    label_score = 1 / (1 + exp((s_o − s_y) / σ))            0…1, lower is worse

A label is an issue where another prototype is nearer than its own: label_score < 1/2.
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
    """What takes a tile out of the mean that is its own prototype (leave one out).

    A tile that helped to make a prototype vouches for itself. With S the sum of the unit
    vectors behind a prototype, S·v = ‖S‖·s, and so the cosine to what is left of it is
    (‖S‖·s − 1) / √(‖S‖² − 2·‖S‖·s + 1), no vector needed.

    Attributes:
        sum_norms: (K,) float64, ‖S‖ of every class.
        members: (N,) bool, the tiles whose vectors are part of their own class's sum.
    """

    sum_norms: NDArray[np.float64]
    members: NDArray[np.bool_]

    def own_similarity(
        self, own: NDArray[np.float32], labels: NDArray[np.int64], rows: slice
    ) -> NDArray[np.float32]:
        """The similarities of `rows` to their own prototypes, without themselves."""
        norms = self.sum_norms[labels]
        dot = own.astype(np.float64) * norms
        rest = np.sqrt(np.maximum(norms**2 - 2 * dot + 1, 0))
        # The only member of its class leaves nothing behind, and nothing is known of it.
        without = np.where(rest > 1e-3, (dot - 1) / np.maximum(rest, 1e-3), 0)
        return np.where(self.members[rows], np.clip(without, -1, 1), own).astype(np.float32)


@dataclass(frozen=True)
class LabelScores:
    """What the prototypes say of N labels.

    Attributes:
        label_score: (N,) float64, 0…1, lower is worse.
        margin: (N,) float64, own similarity less the best other's, −2…2; the same order,
            finer where the score comes near 0 or 1.
        own_similarity: (N,) float32, to the given label's prototype.
        predicted: (N,) int64, the class of the nearest prototype.
        predicted_similarity: (N,) float32, to that one.
        runner_up: (N,) int64, the class of the second nearest.
        runner_up_similarity: (N,) float32, to that one.
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
        """(N,) labels thought wrong."""
        return self.label_score < ISSUE_THRESHOLD

    def settled(self, rows: NDArray[np.bool_]) -> LabelScores:
        """The same, where of some tiles, rows (N,), it is known that their label is right."""
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
    """Score every label, block by block; no N × K matrix is kept.

    Args:
        vectors: N unit rows.
        labels: (N,) int64, the given labels' class numbers.
        prototypes: (K, D) float32, unit rows, K ≥ 2.
        temperature: σ > 0.
        left_out: for prototypes that are means of these very tiles.
        advance: is called with how many more tiles are done.

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
        predicted[rows], nearest[rows] = _taken(similarities, numbers)
        runner_up[rows], second[rows] = _taken(similarities, numbers)
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
    """The class of each tile's nearest prototype and its similarity, quicker than scores."""
    nearest, similarity = np.empty(len(vectors), np.int64), np.empty(len(vectors), np.float32)
    for rows in blocks_of(len(vectors), max(prototypes.shape)):
        similarities = vectors[rows] @ prototypes.T
        numbers = np.arange(len(similarities))
        nearest[rows] = similarities.argmax(axis=1)
        similarity[rows] = similarities[numbers, nearest[rows]]
        advance(len(numbers))
    return nearest, similarity


def _taken(
    similarities: NDArray[np.float32], numbers: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Each row's best column and its similarity, which is then struck out."""
    best = similarities.argmax(axis=1)
    values = similarities[numbers, best]
    similarities[numbers, best] = -np.inf
    return best, values
