"""Nearest tiles, looked for where twins must be: among the tiles that look of one class."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from rsretrieve._core.knn import Neighbours, knn_search
from rsretrieve.audit.estimators.unit_vectors import UnitRows, blocks_of

_MOST_TOGETHER = 10_000
_SEED = 20


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


def _gatherings(vectors: UnitRows, groups: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """The rows that are held against one another, 10,000 at most."""
    if len(vectors) <= _MOST_TOGETHER:
        yield np.arange(len(vectors))
        return
    direction = np.random.default_rng(_SEED).standard_normal(vectors.dimensions)
    order = np.argsort(groups, kind="stable")
    ends = np.flatnonzero(np.diff(groups[order])) + 1
    for members in np.split(order, ends):
        if len(members) > _MOST_TOGETHER:
            along = np.concatenate(
                [vectors[members[rows]] @ direction for rows in blocks_of(len(members), 1024)]
            )
            members = members[np.argsort(along, kind="stable")]
        for start in range(0, len(members), _MOST_TOGETHER):
            yield members[start : start + _MOST_TOGETHER]


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
