"""Find tiles of one list that overlap tiles of another list, or are near-duplicates of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from rsretrieve.audit.leaks.similar_tiles import Pairs, similar_pairs
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.splitting.close_tiles import CloseTiles
from rsretrieve.data.splitting.header_places import NOWHERE, Located, locate
from rsretrieve.data.tile import Tile, TileSet


class LeakKind(StrEnum):
    """How two tiles of different lists are related."""

    NEAR_DUPLICATE = "near_duplicate"
    OVERLAP = "overlap"


@dataclass(frozen=True)
class Leak:
    """A tile, and a tile of another list that shows the same, wholly or partly.

    Attributes:
        tile, other: the ids of the tiles.
        list, other_list: the names of their lists.
        kind: how they are related.
        similarity: of near-duplicates, the agreement of their pixels, at most 1; else None.
        overlap: of overlapping tiles, the share of the smaller one's area; else None.
    """

    tile: str
    other: str
    list: str
    other_list: str
    kind: LeakKind
    similarity: float | None = None
    overlap: float | None = None


@dataclass(frozen=True)
class ListLeaks:
    """How many tiles of one list leak into another.

    Attributes:
        list, other_list: the names of the lists.
        tiles: how many tiles `list` has.
        near_duplicates: how many of them have a near-duplicate in `other_list`.
        overlaps: how many of them overlap a tile of `other_list`.
    """

    list: str
    other_list: str
    tiles: int
    near_duplicates: int
    overlaps: int


@dataclass(frozen=True)
class FoundLeaks:
    """All leaks between lists.

    Attributes:
        lists: the lists by their names; rows are counted through all of them.
        compared: the numbers of the lists that were compared.
        pairs: (P, 2) rows: the tile of the earlier list, then that of the later one.
        values: (P,) similarity or overlap.
        is_overlap: (P,) which of the two it is.
    """

    lists: Mapping[str, TileSet]
    compared: Sequence[tuple[int, int]]
    pairs: Pairs
    values: NDArray[np.float64]
    is_overlap: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.pairs)

    def __iter__(self) -> Iterator[Leak]:
        """The leaks: near-duplicates, then overlaps, the largest values first."""
        names, tiles = list(self.lists), _all_tiles(self.lists)
        numbers = _list_numbers(self.lists)
        for at in np.lexsort((-self.values, self.is_overlap)).tolist():
            other, tile = self.pairs[at].tolist()
            of_lists = names[numbers[tile]], names[numbers[other]]
            ids, value = (tiles[tile].id, tiles[other].id), float(self.values[at])
            if self.is_overlap[at]:
                yield Leak(*ids, *of_lists, LeakKind.OVERLAP, overlap=value)
            else:
                yield Leak(*ids, *of_lists, LeakKind.NEAR_DUPLICATE, similarity=value)

    def count(self, kind: LeakKind) -> int:
        """How many pairs of tiles are related so."""
        return int((self.is_overlap == (kind is LeakKind.OVERLAP)).sum())

    def of_lists(self) -> list[ListLeaks]:
        """How many tiles of each later list leak into each earlier one."""
        names, numbers = list(self.lists), _list_numbers(self.lists)
        found = []
        for one, other in self.compared:
            own = (numbers[self.pairs] == (one, other)).all(axis=1)
            counts = [
                len(np.unique(self.pairs[own & (self.is_overlap == overlap), 1]))
                for overlap in (False, True)
            ]
            tiles = len(self.lists[names[other]])
            found.append(ListLeaks(names[other], names[one], tiles, *counts))
        return found


def find_leaks(
    lists: Mapping[str, TileSet], context: RunContext, *, last_only: bool = False
) -> FoundLeaks:
    """Find near-duplicates and overlapping tiles in different lists.

    Tiles with a georeference are compared on the ground, windows of one file by their position in
    it. Tiles that do not overlap are compared by their pixels.

    Args:
        lists: lists of tiles by their names.
        context: receives progress, and the tiles that cannot be read.
        last_only: only the last list is compared with each of the others.

    Raises:
        TileError: a tile cannot be read, and the context is strict.
    """
    sets = list(lists.values())
    compared = list(combinations(range(len(sets)), 2))
    if last_only:
        compared = [pair for pair in compared if pair[1] == len(sets) - 1]
    # Files that cannot be opened are reported once, when their pixels are read.
    quiet = RunContext(listener=context.report)
    located = [one or NOWHERE for tiles in sets for one in locate(tiles, quiet)]
    overlaps, shares = _overlaps(lists, located, last_only=last_only)
    total = len(located)
    keys = np.sort(overlaps[:, 0] * total + overlaps[:, 1])

    def are_known(pairs: Pairs) -> NDArray[np.bool_]:
        return np.isin(pairs[:, 0] * total + pairs[:, 1], keys)

    similar, values = similar_pairs(sets, compared, are_known, context)
    return FoundLeaks(
        lists,
        compared,
        np.concatenate((similar, overlaps)),
        np.concatenate((values, shares)),
        np.arange(len(similar) + len(overlaps)) >= len(similar),
    )


def _overlaps(
    lists: Mapping[str, TileSet], located: Sequence[Located], *, last_only: bool
) -> tuple[Pairs, NDArray[np.float64]]:
    """(P, 2) the rows of overlapping tiles in different lists, and (P,) what they share."""
    groups = _list_numbers(lists)
    if last_only:
        groups = (groups == len(lists) - 1).astype(np.int64)
    pairs, shares = [np.empty((0, 2), np.int64)], [np.empty(0)]
    for found in CloseTiles(_all_tiles(lists), located).between(groups):
        pairs.append(np.stack((found.ones, found.others), axis=1))
        shares.append(found.shares)
    return np.concatenate(pairs), np.concatenate(shares)


def _all_tiles(lists: Mapping[str, TileSet]) -> list[Tile]:
    return [tile for tiles in lists.values() for tile in tiles]


def _list_numbers(lists: Mapping[str, TileSet]) -> NDArray[np.int64]:
    """(N,) the number of the list of each row."""
    return np.repeat(np.arange(len(lists)), [len(tiles) for tiles in lists.values()])
