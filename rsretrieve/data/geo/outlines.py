"""The outline of an area of a map in longitude and latitude, with as many points as it needs.

Straight edges of a map are curves in longitude and latitude. A ring gets further points along its
edges until the lines between them stay close to the curves. A ring that leaves the projection's
domain, or that lies beside a pole, has no such outline: see `regions`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsretrieve.data.geo.footprints import Shape, doubled_area, shape_of_ring
from rsretrieve.data.geo.projection import Points, Projection
from rsretrieve.data.geo.regions import region_shape

_LEVELS = (2, 8, 32, 128)  # parts of an edge
_MAX_STEP = 60.0  # degrees of longitude between two points; with more, the way is not clear


def outline(projection: Projection, corners: Points, tolerance: float) -> Shape | None:
    """The outline of a polygon whose edges are straight on the map; None outside of its domain.

    Args:
        projection: of the map.
        corners: (2, K) x and y, a ring that is not closed.
        tolerance: how far the outline may be from the true one, in lengths of the longest edge.
    """
    if doubled_area(list(zip(*corners.tolist()))) < 0:
        corners = np.concatenate((corners[:, :1], corners[:, :0:-1]), axis=1)
    if projection.is_geographic and np.abs(corners[1]).max() > projection.quarter:
        clipped = _within_the_poles(corners, projection.quarter)
        if clipped is None:
            return None
        corners = clipped
    for parts in _LEVELS:
        ring = _Ring.of(projection, corners, parts)
        if ring is None or (ring.is_clear and ring.deviation <= tolerance):
            break
    if ring is not None and ring.is_clear and not _holds_a_pole(projection, corners, ring):
        found = shape_of_ring(ring.simplified(tolerance))
        if found is not None:
            return found
    return region_shape(projection, corners)


def _within_the_poles(corners: Points, quarter: float) -> Points | None:
    """A polygon without what lies beyond a latitude of ±90; None if nothing is left."""
    import shapely

    west, east = corners[0].min(), corners[0].max()
    band = shapely.box(west, -quarter, east, quarter)
    left = shapely.intersection(shapely.Polygon(corners.T), band)
    if left.geom_type != "Polygon" or left.is_empty:
        return None
    return np.asarray(shapely.geometry.polygon.orient(left).exterior.coords[:-1]).T


@dataclass(frozen=True)
class _Ring:
    """A ring with twice as many points as it may get.

    Attributes:
        points: (2, K, 2P) longitude, unwrapped, and latitude: P parts an edge, with their middles.
        turns: how often it runs eastward around the Earth.
        is_clear: neighbouring points are close to each other.
    """

    points: Points
    turns: int
    is_clear: bool

    @classmethod
    def of(cls, projection: Projection, corners: Points, parts: int) -> _Ring | None:
        """The ring with P parts an edge; None if a point is outside of the domain."""
        along = np.arange(2 * parts) / (2 * parts)
        following = np.roll(corners, -1, axis=1)
        edges = corners[:, :, None] + (following - corners)[:, :, None] * along
        degrees = projection.to_degrees(edges)
        if not np.isfinite(degrees).all():
            return None
        flat = degrees.reshape(2, -1)
        steps = (np.diff(flat[0], append=flat[0, 0]) + 180) % 360 - 180
        lon = flat[0, 0] + np.concatenate(([0.0], np.cumsum(steps[:-1])))
        points = np.stack((lon, flat[1])).reshape(degrees.shape)
        return cls(points, round(float(steps.sum()) / 360), bool(np.abs(steps).max() < _MAX_STEP))

    def _edge(self, number: int) -> Points:
        """(2, 2P + 1) the points of an edge with the first of the next one."""
        edges = self.points.shape[1]
        last = self.points[:, (number + 1) % edges, :1].copy()
        if number + 1 == edges:
            last[0] += 360 * self.turns
        return np.concatenate((self.points[:, number], last), axis=1)

    @property
    def _length(self) -> float:
        """The length of the longest edge, in degrees of latitude."""
        return max(float(_lengths(self._edge(i)).sum()) for i in range(self.points.shape[1]))

    @property
    def deviation(self) -> float:
        """How far the middles are from the lines beside them, in lengths of the longest edge."""
        edges = range(self.points.shape[1])
        return max(_deviation(self._edge(i), 2) for i in edges) / (self._length or 1.0)

    def simplified(self, tolerance: float) -> tuple[Points, int]:
        """(2, N) as few points as the tolerance allows; and the turns."""
        kept, allowed = [], tolerance * self._length
        for i in range(self.points.shape[1]):
            edge, step = self._edge(i), self.points.shape[2]
            while step > 2 and _deviation(edge, step) > allowed:
                step //= 2
            kept.append(edge[:, :-1:step])
        return np.concatenate(kept, axis=1), self.turns


def _scaled(edge: Points) -> Points:
    """An edge with longitudes as long as they are on the ground, in degrees of latitude."""
    return np.stack((edge[0] * np.cos(np.radians(edge[1].mean())), edge[1]))


def _lengths(edge: Points) -> NDArray[np.float64]:
    return np.asarray(np.hypot(*np.diff(_scaled(edge), axis=1)))


def _deviation(edge: Points, step: int) -> float:
    """The largest distance of points from the lines between every `step`-th point."""
    edge = _scaled(edge)
    first, last = edge[:, :-1:step], edge[:, step::step]
    inner = edge[:, :-1].reshape(2, -1, step) - first[:, :, None]
    line = last - first
    length = np.hypot(*line)[:, None]
    across = np.abs(line[0, :, None] * inner[1] - line[1, :, None] * inner[0])
    apart = np.where(length > 0, across / np.where(length > 0, length, 1), np.hypot(*inner))
    return float(apart.max())


def _holds_a_pole(projection: Projection, corners: Points, ring: _Ring) -> bool:
    """Whether a ring that does not run around the Earth has a pole inside nevertheless."""
    poles = projection.poles
    if ring.turns or projection.is_geographic or not np.isfinite(poles).any():
        return False
    import shapely

    return bool(shapely.contains_xy(shapely.Polygon(corners.T), *poles).any())
