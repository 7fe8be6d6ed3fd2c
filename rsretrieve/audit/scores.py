"""Score labels by their tiles' similarity to the class prototypes.

With s_c = w_c·v_i the cosine of tile i to the prototype of class c, y its given label and
o = argmax_{c ≠ y} s_c the best other class, the label's score is the probability of y in a
softmax over the two alone, at the model's temperature σ:

    label_score = 1 / (1 + exp((s_o − s_y) / σ))            0…1, lower is worse

A label is an issue where another prototype is nearer than its own: label_score < 1/2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_BLOCK_BYTES = 64 << 20
ISSUE_THRESHOLD = 0.5


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
    """

    label_score: NDArray[np.float64]
    margin: NDArray[np.float64]
    own_similarity: NDArray[np.float32]
    predicted: NDArray[np.int64]
    predicted_similarity: NDArray[np.float32]

    @property
    def is_issue(self) -> NDArray[np.bool_]:
        """(N,) labels thought wrong."""
        return self.label_score < ISSUE_THRESHOLD


def score_labels(
    vectors: NDArray[np.float32],
    labels: NDArray[np.int64],
    prototypes: NDArray[np.float32],
    temperature: float,
) -> LabelScores:
    """Score every label, block by block; no N × K matrix is kept.

    Args:
        vectors: (N, D) float32, unit rows.
        labels: (N,) int64, the given labels' class numbers.
        prototypes: (K, D) float32, unit rows, K ≥ 2.
        temperature: σ > 0.

    Returns:
        The scores, row by row.
    """
    size = max(1, _BLOCK_BYTES // (len(prototypes) * 4))
    starts = range(0, max(1, len(vectors)), size)
    blocks = [_score_block(vectors[i : i + size], labels[i : i + size], prototypes) for i in starts]
    own, best_other, predicted, nearest = (np.concatenate(parts) for parts in zip(*blocks))
    margin = own.astype(np.float64) - best_other
    return LabelScores(
        label_score=1 / (1 + np.exp(np.clip(-margin / temperature, -700, 700))),
        margin=margin,
        own_similarity=own,
        predicted=predicted,
        predicted_similarity=nearest,
    )


def _score_block(
    vectors: NDArray[np.float32], labels: NDArray[np.int64], prototypes: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64], NDArray[np.float32]]:
    """Own similarity, best other's, nearest class and its similarity."""
    similarities = vectors @ prototypes.T
    rows = np.arange(len(vectors))
    predicted = similarities.argmax(axis=1)
    nearest = similarities[rows, predicted]
    own = similarities[rows, labels]
    similarities[rows, labels] = -np.inf
    return own, similarities.max(axis=1), predicted, nearest
