"""Nearest tiles, looked for where twins must be: among the tiles that look of one class."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsretrieve.audit.estimators.unit_vectors import UnitRows, blocks_of

_MOST_TOGETHER = 10_000
_SEED = 20
_FEW = 4


@dataclass(frozen=True)
class Neighbours:
    """Each tile's k nearest others, nearest first.

    Attributes:
        rows: (N, k) int64; −1 where a group has no more.
        similarities: (N, k) float32; −1 there.
    """

    rows: NDArray[np.int64]
    similarities: NDArray[np.float32]


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
        similarities = vectors[rows] @ vectors.T
        numbers = np.arange(len(similarities))
        similarities[numbers, numbers + rows.start] = -2  # not its own neighbour
        best, values = _largest(similarities, k)
        found.rows[members[rows], :k] = members[best]
        found.similarities[members[rows], :k] = values
        advance(len(numbers))


def _largest(
    similarities: NDArray[np.float32], k: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The k largest of each row, falling, and their columns; the rows are not kept whole."""
    if k > _FEW:
        best = np.argpartition(similarities, len(similarities[0]) - k, axis=1)[:, -k:]
        values = np.take_along_axis(similarities, best, 1)
        order = np.lexsort((best, -values), axis=1)
        return np.take_along_axis(best, order, 1), np.take_along_axis(values, order, 1)
    numbers = np.arange(len(similarities))
    columns, values = np.empty((len(numbers), k), np.int64), np.empty((len(numbers), k), np.float32)
    for place in range(k):  # some passes of argmax are a tenth of the time of a partition
        columns[:, place] = similarities.argmax(axis=1)
        values[:, place] = similarities[numbers, columns[:, place]]
        similarities[numbers, columns[:, place]] = -2
    return columns, values
