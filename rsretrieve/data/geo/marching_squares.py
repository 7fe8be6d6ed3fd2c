"""The area within a border that runs between the nodes of a grid (marching squares)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from rsretrieve.data.geo.projection import Points

_HALVINGS = 24
Mask = NDArray[np.bool_]


def border_points(
    nodes: Points, inside: Mask, is_inside: Callable[[Points], Mask]
) -> tuple[Points, Points]:
    """(2, B) points just inside of the border, on the rows and columns of a grid (2, R, C)."""
    inner, outer = [], []
    for one, other, a, b in (
        (nodes[:, :, :-1], nodes[:, :, 1:], inside[:, :-1], inside[:, 1:]),
        (nodes[:, :-1], nodes[:, 1:], inside[:-1], inside[1:]),
    ):
        crossed = a != b
        first = a[crossed]
        inner.append(np.where(first, one[:, crossed], other[:, crossed]))
        outer.append(np.where(first, other[:, crossed], one[:, crossed]))
    both = [np.concatenate(points, axis=1) for points in (inner, outer)]
    found = _bisected(both[0], both[1], is_inside)
    return found[:, : inner[0].shape[1]], found[:, inner[0].shape[1] :]


def _bisected(inner: Points, outer: Points, is_inside: Callable[[Points], Mask]) -> Points:
    if inner.shape[1] == 0:
        return inner
    for _ in range(_HALVINGS):
        middle = (inner + outer) / 2
        within = is_inside(middle)
        inner, outer = np.where(within, middle, inner), np.where(within, outer, middle)
    return inner


@dataclass(frozen=True)
class Grid:
    """A grid of longitudes and latitudes over what a polygon shows.

    Attributes:
        shows: whether the polygon shows points, given by longitude and latitude.
        lons, lats: of the nodes.
        inside: (R, C) which nodes it shows.
    """

    shows: Callable[[Points], Mask]
    lons: NDArray[np.float64]
    lats: NDArray[np.float64]
    inside: Mask

    @classmethod
    def of(
        cls,
        shows: Callable[[Points], Mask],
        lons: NDArray[np.float64],
        lats: NDArray[np.float64],
    ) -> Grid:
        """The grid with nodes at these longitudes and latitudes."""
        return cls(shows, lons, lats, shows(np.stack(np.meshgrid(lons, lats))))

    def area(self, tips: Points) -> Any:
        """The area as a Shapely polygon or multipolygon.

        Args:
            tips: (2, T) corners of the polygon in degrees, which the grid would cut off.
        """
        nodes = np.stack(np.meshgrid(self.lons, self.lats))
        across, along = border_points(nodes, self.inside, self.shows)
        borders = _Borders(
            _placed(self.inside[:, :-1] != self.inside[:, 1:], across),
            _placed(self.inside[:-1] != self.inside[1:], along),
        )
        count = np.lib.stride_tricks.sliding_window_view(self.inside, (2, 2)).sum(axis=(2, 3))
        whole = [shapely.box(*box) for box in self._runs(count == 4)]
        mixed = [
            self._cell(row, col, borders, tips)
            for row, col in np.argwhere((count > 0) & (count < 4)).tolist()
        ]
        return shapely.union_all([*whole, *(part for part in mixed if part is not None)])

    def _runs(self, whole: Mask) -> Iterator[tuple[float, float, float, float]]:
        """Boxes around neighbouring cells of a row that are completely inside."""
        padded = np.pad(whole, ((0, 0), (1, 1))).astype(int)
        steps = np.diff(padded, axis=1)
        for (row, start), (_, end) in zip(np.argwhere(steps > 0), np.argwhere(steps < 0)):
            yield self.lons[start], self.lats[row], self.lons[end], self.lats[row + 1]

    def _cell(self, row: int, col: int, borders: _Borders, tips: Points) -> Any:
        """The part inside of a cell that the border crosses; None if it has no area."""
        ring: list[tuple[float, float]] = []
        crossings: list[int] = []
        for at, (r, c) in enumerate(
            ((row, col), (row, col + 1), (row + 1, col + 1), (row + 1, col))
        ):
            if self.inside[r, c]:
                ring.append((float(self.lons[c]), float(self.lats[r])))
            crossing = borders.on_side(row, col, at)
            if crossing is not None:
                crossings.append(len(ring))
                ring.append(crossing)
        if len(crossings) == 2:
            self._add_tips(ring, crossings, (row, col), tips)
        if len(ring) < 3:
            return None
        found = shapely.Polygon(ring)
        return found if found.is_valid else shapely.make_valid(found)

    def _add_tips(
        self,
        ring: list[tuple[float, float]],
        crossings: list[int],
        cell: tuple[int, int],
        tips: Points,
    ) -> None:
        """Insert corners of the polygon that lie in the cell between its two crossings."""
        row, col = cell
        lons = self.lons[col] + (tips[0] - self.lons[col]) % 360
        within = (lons <= self.lons[col + 1]) & (self.lats[row] <= tips[1])
        within &= tips[1] <= self.lats[row + 1]
        if within.sum() != 1:
            return
        tip = float(lons[within][0]), float(tips[1][within][0])
        first, second = crossings
        if second == first + 1:
            ring.insert(second, tip)
        else:  # the inside lies between them, the border between the last and the first point
            ring.append(tip)


def _placed(crossed: Mask, points: Points) -> NDArray[np.float64]:
    """(R, C, 2) points where lines of a grid are crossed; NaN elsewhere."""
    found = np.full((*crossed.shape, 2), np.nan)
    found[crossed] = points.T
    return found


@dataclass(frozen=True)
class _Borders:
    """Where the border crosses the lines of a grid.

    Attributes:
        level: (R, C − 1, 2) on the lines between nodes of a row.
        upright: (R − 1, C, 2) on the lines between nodes of a column.
    """

    level: NDArray[np.float64]
    upright: NDArray[np.float64]

    def on_side(self, row: int, col: int, side: int) -> tuple[float, float] | None:
        """The crossing on a side of a cell (lower, right, upper, left), or None."""
        if side in (0, 2):
            found = self.level[row + side // 2, col]
        else:
            found = self.upright[row, col + (side == 1)]
        return None if np.isnan(found[0]) else (float(found[0]), float(found[1]))
