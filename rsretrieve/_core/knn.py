"""K-nearest-neighbour classification, weighted by inverse distance: the paper's accuracy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

NEIGHBOURS = 10
_BLOCK_BYTES = 64 << 20
_SAME = 1e-3  # a distance that cosines in float32 cannot tell from none


def knn_votes(
    similarities: NDArray[np.float32], labels: NDArray[np.int64], classes: int
) -> NDArray[np.float64]:
    """Votes of neighbours, weighted by inverse Euclidean distance.

    Of unit vectors the squared distance is 2 − 2·cos. Neighbours at distance zero outvote
    all others, as in scikit-learn.

    Args:
        similarities: (B, k) cosines; −inf is no neighbour and has no vote.
        labels: (B, k) the neighbours' class numbers.
        classes: K.

    Returns:
        (B, K).
    """
    distances = np.sqrt(np.maximum(2 - 2 * similarities.astype(np.float64), 0))
    same = distances < _SAME
    weights = np.where(same.any(axis=1, keepdims=True), same, 1 / np.maximum(distances, _SAME))
    votes = np.zeros((len(labels), classes))
    np.add.at(votes, (np.arange(len(labels))[:, None], labels), weights)
    return votes


def knn_predictions(
    queries: NDArray[np.float32], gallery: NDArray[np.float32], labels: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The class that the 10 nearest of a gallery vote for; of equals the first.

    Args:
        queries: (Q, D) float32, unit rows.
        gallery: (N, D) float32, unit rows.
        labels: (N,) int64, the gallery's class numbers.

    Returns:
        (Q,) int64.
    """
    k, classes = min(NEIGHBOURS, len(gallery)), int(labels.max()) + 1
    size = max(1, _BLOCK_BYTES // (len(gallery) * 4))
    predicted = []
    for start in range(0, len(queries), size):
        similarities = queries[start : start + size] @ gallery.T
        nearest = np.argpartition(-similarities, k - 1, axis=1)[:, :k]
        found = np.take_along_axis(similarities, nearest, axis=1)
        predicted.append(knn_votes(found, labels[nearest], classes).argmax(axis=1))
    return np.concatenate(predicted)
