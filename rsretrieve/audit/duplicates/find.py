"""Twins: tiles of the same, or nearly the same, pixels that were given two labels.

Embeddings say which pairs to look at, pixels decide. Where there are no pixels, embeddings
decide alone, and only where the two are far nearer to each other than to any third tile.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsretrieve._core.knn import Neighbours
from rsretrieve.audit.duplicates.align import SAME_PIXELS, Print, agreement
from rsretrieve.audit.duplicates.thumbprint import direction_made, thumbprint_made
from rsretrieve.data.reading.read_tiles import Read, read_in_order
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import TileSet

NEIGHBOURS_WITH_PIXELS, NEIGHBOURS_WITHOUT = 20, 3
NO_TWIN = -1

_COARSE_CORRELATION = 0.5
_SAME_VECTOR = 1 - 1e-6
_NEARNESS = 0.25  # of the distance to the nearest third tile
_PAIRS_AT_ONCE = 4096

Pairs = NDArray[np.int64]


@dataclass(frozen=True)
class Twins:
    """Who is whose twin.

    Attributes:
        twin: (N,) int64, the row of a tile's twin with another label, or −1.
    """

    twin: NDArray[np.int64]

    @property
    def has_twin(self) -> NDArray[np.bool_]:
        """(N,)."""
        return np.asarray(self.twin != NO_TWIN)

    @classmethod
    def of(cls, count: int, pairs: Pairs) -> Twins:
        """From pairs (P, 2), likeliest first; of several, a tile's first is its twin."""
        twin = np.full(count, NO_TWIN, np.int64)
        for one, other in pairs[::-1]:
            twin[one], twin[other] = other, one
        return cls(twin)


def pairs_of_two_labels(neighbours: Neighbours, labels: NDArray[np.int64]) -> Pairs:
    """Neighbours whose labels differ, each pair once and the more similar first: (P, 2)."""
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


def twins_by_embedding(neighbours: Neighbours, labels: NDArray[np.int64]) -> Twins:
    """The twins among embeddings whose tiles are not at hand.

    A twin is the nearest tile, mutually, and at most a quarter as far as the nearest third
    tile is from either; or its embedding is the very same. Distances are those of
    unit vectors, √(2 − 2s).
    """
    nearest, similarity = neighbours.rows[:, 0], neighbours.similarities[:, 0]
    rows = np.arange(len(nearest))
    mutual = (nearest > rows) & (nearest[nearest] == rows)
    third = neighbours.similarities[:, 1]
    third = np.maximum(third, third[nearest])
    near = 1 - similarity <= _NEARNESS**2 * (1 - third)
    twins = (mutual & near) | ((nearest >= 0) & (similarity >= _SAME_VECTOR))
    chosen = np.flatnonzero(twins & (labels != labels[nearest]))
    return Twins.of(len(rows), np.stack([chosen, nearest[chosen]], axis=1))


def twins_by_pixels(
    tiles: TileSet, neighbours: Neighbours, labels: NDArray[np.int64], context: RunContext
) -> Twins:
    """The twins among tiles that can be read: neighbours of two labels that agree in pixels."""
    pairs = pairs_of_two_labels(neighbours, labels)
    concerned = np.unique(pairs)
    context.start_stage("comparing tiles that look alike", len(concerned))
    coarse = _coarse_directions(tiles, concerned, context)
    pairs = _alike_at_a_glance(pairs, concerned, coarse)
    agreements = _agreements(pairs, _thumbprints(tiles, np.unique(pairs), context), context)
    order = np.argsort(-agreements, kind="stable")
    confirmed = order[agreements[order] >= SAME_PIXELS]
    return Twins.of(len(tiles), pairs[confirmed])


def _coarse_directions(
    tiles: TileSet, rows: NDArray[np.int64], context: RunContext
) -> NDArray[np.float16]:
    """(n, 256); a tile that can no longer be read has zeros, which are like nothing."""
    found = np.zeros((len(rows), 256), np.float16)
    for number, read in enumerate(read_in_order(tiles.select(rows.tolist()), direction_made)):
        if isinstance(read, Read):
            found[number] = read.content
        context.advance(1)
    return found


def _alike_at_a_glance(
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
    """By row; a tile that can no longer be read has none."""
    context.start_stage("reading tiles that look alike at a glance", len(rows))
    found = {}
    reads = read_in_order(tiles.select(rows.tolist()), thumbprint_made)
    for row, read in zip(rows.tolist(), reads):
        if isinstance(read, Read):
            found[row] = read.content
        context.advance(1)
    return found


def _agreements(pairs: Pairs, prints: dict[int, Print], context: RunContext) -> NDArray[np.float64]:
    """(P,); of a pair of which one has no print, 0."""
    context.start_stage("comparing pairs of tiles by their pixels", 2 * len(pairs))
    found = np.zeros(len(pairs))
    for number, (one, other) in enumerate(pairs.tolist()):
        if one in prints and other in prints:
            found[number] = agreement(prints[one], prints[other])
        context.advance(2)
    return found
