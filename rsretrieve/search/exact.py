"""Exact search: compare a query with every vector, block by block.

Similarities are sums of products in float64. They are the same to the last bit, however many
queries or vectors are compared together. Equal similarities are ranked in the order of rows, so
that the first k of k + 1 hits are the k hits. For speed, all similarities are computed in float32
first; only those of candidates for the k nearest are computed again in float64.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BLOCK_ROWS = 1 << 16
QUERIES_AT_ONCE = 256  # 64 MiB of similarities per block
_FLOAT32_ULP = 2.0**-24


@dataclass(frozen=True)
class Ranking:
    """The nearest vectors of a query.

    Attributes:
        rows: (R,) int64, the nearest first.
        similarities: (R,) float64, falling; equal ones are in the order of rows.
    """

    rows: NDArray[np.int64]
    similarities: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.rows)


EMPTY = Ranking(np.empty(0, np.int64), np.empty(0, np.float64))


def exact_search(
    vectors: NDArray[np.float32],
    queries: NDArray[np.float32],
    k: int,
    rows: NDArray[np.int64] | None = None,
) -> list[Ranking]:
    """Find the k nearest vectors of each query.

    Args:
        vectors: (N, D) float32, unit rows; may be memory-mapped.
        queries: (Q, D) float32, unit rows.
        k: number of neighbours.
        rows: (R,) int64, rising, the rows to search; None for all.

    Returns:
        One ranking of min(k, R) rows per query.
    """
    found: list[Ranking] = []
    for start in range(0, len(queries), QUERIES_AT_ONCE):
        group = np.ascontiguousarray(queries[start : start + QUERIES_AT_ONCE], np.float32)
        best = [EMPTY] * len(group)
        for numbers, block in _blocks(vectors, rows):
            best = _with_block(best, group, numbers, block, k)
        found.extend(best)
    return found


def similarities_to(
    query: NDArray[np.float32], vectors: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Cosine similarities in float64, which do not depend on the other vectors.

    Args:
        query: (D,) float32, of unit length.
        vectors: (M, D) float32, unit rows.

    Returns:
        (M,) float64.
    """
    products: NDArray[np.float64] = vectors.astype(np.float64) * query.astype(np.float64)
    return np.asarray(products.sum(axis=1), np.float64)


def rank_rows(rows: NDArray[np.int64], similarities: NDArray[np.float64], k: int) -> Ranking:
    """The ranking of the k most similar of some rows (M,) with their similarities (M,)."""
    order = np.lexsort((rows, -similarities))[:k]
    return Ranking(rows[order], similarities[order])


def _blocks(
    vectors: NDArray[np.float32], rows: NDArray[np.int64] | None
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    count = len(vectors) if rows is None else len(rows)
    for start in range(0, count, BLOCK_ROWS):
        stop = min(start + BLOCK_ROWS, count)
        if rows is None:
            yield np.arange(start, stop), vectors[start:stop]
        else:
            yield rows[start:stop], vectors[rows[start:stop]]


def _with_block(
    best: list[Ranking],
    queries: NDArray[np.float32],
    numbers: NDArray[np.int64],
    block: NDArray[np.float32],
    k: int,
) -> list[Ranking]:
    rough = queries @ block.T
    return [
        _merged(so_far, query, row, numbers, block, k)
        for so_far, query, row in zip(best, queries, rough)
    ]


def _merged(
    so_far: Ranking,
    query: NDArray[np.float32],
    rough: NDArray[np.float32],
    numbers: NDArray[np.int64],
    block: NDArray[np.float32],
    k: int,
) -> Ranking:
    """A ranking, merged with the candidates of a block."""
    # Twice the largest error of float32: one in the k-th similarity, one in another.
    slack = 4 * block.shape[1] * _FLOAT32_ULP
    least = so_far.similarities[-1] if len(so_far) >= k else -np.inf
    chosen = np.flatnonzero(rough >= least - slack)
    if len(chosen) > 2 * k:
        kth = np.partition(rough[chosen], len(chosen) - k)[len(chosen) - k]
        chosen = chosen[rough[chosen] >= kth - slack]
    if not len(chosen):
        return so_far
    rows = np.concatenate((so_far.rows, numbers[chosen]))
    similarities = np.concatenate((so_far.similarities, similarities_to(query, block[chosen])))
    return rank_rows(rows, similarities, k)
