"""Alpha query expansion: a query moves towards its nearest hits.

    q' = (q + Σ max(sᵢ, 0)^α · vᵢ) / ‖q + Σ max(sᵢ, 0)^α · vᵢ‖

for the k nearest hits vᵢ with similarities sᵢ (Radenović, Tolias and Chum, 2018). The query itself
is not among them, so that a query that is a tile of the index does not count twice.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rsretrieve.search.exact import Ranking, exact_search

NEIGHBOURS, EXPONENT = 10, 3.0


def expanded(
    query: NDArray[np.float32],
    neighbours: NDArray[np.float32],
    similarities: NDArray[np.float64],
    exponent: float = EXPONENT,
) -> NDArray[np.float32]:
    """The expanded vector of a query.

    Args:
        query: (D,) float32, of unit length.
        neighbours: (k, D) float32, unit rows; none leave the query as it is.
        similarities: (k,) float64, their cosine similarities to the query.
        exponent: α.

    Returns:
        (D,) float32, of unit length.
    """
    if not len(neighbours):
        return query
    weights = np.maximum(similarities, 0.0) ** exponent
    weights[similarities <= 0] = 0.0  # also for α = 0
    total = query.astype(np.float64) + weights @ neighbours.astype(np.float64)
    return np.asarray(total / np.linalg.norm(total), np.float32)


def expanded_queries(
    queries: NDArray[np.float32],
    gallery: NDArray[np.float32],
    own_rows: NDArray[np.int64],
    neighbours: int = NEIGHBOURS,
    exponent: float = EXPONENT,
) -> NDArray[np.float32]:
    """Expand many queries, each by its nearest vectors of a gallery.

    Args:
        queries: (Q, D) float32, unit rows.
        gallery: (N, D) float32, unit rows.
        own_rows: (Q,) int64, the row of the gallery that is the query itself, or −1.
        neighbours: k.
        exponent: α.

    Returns:
        (Q, D) float32, unit rows.
    """
    rankings = exact_search(gallery, queries, neighbours + 1)
    found = np.empty_like(queries)
    for i, (query, own, ranking) in enumerate(zip(queries, own_rows.tolist(), rankings)):
        found[i] = by_ranking(query, gallery, _without(ranking, (own,), neighbours), exponent)
    return found


def by_ranking(
    query: NDArray[np.float32],
    vectors: NDArray[np.float32],
    ranking: Ranking,
    exponent: float = EXPONENT,
) -> NDArray[np.float32]:
    """The vector (D,) of a query, expanded by a ranking of rows of vectors (N, D)."""
    return expanded(query, np.asarray(vectors[ranking.rows]), ranking.similarities, exponent)


def _without(ranking: Ranking, rows: Sequence[int], count: int) -> Ranking:
    kept = np.flatnonzero(~np.isin(ranking.rows, rows))[:count]
    return Ranking(ranking.rows[kept], ranking.similarities[kept])
