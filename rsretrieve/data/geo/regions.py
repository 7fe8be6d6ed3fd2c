"""The area of Earth that a polygon of a map shows, where its outline alone does not tell.

That is so where a part of the polygon lies outside of the projection's domain (in space beside the
disk of a geostationary satellite, beyond the edge of the sinusoidal globe), and beside a pole. The
area is then found from the other side: a grid of longitudes and latitudes is projected onto the
map, and the border between the nodes inside and outside is found by bisection (marching squares).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from rsretrieve.data.geo.footprints import Shape, shape_of_area
from rsretrieve.data.geo.projection import Points, Projection

_SAMPLES = 17  # a side of a polygon's bounding box
_CELLS, _CELLS_AROUND = 32, 96  # a side of the grid; of its longitudes, if it goes around the Earth
_HALVINGS = 24
_MARGIN = 0.1  # of the extent of the samples
_WIDE = 300.0  # degrees of longitude from which on the grid goes around the Earth
_ALMOST_POLE = 90 - 1e-9  # at a pole itself, every longitude is the same point
_GROWTHS = 4
_MOST_REPETITIONS = 8

Mask = NDArray[np.bool_]


def region_shape(projection: Projection, corners: Points) -> Shape | None:
    """The area that a polygon shows; None if it shows nothing of the Earth.

    Args:
        projection: of the map.
        corners: (2, K) x and y of the polygon.
    """
    polygon = shapely.Polygon(corners.T)
    shapely.prepare(polygon)
    seen = _Seen(projection, polygon)
    box = _Box.around(seen.samples())
    if box is None:
        return None
    for _ in range(_GROWTHS):
        grid = _Grid.of(seen, box)
        wider = box.grown(grid.inside)
        if wider is None:
            break
        box = wider
    tips = projection.to_degrees(corners)
    area = grid.area(tips[:, np.isfinite(tips).all(axis=0)])
    area = shapely.transform(area, lambda xy: np.stack((xy[:, 0], _at_pole(xy[:, 1])), axis=1))
    return shape_of_area(area.simplify(box.height * 1e-7))


def _at_pole(lat: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.where(np.abs(lat) > _ALMOST_POLE - 1e-9, np.sign(lat) * 90, lat))


@dataclass(frozen=True)
class _Seen:
    """A polygon of a map, and what it shows.

    Attributes:
        projection: of the map.
        polygon: Shapely's, in x and y.
    """

    projection: Projection
    polygon: Any

    def shows(self, degrees: Points) -> Mask:
        """Whether the polygon shows points, given by longitude and latitude."""
        x, y = self.projection.to_map(degrees)
        known = np.isfinite(x)
        found = np.zeros(x.shape, bool)
        for by in self._repetitions(x[known]):
            found[known] |= shapely.contains_xy(self.polygon, x[known] + by, y[known])
        return found

    def _repetitions(self, x: NDArray[np.float64]) -> list[float]:
        """What to add to x to find the same points in every repetition of the map."""
        period, (west, _, east, _) = self.projection.period, self.polygon.bounds
        if period is None or not len(x):
            return [0.0]
        first, last = int((west - x.max()) // period), int((east - x.min()) // period)
        return [turn * period for turn in range(first, last + 1)[:_MOST_REPETITIONS]]

    def samples(self) -> Points:
        """(2, S) longitude and latitude of points that the polygon shows, also at its border."""
        west, south, east, north = self.polygon.bounds
        xs, ys = np.linspace(west, east, _SAMPLES), np.linspace(south, north, _SAMPLES)
        nodes = np.stack(np.meshgrid(xs, ys))
        inside = self._is_there(nodes)
        edge = np.concatenate([nodes[:, inside], *_borders(nodes, inside, self._is_there)], axis=1)
        poles = self.projection.poles
        poles = poles[:, np.isfinite(poles).all(axis=0)]
        poles = poles[:, shapely.intersects_xy(self.polygon, *poles)]
        degrees = self.projection.to_degrees(np.concatenate((edge, poles), axis=1))
        return degrees[:, np.isfinite(degrees).all(axis=0)]

    def _is_there(self, points: Points) -> Mask:
        within = shapely.intersects_xy(self.polygon, *points)
        return np.asarray(within & np.isfinite(self.projection.to_degrees(points)).all(axis=0))


def _borders(nodes: Points, inside: Mask, is_inside: Any) -> tuple[Points, Points]:
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


def _bisected(inner: Points, outer: Points, is_inside: Any) -> Points:
    if inner.shape[1] == 0:
        return inner
    for _ in range(_HALVINGS):
        middle = (inner + outer) / 2
        within = is_inside(middle)
        inner, outer = np.where(within, middle, inner), np.where(within, outer, middle)
    return inner


@dataclass(frozen=True)
class _Box:
    """The extent of the grid, in degrees; `east` may be larger than 180."""

    west: float
    south: float
    east: float
    north: float

    @classmethod
    def around(cls, samples: Points) -> _Box | None:
        """The box around samples, with a margin; None without samples."""
        if samples.shape[1] == 0:
            return None
        lon, lat = np.sort((samples[0] + 180) % 360 - 180), samples[1]
        gaps = np.diff(lon, append=lon[0] + 360)
        after = int(gaps.argmax())
        width = 360 - float(gaps[after])
        west = float(lon[(after + 1) % len(lon)])
        margin = _MARGIN * max(width, 1e-6)
        high = max(float(np.ptp(lat)), 1e-6) * _MARGIN
        return cls(
            west - margin, float(lat.min()) - high, west + width + margin, float(lat.max()) + high
        ).limited()

    def limited(self) -> _Box:
        """The same within the globe."""
        at_pole = max(abs(self.south), abs(self.north)) > 90
        around = at_pole or self.east - self.west > _WIDE
        west, east = (-180.0, 180.0) if around else (self.west, self.east)
        south, north = max(self.south, -_ALMOST_POLE), min(self.north, _ALMOST_POLE)
        return _Box(west, south, east, north)

    @property
    def height(self) -> float:
        """In degrees."""
        return self.north - self.south

    @property
    def is_around(self) -> bool:
        """Whether it goes around the Earth."""
        return self.east - self.west >= 360

    def grown(self, inside: Mask) -> _Box | None:
        """A wider box if nodes at its sides are inside; else None."""
        high, wide = 0.5 * self.height, 0.5 * (self.east - self.west)
        west = wide if inside[:, 0].any() and not self.is_around else 0.0
        east = wide if inside[:, -1].any() and not self.is_around else 0.0
        south = high if inside[0].any() and self.south > -_ALMOST_POLE else 0.0
        north = high if inside[-1].any() and self.north < _ALMOST_POLE else 0.0
        if not (west or east or south or north):
            return None
        return _Box(
            self.west - west, self.south - south, self.east + east, self.north + north
        ).limited()


@dataclass(frozen=True)
class _Grid:
    """A grid of longitudes and latitudes over what a polygon shows.

    Attributes:
        seen: the polygon.
        lons, lats: of the nodes.
        inside: (R, C) which nodes the polygon shows.
    """

    seen: _Seen
    lons: NDArray[np.float64]
    lats: NDArray[np.float64]
    inside: Mask

    @classmethod
    def of(cls, seen: _Seen, box: _Box) -> _Grid:
        """The grid over a box."""
        columns = _CELLS_AROUND if box.is_around else _CELLS
        lons = np.linspace(box.west, box.east, columns + 1)
        lats = np.linspace(box.south, box.north, _CELLS + 1)
        return cls(seen, lons, lats, seen.shows(np.stack(np.meshgrid(lons, lats))))

    def area(self, tips: Points) -> Any:
        """The area as a Shapely polygon or multipolygon.

        Args:
            tips: (2, T) corners of the polygon in degrees, which the grid would cut off.
        """
        nodes = np.stack(np.meshgrid(self.lons, self.lats))
        across, along = _borders(nodes, self.inside, self.seen.shows)
        level, upright = (
            self.inside[:, :-1] != self.inside[:, 1:],
            self.inside[:-1] != self.inside[1:],
        )
        borders = _Borders(_placed(level, across), _placed(upright, along))
        count = np.sum([self.inside[corner] for corner in _CORNERS], axis=0)
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


_CORNERS = (
    (slice(None, -1), slice(None, -1)),
    (slice(None, -1), slice(1, None)),
    (slice(1, None), slice(1, None)),
    (slice(1, None), slice(None, -1)),
)


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
