"""The outline of areas of a map in longitude and latitude, with as many points as it needs.

Straight edges of a map are curves in longitude and latitude. A ring gets further points along its
edges until the lines between them stay close to the curves. A ring that leaves the projection's
domain, or that lies beside a pole, has no such outline: see `regions`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsretrieve.data.geo.footprints import Shape, shape_of_ring
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
    return outlines(projection, corners[:, None], np.array([tolerance]))[0]


def outlines(
    projection: Projection, corners: Points, tolerances: NDArray[np.float64]
) -> list[Shape | None]:
    """The outlines of polygons, which are computed together.

    Args:
        projection: of the map.
        corners: (2, W, K) x and y.
        tolerances: (W,) as for `outline`.
    """
    found: list[Shape | None] = [None] * corners.shape[1]
    waiting = np.arange(corners.shape[1])
    for parts in _LEVELS:
        rings = _Rings.of(projection, _counter_clockwise(corners[:, waiting]), parts)
        last = parts == _LEVELS[-1]
        done = rings.is_clear & (last | (rings.deviations(2).max(axis=1) <= tolerances[waiting]))
        for i, ring in zip(waiting[done], rings.simplified(done, tolerances[waiting])):
            found[i] = _shape(projection, corners[:, i], ring)
        lost = ~rings.is_known | (last & ~done)
        for i in waiting[lost]:
            found[i] = _by_region(projection, corners[:, i], tolerances[i])
        waiting = waiting[~done & ~lost]
        if not len(waiting):
            break
    return found


def _shape(projection: Projection, corners: Points, ring: tuple[Points, int]) -> Shape | None:
    if not _holds_a_pole(projection, corners, ring[1]):
        found = shape_of_ring(ring)
        if found is not None:
            return found
    return region_shape(projection, corners)


def _by_region(projection: Projection, corners: Points, tolerance: float) -> Shape | None:
    """The shape of a polygon that leaves the domain; one in degrees has it within the poles."""
    if not projection.is_geographic or np.abs(corners[1]).max() <= projection.quarter:
        return region_shape(projection, corners)
    within = _within_the_poles(corners, projection.quarter)
    return None if within is None else outline(projection, within, tolerance)


def _counter_clockwise(corners: Points) -> Points:
    """The same rings, each counter-clockwise on the map, and from the same corner on."""
    x, y = corners
    area = (x * np.roll(y, -1, axis=1) - np.roll(x, -1, axis=1) * y).sum(axis=1)
    turned = np.concatenate((corners[:, :, :1], corners[:, :, :0:-1]), axis=2)
    return np.where((area < 0)[:, None], turned, corners)


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
class _Rings:
    """Rings with twice as many points as they may get.

    Attributes:
        edges: (2, W, K, 2P + 1) longitude, unwrapped, and latitude: the P parts of each edge with
            their middles, and the first point of the next edge.
        turns: (W,) how often each runs eastward around the Earth.
        is_known: (W,) all points lie in the projection's domain.
        is_clear: (W,) neighbouring points are close to each other, too.
    """

    edges: Points
    turns: NDArray[np.int64]
    is_known: NDArray[np.bool_]
    is_clear: NDArray[np.bool_]

    @classmethod
    def of(cls, projection: Projection, corners: Points, parts: int) -> _Rings:
        """The rings with P parts an edge."""
        _, count, sides = corners.shape
        along = np.arange(2 * parts) / (2 * parts)
        following = np.roll(corners, -1, axis=2)
        points = corners[..., None] + (following - corners)[..., None] * along
        degrees = projection.to_degrees(points.reshape(2, -1)).reshape(2, count, -1)
        known = np.asarray(np.isfinite(degrees).all(axis=(0, 2)))
        lon, lat = np.where(known[:, None], degrees, 0)
        steps = (np.diff(lon, axis=1, append=lon[:, :1]) + 180) % 360 - 180
        unwrapped = lon[:, :1] + np.cumsum(steps, axis=1) - steps
        turns = np.round(steps.sum(axis=1) / 360).astype(np.int64)
        clear = known & (np.abs(steps).max(axis=1) < _MAX_STEP)
        closed = np.stack(
            (
                np.concatenate((unwrapped, unwrapped[:, :1] + 360 * turns[:, None]), axis=1),
                np.concatenate((lat, lat[:, :1]), axis=1),
            )
        )
        at = np.arange(sides)[:, None] * 2 * parts + np.arange(2 * parts + 1)
        return cls(closed[:, :, at], turns, known, clear)

    def deviations(self, step: int) -> NDArray[np.float64]:
        """How far points are from lines between every `step`-th point, for each edge.

        Returns:
            (W, K) in lengths of the longest edge of the ring.
        """
        lon, lat = self.edges
        shrunk = np.cos(np.radians(lat.mean(axis=2, keepdims=True)))
        edges = np.stack((lon * shrunk, lat))  # as long as on the ground, in degrees of latitude
        longest = np.hypot(*np.diff(edges, axis=3)).sum(axis=2).max(axis=1)
        first, last = edges[..., :-1:step], edges[..., step::step]
        inner = edges[..., :-1].reshape(*first.shape, step) - first[..., None]
        line = (last - first)[..., None]
        length = np.hypot(*line)
        across = np.abs(line[0] * inner[1] - line[1] * inner[0])
        apart = np.where(length > 0, across / np.where(length > 0, length, 1), np.hypot(*inner))
        scale = np.where(longest > 0, longest, 1)
        return np.asarray(apart.max(axis=(2, 3)) / scale[:, None])

    def simplified(
        self, chosen: NDArray[np.bool_], tolerances: NDArray[np.float64]
    ) -> list[tuple[Points, int]]:
        """Some rings, (2, N), with as few points as the tolerance allows; and their turns."""
        if not chosen.any():
            return []
        part = _Rings(*(self.edges[:, chosen], self.turns[chosen]), *([chosen[chosen]] * 2))
        step = longest = self.edges.shape[3] - 1
        steps = np.full(part.edges.shape[1:3], 2)
        while step > 2:
            fits = part.deviations(step) <= tolerances[chosen][:, None]
            steps = np.where(fits & (steps == 2), step, steps)
            step //= 2
        rings = []
        for i, turns in enumerate(part.turns.tolist()):
            kept = [part.edges[:, i, k, :longest:by] for k, by in enumerate(steps[i].tolist())]
            rings.append((np.concatenate(kept, axis=1), turns))
        return rings


def _holds_a_pole(projection: Projection, corners: Points, turns: int) -> bool:
    """Whether a ring that does not run around the Earth has a pole inside nevertheless."""
    if turns or projection.is_geographic:
        return False
    poles = projection.poles
    if not np.isfinite(poles).any():
        return False
    import shapely

    return bool(shapely.contains_xy(shapely.Polygon(corners.T), *poles).any())
