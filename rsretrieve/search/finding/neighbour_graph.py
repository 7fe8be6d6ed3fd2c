"""A graph of nearest neighbours, over which examples spread to the tiles that look like them.

This is the method of Zhou, Bousquet, Lal, Weston, Schölkopf: "Learning with Local and Global
Consistency", NIPS 2003. With S the symmetrically normalised similarities of neighbours, a source b
spreads to

    f = (1 − α) Σ_t αᵗ Sᵗ b,

which is cut off after a fixed number of steps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array

from rsretrieve._core.knn import knn_search

NEIGHBOURS = 20
_POWER = 3  # of similarities
_ALPHA, _STEPS = 0.9, 30
_LEAST_DEGREE = 1e-12


@dataclass(frozen=True)
class NeighbourGraph:
    """The graph of M tiles.

    Attributes:
        links: (M, M) sparse, symmetric: S of the formula above.
        vectors: (M, D) float32, unit rows.
    """

    links: csr_array
    vectors: NDArray[np.float32]

    @classmethod
    def of(cls, vectors: NDArray[np.float32], neighbours: int = NEIGHBOURS) -> NeighbourGraph:
        """Link each tile with its nearest neighbours, by the third power of their similarity.

        Args:
            vectors: (M, D) float32, unit rows.
            neighbours: number of neighbours; fewer if there are fewer tiles.
        """
        count = len(vectors)
        k = min(neighbours, count - 1)
        if k < 1:
            return cls(csr_array((count, count), dtype=np.float32), vectors)
        found = knn_search(vectors, vectors, k, np.arange(count))
        strength = np.maximum(found.similarities, 0) ** _POWER
        starts = np.arange(count + 1) * k
        shape = (count, count)
        links = csr_array((strength.ravel(), found.rows.ravel(), starts), shape=shape)
        links = (links + links.T) / 2
        degrees = np.maximum(np.asarray(links.sum(axis=1)).ravel(), _LEAST_DEGREE)
        scale = diags_array(degrees**-0.5)
        return cls(csr_array(scale @ links @ scale).astype(np.float32), vectors)

    def spread(self, sources: NDArray[np.float32]) -> NDArray[np.float32]:
        """Spread sources over the graph.

        Args:
            sources: (M, S) float32, one column for each source.

        Returns:
            (M, S) float32.
        """
        spread = sources.copy()
        for _ in range(_STEPS):
            spread = _ALPHA * (self.links @ spread) + (1 - _ALPHA) * sources
        return np.asarray(spread, np.float32)

    def source_of(self, vector: NDArray[np.float32]) -> NDArray[np.float32]:
        """The source (M,) of an example that is no tile of the graph: its nearest tiles.

        Args:
            vector: (D,) float32, of unit length.
        """
        similarities = self.vectors @ vector
        k = min(NEIGHBOURS, len(similarities))
        nearest = np.argpartition(-similarities, k - 1)[:k]
        strength = np.maximum(similarities[nearest], 0) ** _POWER
        source = np.zeros(len(similarities), np.float32)
        total = float(strength.sum())
        if total > 0:
            source[nearest] = strength / total
        return source
