"""The area of Earth that a polygon of a map shows, where its outline alone does not tell.

That is so where a part of the polygon lies outside of the projection's domain (in space beside the
disk of a geostationary satellite, beyond the edge of the sinusoidal globe), and beside a pole. The
area is then found from the other side: a grid of longitudes and latitudes is projected onto the
map, and the border between the nodes inside and outside is found by bisection (marching squares).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from rsretrieve.data.geo.footprints import Shape, shape_of_area
from rsretrieve.data.geo.marching_squares import Grid, Mask, border_points
from rsretrieve.data.geo.projection import Points, Projection

_SAMPLES = 17  # a side of a polygon's bounding box
_CELLS, _CELLS_AROUND = 32, 96  # a side of the grid; of its longitudes, if it goes around the Earth
_MARGIN = 0.1  # of the extent of the samples
_WIDE = 300.0  # degrees of longitude from which on the grid goes around the Earth
_ALMOST_POLE = 90 - 1e-9  # at a pole itself, every longitude is the same point
_GROWTHS = 4
_MOST_REPETITIONS = 8


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
        grid = Grid.of(seen.shows, *box.nodes)
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
        edge = np.concatenate(
            [nodes[:, inside], *border_points(nodes, inside, self._is_there)], axis=1
        )
        poles = self.projection.poles
        poles = poles[:, np.isfinite(poles).all(axis=0)]
        poles = poles[:, shapely.intersects_xy(self.polygon, *poles)]
        degrees = self.projection.to_degrees(np.concatenate((edge, poles), axis=1))
        return degrees[:, np.isfinite(degrees).all(axis=0)]

    def _is_there(self, points: Points) -> Mask:
        within = shapely.intersects_xy(self.polygon, *points)
        return np.asarray(within & np.isfinite(self.projection.to_degrees(points)).all(axis=0))


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

    @property
    def nodes(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The longitudes and the latitudes of a grid over it."""
        columns = _CELLS_AROUND if self.is_around else _CELLS
        return (
            np.linspace(self.west, self.east, columns + 1),
            np.linspace(self.south, self.north, _CELLS + 1),
        )

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
