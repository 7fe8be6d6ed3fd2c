"""Find the tiles that overlap on the ground, or that lie within some metres of each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray

from rsretrieve._core.paths import Location
from rsretrieve.data.splitting.footprint_shapes import (
    EQUATOR_M,
    FootprintShapes,
    areas_m2,
    pairs_on_planes,
)
from rsretrieve.data.splitting.header_places import NOWHERE, Located
from rsretrieve.data.splitting.joined_groups import Rows, joined
from rsretrieve.data.tile import Tile

_SHAPES_AT_ONCE = 2000
_WHOLE_FILE_PX = 1 << 30
_LEAST_WIDTH_PX = 0.06  # of the finer tile; outlines are exact to 0.02 px, two are compared
_SIDE_PX = 256  # of a tile whose size is not known
_POLEWARD_DEGREE_M = 110_574.0  # the shortest degree of latitude
_EXACT_M = 1e-3


class Pairs(NamedTuple):
    """Pairs of tiles.

    Attributes:
        ones, others: (P,) rows; ones < others.
        shares: (P,) what they share, of the area of the smaller tile; 0 for tiles that do not
            overlap.
    """

    ones: Rows
    others: Rows
    shares: NDArray[np.float64]


class CloseTiles:
    """Which of N tiles overlap, or are close.

    Windows of one file are compared by their pixels, whether they have a place or not. Other tiles
    are compared on the ground. Tiles that only touch do not overlap. Their outlines are exact to a
    few hundredths of a pixel; less is no overlap.

    Args:
        tiles: N tiles.
        located: N places.
        buffer_m: tiles within this distance are close; 0: only those that overlap.
    """

    def __init__(
        self, tiles: Sequence[Tile], located: Sequence[Located], buffer_m: float = 0.0
    ) -> None:
        self._tiles, self._located, self._buffer_m = tiles, located, buffer_m

    def joined(self, groups: Rows) -> Rows:
        """Unite the groups (N,) of all close tiles; see `joined_groups.joined`."""
        for pairs in self._window_pairs(groups):
            groups = joined(groups, pairs.ones, pairs.others)
        for rows in self._blocks(np.arange(len(self._ground.shapes))):
            pairs = self._ground_pairs(rows, groups)
            groups = joined(groups, pairs.ones, pairs.others)
        return groups

    def between(self, groups: Rows, rows: Rows | None = None) -> Iterator[Pairs]:
        """The pairs of close tiles in two different groups, each pair once, some at a time.

        Args:
            groups: (N,) any numbers; a negative one for tiles that are left aside.
            rows: the tiles to look at; None for all.
        """
        chosen = np.ones(len(self._tiles), bool)
        if rows is not None:
            chosen[:] = False
            chosen[rows] = True
        groups = np.where(chosen, groups, -1)
        yield from self._window_pairs(groups)
        shapes = np.flatnonzero(groups[self._ground.owners] >= 0)
        for block in self._blocks(shapes):
            yield self._ground_pairs(block, groups)

    @staticmethod
    def _blocks(rows: Rows) -> Iterator[Rows]:
        for start in range(0, len(rows), _SHAPES_AT_ONCE):
            yield rows[start : start + _SHAPES_AT_ONCE]

    @cached_property
    def _files(self) -> Rows:
        """(N,) a number for the file of each tile."""
        numbers: dict[str, int] = {}
        files = files_of(self._tiles, parts=True)
        return np.array([numbers.setdefault(file, len(numbers)) for file in files], np.int64)

    @cached_property
    def _windows(self) -> Rows:
        """(N, 4) first column and row, and those after the last."""
        whole = (0, 0, _WHOLE_FILE_PX, _WHOLE_FILE_PX)
        corners = [
            whole
            if (w := tile.window) is None
            else (w.col, w.row, w.col + w.width, w.row + w.height)
            for tile in self._tiles
        ]
        return np.array(corners, np.int64).reshape(-1, 4)

    @cached_property
    def _window_tree(self) -> tuple[Rows, shapely.STRtree]:
        """The tiles whose file has others, and a tree of their windows, file beside file."""
        shared = np.flatnonzero(np.bincount(self._files)[self._files] > 1)
        return shared, shapely.STRtree(self._boxes(shared))

    def _boxes(self, rows: Rows) -> NDArray[np.object_]:
        left, top, right, bottom = self._windows[rows].T.astype(float)
        beside = self._files[rows] * 2.0 * _WHOLE_FILE_PX
        return np.asarray(shapely.box(left + beside, top, right + beside, bottom))

    def _window_pairs(self, groups: Rows) -> Iterator[Pairs]:
        """The pairs of overlapping windows of one file."""
        if len(self._tiles) == 0:
            return
        shared, tree = self._window_tree
        for block in self._blocks(np.flatnonzero(groups[shared] >= 0)):
            found, others = tree.query(self._boxes(shared[block]))
            ones, others = shared[block][found], shared[others]
            kept = (ones < others) & _apart(groups, ones, others)
            ones, others = ones[kept], others[kept]
            a, b = self._windows[ones], self._windows[others]
            sides = np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])
            areas = [np.prod(w[:, 2:] - w[:, :2], axis=1) for w in (a, b)]
            shares = np.prod(np.maximum(sides, 0), axis=1) / np.minimum(*areas)
            real = (sides > 0).all(axis=1)
            yield Pairs(ones[real], others[real], shares[real])

    @cached_property
    def _ground(self) -> FootprintShapes:
        return FootprintShapes.of([one.place for one in self._located])

    @cached_property
    def _tree(self) -> shapely.STRtree:
        return shapely.STRtree(self._ground.shapes)

    @cached_property
    def _areas_m2(self) -> NDArray[np.float64]:
        """(N,) the area of each tile."""
        found = np.zeros(len(self._tiles))
        np.add.at(found, self._ground.owners, areas_m2(self._ground.shapes))
        return found

    @cached_property
    def _pixel_m(self) -> NDArray[np.float64]:
        """(N,) the side of a pixel, roughly."""
        pixels = np.array([one.pixels or _SIDE_PX**2 for one in self._located], float)
        return np.asarray(np.sqrt(self._areas_m2 / pixels))

    def _ground_pairs(self, block: Rows, groups: Rows) -> Pairs:
        """The close pairs of which some shapes are the first."""
        owners, shapes = self._ground.owners, self._ground.shapes
        found, seconds = self._candidates(block)
        firsts = block[found]
        ones, others = owners[firsts], owners[seconds]
        kept = (ones < others) & _apart(groups, ones, others)
        if not self._buffer_m:  # windows of one file are compared by their pixels
            kept &= self._files[ones] != self._files[others]
        firsts, seconds, ones, others = (each[kept] for each in (firsts, seconds, ones, others))
        if not len(firsts):
            return Pairs(ones, others, np.zeros(0))
        a, b = pairs_on_planes(shapes[firsts], shapes[seconds])
        shared = self._shared_m2(a, b, ones, others)
        close = shared > 0
        if self._buffer_m:
            reach = self._buffer_m + _EXACT_M
            close |= np.asarray(shapely.dwithin(a, b, reach))
        return self._summed(ones[close], others[close], shared[close])

    def _shared_m2(
        self, a: NDArray[np.object_], b: NDArray[np.object_], ones: Rows, others: Rows
    ) -> NDArray[np.float64]:
        """(P,) the area that two shapes share; 0 where it is too narrow to be told."""
        areas = np.zeros(len(a))
        meet = np.flatnonzero(shapely.intersects(a, b))
        both = shapely.intersection(a[meet], b[meet])
        area, around = shapely.area(both), shapely.length(both)
        width = np.divide(2 * area, around, out=np.zeros(len(meet)), where=area > 0)
        least = _LEAST_WIDTH_PX * np.minimum(self._pixel_m[ones], self._pixel_m[others])[meet]
        areas[meet] = np.where(width > least, area, 0)
        return areas

    def _summed(self, ones: Rows, others: Rows, shared: NDArray[np.float64]) -> Pairs:
        """One pair of tiles for all pairs of their shapes."""
        keys, which = np.unique(ones * len(self._tiles) + others, return_inverse=True)
        ones, others = np.divmod(keys, len(self._tiles))
        smaller = np.minimum(self._areas_m2[ones], self._areas_m2[others])
        total = np.bincount(which, shared, minlength=len(keys))
        shares = np.divide(total, smaller, out=np.zeros(len(keys)), where=smaller > 0)
        return Pairs(ones, others, np.minimum(shares, 1))

    def _candidates(self, block: Rows) -> tuple[Rows, Rows]:
        """Pairs of shapes whose boxes are close: positions in `block`, and shapes."""
        west, south, east, north = shapely.bounds(self._ground.shapes[block]).T
        reach = self._buffer_m + _EXACT_M
        up = 1.001 * reach / _POLEWARD_DEGREE_M
        highest = np.maximum(np.abs(south - up), np.abs(north + up))
        across = np.cos(np.radians(np.minimum(highest, 90)))
        chord = np.divide(reach, 2 * EQUATOR_M * across, out=np.ones(len(block)), where=across > 0)
        wide = 1.001 * np.degrees(2 * np.arcsin(np.minimum(chord, 1)))
        west, east = west - wide, east + wide
        found = []
        for turn in (0.0, 360.0, -360.0):
            asked = np.flatnonzero((east + turn >= -180) & (west + turn <= 180))
            edges = west + turn, south - up, east + turn, north + up
            at, shapes = self._tree.query(shapely.box(*(edge[asked] for edge in edges)))
            found.append(asked[at] * len(self._ground.shapes) + shapes)
        at, shapes = np.divmod(np.unique(np.concatenate(found)), len(self._ground.shapes))
        return at, shapes


def overlapping_windows(lists: Sequence[Sequence[Tile]]) -> list[int]:
    """How many tiles of each list overlap a window of another list in the same file.

    Nothing is read for it.
    """
    groups = np.repeat(np.arange(len(lists)), [len(tiles) for tiles in lists])
    tiles = [tile for part in lists for tile in part]
    overlapping = np.zeros(len(tiles), bool)
    for found in CloseTiles(tiles, [NOWHERE] * len(tiles)).between(groups):
        overlapping[found.ones] = overlapping[found.others] = True
    return [int(overlapping[groups == number].sum()) for number in range(len(lists))]


def _apart(groups: Rows, ones: Rows, others: Rows) -> NDArray[np.bool_]:
    """(P,) whether rows are in two groups, neither of which is left aside."""
    a, b = groups[ones], groups[others]
    return np.asarray((a != b) & (a >= 0) & (b >= 0))


def files_of(tiles: Sequence[Tile], *, parts: bool = False) -> list[str]:
    """The file of each tile, the same text for every way to write its path, and through links.

    Args:
        tiles: the tiles.
        parts: a part of a file, such as a page, is a file of its own: it has its own pixels.
    """
    known: dict[str, str] = {}  # a scene may have a million windows
    for tile in tiles:
        if tile.path not in known:
            try:
                part = None if parts else tile.location.part
                location = tile.location if part is None else Location.parse(part.file)
                known[tile.path] = location.absolute()
            except ValueError:  # no path of this system
                known[tile.path] = tile.path
    return [known[tile.path] for tile in tiles]
