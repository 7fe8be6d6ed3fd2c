"""Find near-duplicates: tiles with (nearly) the same pixels and different labels.

Embeddings select the candidate pairs, pixels decide. Without pixels, embeddings decide alone: the
two tiles must then be much nearer to each other than to any third tile, or their embeddings equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsretrieve._core.knn import Neighbours
from rsretrieve.audit.duplicates.align import SAME_PIXELS, Print, agreements
from rsretrieve.audit.duplicates.equal_vectors import NO_OTHER, equal_with_another_label
from rsretrieve.audit.duplicates.thumbprint import (
    COARSE_DIRECTION,
    THUMBPRINT,
    to_coarse_direction,
    to_thumbprint,
)
from rsretrieve.audit.estimators.unit_vectors import UnitRows
from rsretrieve.data.reading.chunk_reader import Read
from rsretrieve.data.reading.read_tiles import read_in_order
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import TileSet

NEIGHBOURS_WITH_PIXELS, NEIGHBOURS_WITHOUT = 20, 3
NO_DUPLICATE = -1

_COARSE_CORRELATION = 0.5
_NEARNESS = 0.25  # of the distance to the nearest third tile
_PAIRS_AT_ONCE = 4096

Pairs = NDArray[np.int64]


@dataclass(frozen=True)
class NearDuplicates:
    """The near-duplicate of every tile.

    Attributes:
        other: (N,) int64 row of the near-duplicate with another label, or `NO_DUPLICATE`.
    """

    other: NDArray[np.int64]

    @property
    def has_other(self) -> NDArray[np.bool_]:
        """(N,) the tile has a near-duplicate with another label."""
        return np.asarray(self.other != NO_DUPLICATE)

    @classmethod
    def from_pairs(cls, count: int, pairs: Pairs) -> NearDuplicates:
        """Take the first pair of each tile.

        Args:
            count: N.
            pairs: (P, 2) int64 rows, the best pair first.
        """
        found = np.full(count, NO_DUPLICATE, np.int64)
        for one, other in pairs[::-1]:
            found[one], found[other] = other, one
        return cls(found)


def pairs_of_two_labels(neighbours: Neighbours, labels: NDArray[np.int64]) -> Pairs:
    """Select the neighbours with different labels.

    Args:
        neighbours: of N tiles.
        labels: (N,) int64 class numbers of the given labels.

    Returns:
        (P, 2) int64 rows, each pair once, the most similar first.
    """
    rows = neighbours.rows
    ones = np.repeat(np.arange(len(rows)), rows.shape[1])
    others = rows.ravel()
    differ = (others >= 0) & (labels[ones] != labels[others])
    ones, others = ones[differ], others[differ]
    similarities = neighbours.similarities.ravel()[differ]
    order = np.lexsort((np.maximum(ones, others), np.minimum(ones, others), -similarities))
    pairs = np.stack([np.minimum(ones, others), np.maximum(ones, others)], axis=1)[order]
    _, first = np.unique(pairs, axis=0, return_index=True)
    return np.asarray(pairs[np.sort(first)], np.int64)


def near_duplicates_by_embedding(
    vectors: UnitRows, neighbours: Neighbours, labels: NDArray[np.int64], ids: Sequence[str]
) -> NearDuplicates:
    """Find near-duplicates without pixels.

    Two tiles are near-duplicates if each is the nearest tile of the other, and their distance is
    at most a quarter of the distance of either to a third tile; or if their embeddings are
    equal. The distance of unit vectors with cosine s is √(2 − 2s).

    Args:
        vectors: N unit rows.
        neighbours: at least two of each of N tiles.
        labels: (N,) int64 class numbers of the given labels.
        ids: of the N tiles; they decide between equal embeddings.
    """
    nearest, similarity = neighbours.rows[:, 0], neighbours.similarities[:, 0]
    rows = np.arange(len(nearest))
    mutual = (nearest > rows) & (nearest[nearest] == rows)
    third = neighbours.similarities[:, 1]
    third = np.maximum(third, third[nearest])
    near = 1 - similarity <= _NEARNESS**2 * (1 - third)
    chosen = np.flatnonzero(mutual & near & (labels != labels[nearest]))
    found = NearDuplicates.from_pairs(len(rows), np.stack([chosen, nearest[chosen]], axis=1))
    equal = equal_with_another_label(vectors, neighbours, labels, ids)
    return NearDuplicates(np.where(equal == NO_OTHER, found.other, equal))


def near_duplicates_by_pixels(
    tiles: TileSet, neighbours: Neighbours, labels: NDArray[np.int64], context: RunContext
) -> NearDuplicates:
    """Find near-duplicates among the neighbours with different labels, by their pixels.

    Args:
        tiles: N tiles that can be read.
        neighbours: of the N tiles, by their embeddings.
        labels: (N,) int64 class numbers of the given labels.
        context: receives progress.
    """
    pairs = pairs_of_two_labels(neighbours, labels)
    concerned = np.unique(pairs)
    context.start_stage("comparing similar tiles at low resolution", len(concerned))
    coarse = _coarse_directions(tiles, concerned, context)
    pairs = _similar_at_low_resolution(pairs, concerned, coarse)
    prints = _thumbprints(tiles, np.unique(pairs), context)
    context.start_stage("comparing pairs by their pixels", 2 * len(pairs))
    values = agreements(pairs, prints, lambda: context.advance(2))
    order = np.argsort(-values, kind="stable")
    confirmed = order[values[order] >= SAME_PIXELS]
    return NearDuplicates.from_pairs(len(tiles), pairs[confirmed])


def _coarse_directions(
    tiles: TileSet, rows: NDArray[np.int64], context: RunContext
) -> NDArray[np.float16]:
    """(n, 256) float16; zeros, which match nothing, for a tile that can no longer be read."""
    found = np.zeros((len(rows), 256), np.float16)
    reads = read_in_order(tiles.select(rows.tolist()), to_coarse_direction, fits=COARSE_DIRECTION)
    for number, read in enumerate(reads):
        if isinstance(read, Read):
            found[number] = read.content
        context.advance(1)
    return found


def _similar_at_low_resolution(
    pairs: Pairs, concerned: NDArray[np.int64], coarse: NDArray[np.float16]
) -> Pairs:
    kept = []
    for start in range(0, len(pairs), _PAIRS_AT_ONCE):
        block = pairs[start : start + _PAIRS_AT_ONCE]
        one, other = (coarse[np.searchsorted(concerned, rows)] for rows in block.T)
        products = np.einsum("ij,ij->i", one.astype(np.float32), other.astype(np.float32))
        kept.append(block[products >= _COARSE_CORRELATION])
    return np.concatenate(kept) if kept else pairs


def _thumbprints(tiles: TileSet, rows: NDArray[np.int64], context: RunContext) -> dict[int, Print]:
    """Row → thumbprint; tiles that can no longer be read are left out."""
    context.start_stage("reading candidates for near-duplicates", len(rows))
    found = {}
    reads = read_in_order(tiles.select(rows.tolist()), to_thumbprint, fits=THUMBPRINT)
    for row, read in zip(rows.tolist(), reads):
        if isinstance(read, Read):
            found[row] = read.content
        context.advance(1)
    return found
