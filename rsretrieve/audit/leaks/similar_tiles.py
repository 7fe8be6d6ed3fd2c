"""Near-duplicates across lists, found by pixels alone: no model is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsretrieve._core.knn import knn_search
from rsretrieve.audit.duplicates.align import SAME_PIXELS, agreements
from rsretrieve.audit.duplicates.thumbprint import (
    COARSE_DIRECTION,
    THUMBPRINT,
    to_coarse_direction,
    to_thumbprint,
)
from rsretrieve.data.failures import Failure
from rsretrieve.data.reading.chunk_reader import Read
from rsretrieve.data.reading.read_tiles import read_in_order
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import TileSet

_COARSE_CORRELATION = 0.5
_CANDIDATES = 20  # of each tile in each other list
_PAIRS_AT_ONCE = 20_000  # whose thumbprints, 16 kB each, are in memory

Pairs = NDArray[np.int64]


def similar_pairs(
    lists: Sequence[TileSet],
    compared: Sequence[tuple[int, int]],
    known: Callable[[Pairs], NDArray[np.bool_]],
    context: RunContext,
) -> tuple[Pairs, NDArray[np.float64]]:
    """Find the near-duplicates in different lists.

    Tiles are compared at 16×16 px first. The 20 most similar ones of each tile in each other list
    are compared at 64×64 px, as in an audit. Tiles without structure match nothing.

    Args:
        lists: lists of tiles; rows are counted through all of them.
        compared: the numbers of the lists that are compared with each other.
        known: whether pairs (P, 2) need no comparison, because they are known to overlap.
        context: receives progress, and the tiles that cannot be read.

    Returns:
        (P, 2) int64 rows of near-duplicates, and (P,) their agreement, −1…1.
    """
    starts = np.cumsum([0, *map(len, lists)])
    coarse = _coarse(lists, context)
    found = [np.empty((0, 2), np.int64)]
    for one, other in compared:
        a, b = (slice(starts[number], starts[number + 1]) for number in (one, other))
        found.append(_candidates(coarse[a], coarse[b]) + (a.start, b.start))
    pairs = np.concatenate(found)
    pairs = pairs[~known(pairs)]
    context.start_stage("comparing similar tiles of different lists", len(pairs))
    values = np.zeros(len(pairs))
    for start in range(0, len(pairs), _PAIRS_AT_ONCE):
        block = slice(start, start + _PAIRS_AT_ONCE)
        prints = dict(_read(lists, np.unique(pairs[block]), to_thumbprint, None))
        values[block] = agreements(pairs[block], prints, lambda: context.advance(1))
    same = values >= SAME_PIXELS
    return pairs[same], values[same]


def _coarse(lists: Sequence[TileSet], context: RunContext) -> NDArray[np.float32]:
    """(N, 256) unit rows; zeros for tiles that cannot be read."""
    total = sum(map(len, lists))
    context.start_stage("reading tiles at low resolution", total)
    coarse = np.zeros((total, 256), np.float16)
    for row, content in _read(lists, np.arange(total), to_coarse_direction, context):
        coarse[row] = content
    return coarse.astype(np.float32)


def _read(
    lists: Sequence[TileSet], rows: NDArray[np.int64], process: Any, context: RunContext | None
) -> Iterator[tuple[int, Any]]:
    """What `process` makes of some tiles; a context gets those that cannot be read."""
    start = 0
    fits = THUMBPRINT if process is to_thumbprint else COARSE_DIRECTION
    for tiles in lists:
        own = rows[(rows >= start) & (rows < start + len(tiles))]
        reads = read_in_order(tiles.select(list(own - start)), process, fits=fits)
        for row, read in zip(own.tolist(), reads):
            if context is not None:
                _report(read, context)
            if not isinstance(read, Failure):
                yield row, read.content
        start += len(tiles)


def _report(read: Read[Any] | Failure, context: RunContext) -> None:
    if isinstance(read, Failure):
        context.add_failure(read)
    else:
        context.add_notes(read.tile.id, read.notes)
    context.advance(1)


def _candidates(one: NDArray[np.float32], other: NDArray[np.float32]) -> Pairs:
    """(P, 2) rows of two lists that are similar at low resolution, each pair once."""
    found = []
    for queries, gallery, order in ((one, other, 1), (other, one, -1)):
        if not (len(queries) and len(gallery)):
            continue
        near = knn_search(queries, gallery, min(_CANDIDATES, len(gallery)))
        at, rank = np.nonzero(near.similarities >= _COARSE_CORRELATION)
        found.append(np.stack((at, near.rows[at, rank]), axis=1)[:, ::order])
    return np.unique(np.concatenate([np.empty((0, 2), np.int64), *found]), axis=0)
