"""Exact k nearest neighbours among unit vectors, block by block, and their votes.

Three searches do not use `knn_search`, for these reasons:
`search/exact.py` ranks by float64 similarities that do not depend on the batch;
`evaluation/retrieval_metrics.py` needs the rank of every row of the gallery;
`training/targets/neighbor_agreement.py` runs in PyTorch, on the device of the training.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NEIGHBOURS = 10
BLOCK_BYTES = 64 << 20  # of similarities
_SAME = 1e-3  # a distance that float32 cosines cannot distinguish from zero
_FEW = 4  # up to as many, passes of argmax take a tenth of the time of a partition


@dataclass(frozen=True)
class Neighbours:
    """The k nearest neighbours of Q vectors, the nearest first.

    Attributes:
        rows: (Q, k) int64, rows of the gallery.
        similarities: (Q, k) float32, cosine similarities.
    """

    rows: NDArray[np.int64]
    similarities: NDArray[np.float32]


def knn_search(
    queries: NDArray[np.float32],
    gallery: NDArray[np.float32],
    k: int,
    own_rows: NDArray[np.int64] | None = None,
    gallery_block: int | None = None,
) -> Neighbours:
    """Find the k nearest neighbours of each query by exact search.

    No more than 64 MiB of similarities are in memory at once, unless `gallery_block` is given.

    Args:
        queries: (Q, D) float32, unit rows.
        gallery: (N, D) float32, unit rows; may be memory-mapped.
        k: number of neighbours, 1 ≤ k ≤ N; below N with `own_rows`.
        own_rows: (Q,) int64, the row of the gallery that is the query itself, which is not its own
            neighbour.
        gallery_block: compare all queries with so many rows at once, and read a memory-mapped
            gallery only once; None compares some queries with the whole gallery.

    Returns:
        The neighbours; equal ones are in the order of their rows. Which of several equal ones is
        left out at rank k is not defined.
    """
    width = gallery_block or len(gallery)
    height = max(1, len(queries) if gallery_block else BLOCK_BYTES // (4 * width))
    rows = np.empty((len(queries), k), np.int64)
    similarities = np.empty((len(queries), k), np.float32)
    for start in range(0, len(queries), height):
        block = slice(start, start + height)
        own = None if own_rows is None else own_rows[block]
        found = _nearest_of_block(queries[block], gallery, k, own, width)
        rows[block], similarities[block] = found.rows, found.similarities
    return Neighbours(rows, similarities)


def _nearest_of_block(
    queries: NDArray[np.float32],
    gallery: NDArray[np.float32],
    k: int,
    own_rows: NDArray[np.int64] | None,
    width: int,
) -> Neighbours:
    best = Neighbours(
        np.empty((len(queries), 0), np.int64), np.empty((len(queries), 0), np.float32)
    )
    for start in range(0, len(gallery), width):
        similarities = queries @ gallery[start : start + width].T
        if own_rows is not None:
            inside = (own_rows >= start) & (own_rows < start + similarities.shape[1])
            similarities[inside, own_rows[inside] - start] = -np.inf
        best = _merged(best, similarities, start, k)
    return best


def _merged(best: Neighbours, similarities: NDArray[np.float32], start: int, k: int) -> Neighbours:
    """The k nearest of those found so far and of a block of the gallery that begins at `start`."""
    if best.rows.shape[1] < k:
        found = largest(similarities, min(k, similarities.shape[1]))
    else:
        found = _above(similarities, best.similarities[:, -1])
    merged = np.concatenate((best.similarities, found.similarities), axis=1)
    order = np.argsort(-merged, axis=1, kind="stable")[:, :k]  # earlier rows stay in front
    rows = np.concatenate((best.rows, found.rows + start), axis=1)
    return Neighbours(np.take_along_axis(rows, order, 1), np.take_along_axis(merged, order, 1))


def _above(similarities: NDArray[np.float32], bounds: NDArray[np.float32]) -> Neighbours:
    """All columns whose similarity is above each query's bound: few after the first blocks.

    Returns:
        As wide as the query with most of them; others are padded with −inf.
    """
    queries, columns = np.nonzero(similarities > bounds[:, None])
    counts = np.bincount(queries, minlength=len(similarities))
    place = np.arange(len(queries)) - np.repeat(np.cumsum(counts) - counts, counts)
    rows = np.zeros((len(similarities), counts.max(initial=0)), np.int64)
    values = np.full(rows.shape, -np.inf, np.float32)
    rows[queries, place] = columns
    values[queries, place] = similarities[queries, columns]
    return Neighbours(rows, values)


def largest(similarities: NDArray[np.float32], k: int) -> Neighbours:
    """The k largest entries of each row of a matrix, and their columns.

    Args:
        similarities: (B, N) float32; its entries are overwritten.
        k: 1 ≤ k ≤ N.
    """
    if k > _FEW:
        width = similarities.shape[1]
        best = np.argpartition(similarities, width - k, axis=1)[:, width - k :]
        values = np.take_along_axis(similarities, best, 1)
        order = np.lexsort((best, -values), axis=1)
        return Neighbours(np.take_along_axis(best, order, 1), np.take_along_axis(values, order, 1))
    numbers = np.arange(len(similarities))
    columns, values = np.empty((len(numbers), k), np.int64), np.empty((len(numbers), k), np.float32)
    for place in range(k):
        columns[:, place] = similarities.argmax(axis=1)
        values[:, place] = similarities[numbers, columns[:, place]]
        similarities[numbers, columns[:, place]] = -np.inf
    return Neighbours(columns, values)


def knn_votes(
    similarities: NDArray[np.float32],
    labels: NDArray[np.int64],
    classes: int,
    shares: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Votes of neighbours, weighted by inverse Euclidean distance.

    The squared distance of unit vectors is 2 − 2·cos. Neighbours at distance zero outvote all
    others, as in scikit-learn.

    Args:
        similarities: (B, k) float32, cosine similarities; −inf marks a missing neighbour, which
            has no vote.
        labels: (B, k) int64, the class numbers of the neighbours.
        classes: K.
        shares: (B, k) float64, 0…1, how much each neighbour counts; None for 1. A neighbour that
            does not count has no vote.

    Returns:
        (B, K) float64.
    """
    distances = np.sqrt(np.maximum(2 - 2 * similarities.astype(np.float64), 0))
    shares = np.ones(1) if shares is None else shares
    same = (distances < _SAME) & (shares > 0)
    weights = np.where(same.any(axis=1, keepdims=True), same, 1 / np.maximum(distances, _SAME))
    votes = np.zeros((len(labels), classes))
    np.add.at(votes, (np.arange(len(labels))[:, None], labels), weights * shares)
    return votes


def knn_predictions(
    queries: NDArray[np.float32], gallery: NDArray[np.float32], labels: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The class that the 10 nearest neighbours vote for; of equal classes, the first.

    Args:
        queries: (Q, D) float32, unit rows.
        gallery: (N, D) float32, unit rows.
        labels: (N,) int64, the class numbers of the gallery.

    Returns:
        (Q,) int64.
    """
    found = knn_search(queries, gallery, min(NEIGHBOURS, len(gallery)))
    votes = knn_votes(found.similarities, labels[found.rows], int(labels.max()) + 1)
    return np.asarray(votes.argmax(axis=1), np.int64)
