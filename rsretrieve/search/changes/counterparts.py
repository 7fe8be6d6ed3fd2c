"""Match the tiles of two dates: the same place, or the same name."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pyarrow
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from rsretrieve.data.window import window_text
from rsretrieve.index.store.columns import Footprints, TileWindows, taken, taken_rows
from rsretrieve.index.store.tile_table import TileTable

_NEAR = 0.25
"""Greatest distance of two centres, as a share of the smaller tile's half diagonal."""
_SAME_SIZE = 1.25  # greatest ratio of two half diagonals
_SAME_PLACE = 1e-3  # greatest distance, as a share of the half diagonal, of one place's tiles
_LEAST_RADIUS = 1e-12

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Counterparts:
    """Pairs of tiles of the same place.

    Attributes:
        before, after: (M,) int64, rows of the two indexes.
        alone_before, alone_after: number of tiles without a counterpart.
        by_name: number of pairs that were matched by name because they have no georeference.
        repeated_before, repeated_after: number of tiles of a place that has a later one on its
            side, which is compared instead.
    """

    before: Rows
    after: Rows
    alone_before: int
    alone_after: int
    by_name: int
    repeated_before: int = 0
    repeated_after: int = 0


def match_tiles(
    before: TileTable, after: TileTable, before_rows: Rows, after_rows: Rows
) -> Counterparts:
    """Match tiles: by place where both have one, else by name.

    Two tiles are at the same place if each is the nearest to the other, their centres are close
    compared with their size, and their sizes are similar. Without a georeference, tiles have the
    same name if they have the same id, or are the same window of the only file of each side. Of
    several tiles of one side at exactly the same place, the one with the latest date is matched.

    Args:
        before: the tiles of an index.
        after: the tiles of the other one.
        before_rows: (P,) int64, rising, the rows of the first to match.
        after_rows: (Q,) int64, rising, the rows of the second to match.
    """
    one, other = _Places.of(before, before_rows), _Places.of(after, after_rows)
    latest = _latest(before, one), _latest(after, other)
    by_place = _same_place(*latest)
    left = [np.setdiff1d(before_rows, one.rows), np.setdiff1d(after_rows, other.rows)]
    by_name = _same_name(before, after, left[0], left[1])
    first = np.concatenate((by_place[0], by_name[0]))
    second = np.concatenate((by_place[1], by_name[1]))
    order = np.argsort(first, kind="stable")
    repeated = len(one.rows) - len(latest[0].rows), len(other.rows) - len(latest[1].rows)
    return Counterparts(
        first[order],
        second[order],
        len(before_rows) - len(first) - repeated[0],
        len(after_rows) - len(second) - repeated[1],
        len(by_name[0]),
        *repeated,
    )


@dataclass(frozen=True)
class _Places:
    """Placed tiles, as points on the unit sphere.

    Attributes:
        rows: (P,) int64, rows of the index.
        centres: (P, 3) float64.
        radii: (P,) float64, the distance of the farthest corner.
    """

    rows: Rows
    centres: NDArray[np.float64]
    radii: NDArray[np.float64]

    @classmethod
    def of(cls, table: TileTable, rows: Rows) -> _Places:
        found = Footprints.of(table)
        if not len(found.rows):
            return cls(rows[:0], np.empty((0, 3)), np.empty(0))
        lon, lat = np.radians(found.corners).T
        points = np.stack((np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)), 1)
        starts = found.starts[:-1]
        sums = np.add.reduceat(points, starts, axis=0)
        centres = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), _LEAST_RADIUS)
        owner = np.repeat(np.arange(len(starts)), np.diff(found.starts))
        radii = np.maximum.reduceat(np.linalg.norm(points - centres[owner], axis=1), starts)
        chosen = np.isin(found.rows, rows)
        return cls(found.rows[chosen], centres[chosen], radii[chosen])

    def taken(self, chosen: NDArray[np.int64]) -> _Places:
        """Some of the tiles."""
        return _Places(self.rows[chosen], self.centres[chosen], self.radii[chosen])


def _latest(table: TileTable, places: _Places) -> _Places:
    """One tile of each place: that with the latest date, or the last row of those without dates."""
    count = len(places.rows)
    if count < 2:
        return places
    tree, reach = cKDTree(places.centres), _SAME_PLACE * np.maximum(places.radii, _LEAST_RADIUS)
    distances, _ = tree.query(places.centres, k=2)
    several = np.flatnonzero(distances[:, 1] <= reach)
    if not len(several):
        return places
    near = tree.query_ball_point(places.centres[several], reach[several])
    first, second = np.repeat(several, [len(one) for one in near]), np.concatenate(near).astype(int)
    linked = coo_array((np.ones(len(first), bool), (first, second)), shape=(count, count))
    _, group = connected_components(linked, directed=False)
    starts = taken(table.columns.column("datetime"), places.rows).cast(pyarrow.int64())
    dates = pc.fill_null(starts, np.iinfo(np.int64).min).to_numpy(zero_copy_only=False)
    order = np.lexsort((places.rows, dates, group))
    is_last = np.append(np.diff(group[order]) != 0, True)
    return places.taken(np.sort(order[is_last]))


def _same_place(one: _Places, other: _Places) -> tuple[Rows, Rows]:
    if not len(one.rows) or not len(other.rows):
        return one.rows[:0], other.rows[:0]
    distances, nearest = cKDTree(other.centres).query(one.centres)
    _, back = cKDTree(one.centres).query(other.centres)
    smaller = np.minimum(one.radii, other.radii[nearest])
    larger = np.maximum(one.radii, other.radii[nearest])
    same = back[nearest] == np.arange(len(one.rows))
    same &= distances <= _NEAR * np.maximum(smaller, _LEAST_RADIUS)
    same &= larger <= _SAME_SIZE * np.maximum(smaller, _LEAST_RADIUS)
    return one.rows[same], other.rows[nearest[same]]


def _same_name(
    before: TileTable, after: TileTable, before_rows: Rows, after_rows: Rows
) -> tuple[Rows, Rows]:
    names = [_ids(before, before_rows), _ids(after, after_rows)]
    pairs = _equal_names(*names)
    if not len(pairs[0]) and _one_file(before, before_rows) and _one_file(after, after_rows):
        names = [[window_text(name) for name in part] for part in names]
        pairs = _equal_names(*names)
    return before_rows[pairs[0]], after_rows[pairs[1]]


def _equal_names(one: list[str], other: list[str]) -> tuple[Rows, Rows]:
    """The positions of names that occur once on each side."""
    repeated = {name for part in (one, other) for name, n in Counter(part).items() if n > 1}
    at = {name: place for place, name in enumerate(other)}
    pairs = [(i, at[n]) for i, n in enumerate(one) if n in at and n and n not in repeated]
    found = np.array(pairs, np.int64).reshape(-1, 2)
    return found[:, 0], found[:, 1]


def _ids(table: TileTable, rows: Rows) -> list[str]:
    ids: list[str] = taken(table.columns.column("id"), rows).to_pylist()
    return ids


def _one_file(table: TileTable, rows: Rows) -> bool:
    """Whether all rows are windows of one file."""
    found = TileWindows.of(taken_rows(table, rows, ("id", "path")))
    return bool(found.is_window.all()) and len(found.files.unique()) == 1
