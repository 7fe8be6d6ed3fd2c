"""Nearest tiles: among all, or, of many tiles, where near-duplicates must be: within a group."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from rsretrieve._core.knn import Neighbours, knn_search
from rsretrieve.audit.estimators.unit_vectors import UnitRows, blocks_of
from rsretrieve.index.vectors.faiss_loader import faiss_module

MOST_EXACT = 50_000
"""Above this many tiles, the search among all of them is approximate."""

MOST_TOGETHER = 10_000
_SEED = 20
PER_CELL, _NEAR_CELLS = 1_000, 10
_TRAINING_PER_CELL, _STEPS = 40, 5


def nearest_neighbours(
    vectors: UnitRows,
    groups: NDArray[np.int64],
    k: int,
    advance: Callable[[int], None] = lambda _: None,
) -> Neighbours:
    """Find the nearest others: among all tiles while they are few, else within their group.

    N² products are too many for a million tiles. Twins look alike, so they have the same
    nearest prototype, but for those on a border; a group of more than 10,000 is cut across a random
    direction, in which twins lie side by side, too.

    Args:
        vectors: N unit rows.
        groups: (N,) int64, the class of the nearest prototype.
        k: how many.
        advance: is called with how many more tiles are done.

    Returns:
        (N, k); rows and similarities are −1 where a group has fewer neighbours.
    """
    found = Neighbours(
        np.full((len(vectors), k), -1, np.int64), np.full((len(vectors), k), -1, np.float32)
    )
    for members in _gatherings(vectors, groups):
        _search(vectors[members], members, found, advance)
    return found


def neighbours_among_all(vectors: UnitRows, k: int) -> Neighbours:
    """Find the nearest others among all tiles; above 50,000 approximately.

    The neighbours of a tile near the border of two classes lie in both. A search within groups
    would miss those of one of them. Many tiles are split in cells (inverted file, Sivic &
    Zisserman, ICCV 2003), and those of a cell are compared with all tiles of the nearest cells.

    Args:
        vectors: N unit rows; rows of zeros have no neighbours and are none.
        k: how many.

    Returns:
        (N, k); rows and similarities are −1 where there are fewer neighbours.
    """
    if len(vectors) <= MOST_TOGETHER:
        return nearest_neighbours(vectors, np.zeros(len(vectors), np.int64), k)
    found = Neighbours(
        np.full((len(vectors), k), -1, np.int64), np.full((len(vectors), k), -1, np.float32)
    )
    blocks = list(blocks_of(len(vectors), vectors.dimensions))
    known = np.flatnonzero(np.concatenate([vectors[rows].any(axis=1) for rows in blocks]))
    for queries, gallery in _comparisons(vectors, known):
        _search_exactly(vectors, queries, gallery, found)
    return found


def _comparisons(
    vectors: UnitRows, rows: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Rows whose neighbours are searched, and those among which they are searched."""
    if len(rows) <= MOST_EXACT:
        yield rows, rows
        return
    centres = _centres(vectors, rows)
    cells = np.empty(len(rows), np.int64)
    for block in blocks_of(len(rows), vectors.dimensions):
        cells[block] = most_similar(vectors[rows[block]], centres, 1).rows[:, 0]
    order = np.argsort(cells, kind="stable")
    members = np.split(rows[order], np.cumsum(np.bincount(cells, minlength=len(centres)))[:-1])
    near = most_similar(centres, centres, min(_NEAR_CELLS, len(centres))).rows
    for own, others in zip(members, near.tolist()):
        if len(own):
            yield own, np.concatenate([members[cell] for cell in others])


def _centres(vectors: UnitRows, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """(M, D) float32, unit rows in the centres of cells of about 1,000 tiles, by k-means."""
    count = len(rows) // PER_CELL
    sample = rows[:: max(1, len(rows) // (_TRAINING_PER_CELL * count))]
    means = faiss_module().Kmeans(
        *(vectors.dimensions, count),
        niter=_STEPS,
        seed=_SEED,
        spherical=True,
        min_points_per_centroid=1,
    )
    means.train(vectors[sample])
    return np.asarray(means.centroids, np.float32)


def most_similar(queries: NDArray[np.float32], gallery: NDArray[np.float32], k: int) -> Neighbours:
    """Find the k rows of a gallery with the largest inner products, by FAISS.

    Args:
        queries: (Q, D) float32.
        gallery: (N, D) float32, in memory.
        k: how many.

    Returns:
        (Q, k), the largest first; rows are −1 where the gallery has fewer.
    """
    faiss = faiss_module()
    similarities, rows = faiss.knn(queries, gallery, k, metric=faiss.METRIC_INNER_PRODUCT)
    return Neighbours(rows, similarities)


def _search_exactly(
    vectors: UnitRows, queries: NDArray[np.int64], gallery: NDArray[np.int64], found: Neighbours
) -> None:
    compared = vectors[gallery]
    for block in blocks_of(len(queries), vectors.dimensions):
        rows = queries[block]
        nearest = most_similar(vectors[rows], compared, found.rows.shape[1] + 1)
        numbers = np.where(nearest.rows < 0, -1, gallery[nearest.rows])
        _put_others(found, rows, numbers, nearest.similarities)


def _put_others(
    found: Neighbours,
    rows: NDArray[np.int64],
    nearest: NDArray[np.int64],
    similarities: NDArray[np.float32],
) -> None:
    """Set the k nearest of some rows, from k + 1 with the row itself, mostly the first."""
    is_other = nearest != rows[:, None]
    is_other[is_other.all(axis=1), -1] = False
    others = (len(rows), nearest.shape[1] - 1)
    found.rows[rows] = nearest[is_other].reshape(others)
    found.similarities[rows] = np.where(
        found.rows[rows] < 0, -1, similarities[is_other].reshape(others)
    )


def _gatherings(vectors: UnitRows, groups: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """The rows that are compared with each other, 10,000 at most."""
    if len(vectors) <= MOST_TOGETHER:
        yield np.arange(len(vectors))
        return
    direction = np.random.default_rng(_SEED).standard_normal(vectors.dimensions)
    order = np.argsort(groups, kind="stable")
    ends = np.flatnonzero(np.diff(groups[order])) + 1
    for members in np.split(order, ends):
        if len(members) > MOST_TOGETHER:
            along = np.concatenate(
                [vectors[members[rows]] @ direction for rows in blocks_of(len(members), 1024)]
            )
            members = members[np.argsort(along, kind="stable")]
        for start in range(0, len(members), MOST_TOGETHER):
            yield members[start : start + MOST_TOGETHER]


def _search(
    vectors: NDArray[np.float32],
    members: NDArray[np.int64],
    found: Neighbours,
    advance: Callable[[int], None],
) -> None:
    k = min(found.rows.shape[1], len(members) - 1)
    if k < 1:
        advance(len(members))
        return
    for rows in blocks_of(len(members), len(members)):
        nearest = knn_search(vectors[rows], vectors, k, np.arange(rows.start, rows.stop))
        found.rows[members[rows], :k] = members[nearest.rows]
        found.similarities[members[rows], :k] = nearest.similarities
        advance(rows.stop - rows.start)
