"""Made-up vectors for the tests of indexes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]


def unit_rows(rows: int, dimensions: int, seed: int) -> Vectors:
    """Random unit vectors."""
    vectors = np.random.default_rng(seed).standard_normal((rows, dimensions))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def clustered_rows(rows: int, dimensions: int, clusters: int, seed: int) -> Vectors:
    """Unit vectors in clusters, whose centres do not hang on the seed."""
    chance = np.random.default_rng(seed)
    centres = unit_rows(clusters, dimensions, 99)[chance.integers(0, clusters, rows)]
    vectors = centres + 0.1 * chance.standard_normal((rows, dimensions))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
