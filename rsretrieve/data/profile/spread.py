"""How much the embeddings of a set of tiles differ from one another."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_LEAST_TILES = 5  # of a class
_MOST_ROWS = 20_000


def spread_of(vectors: NDArray[np.float32]) -> float | None:
    """One minus the mean cosine similarity of all pairs: 0 if all embeddings are the same.

    Args:
        vectors: (N, D) float32 unit rows.

    Returns:
        0…2; None for fewer than two vectors.
    """
    some = np.asarray(vectors[:: -(-max(1, len(vectors)) // _MOST_ROWS)], np.float64)
    if len(some) < 2:
        return None
    # Around the mean, not by the length of the sum: 1 − 1e-9 has no digits left.
    squares = float(np.square(some - some.mean(axis=0)).sum())
    return squares / (len(some) - 1)


def least_class_spread(vectors: NDArray[np.float32], labels: NDArray[Any]) -> float | None:
    """The spread of the class whose embeddings differ least; None if all classes are small.

    Args:
        vectors: (N, D) float32 unit rows.
        labels: (N,) the class of each; negative ones are left out.
    """
    counts = np.bincount(labels[labels >= 0])
    spreads = [spread_of(vectors[labels == i]) for i in np.flatnonzero(counts >= _LEAST_TILES)]
    return min((spread for spread in spreads if spread is not None), default=None)
