"""Footprints as polygons in longitude and latitude, and their distances and overlaps in metres.

Two polygons are compared on the plane that touches the WGS 84 ellipsoid between them. On it,
lengths are never larger than on the ground. They are shorter by less than 0.1 %, because polygons
wider than five degrees are cut into cells first. So tiles are never taken for farther apart than
they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from rsretrieve.data.geo.footprints import polygons_of, rings_of
from rsretrieve.data.geo.place import Place
from rsretrieve.data.geo.projection import Points

EQUATOR_M, ECCENTRICITY2 = 6_378_137.0, 0.00669437999014  # WGS 84
_FAR_M = 3_000_000.0
_CELL = 5.0  # degrees
_SAGITTA = 1e-5  # of a tile's side: how far a straight edge may be from the true one
_LONGEST = 1.0  # degrees between two points of an edge

Shapes = NDArray[np.object_]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class FootprintShapes:
    """The footprints of tiles, each as one polygon or as several.

    Attributes:
        shapes: (S,) Shapely polygons in degrees, within −180…180, none wider than five degrees.
        owners: (S,) the tile of each.
    """

    shapes: Shapes
    owners: Rows

    @classmethod
    def of(cls, places: Sequence[Place | None]) -> FootprintShapes:
        """The shapes of the tiles that have a place."""
        rings, owners, others, their_owners = [], [], [], []
        for row, place in enumerate(places):
            if place is None or len(place.footprint) < 3:
                continue
            lons, lats = zip(*place.footprint)
            narrow = max(lons) - min(lons) <= _CELL and max(lats) - min(lats) <= _CELL
            if narrow and place.parts is None:
                rings.append(place.footprint)
                owners.append(row)
            else:
                cut = _cut_to_cells(place)
                others += cut
                their_owners += [row] * len(cut)
        shapes = np.array([*_polygons(rings), *others], object)
        return cls(_with_more_points(shapes), np.array([*owners, *their_owners], np.int64))


def _polygons(rings: Sequence[Any]) -> list[Any]:
    """Polygons of rings, made at once, as there may be a million."""
    if not rings:
        return []
    indices = np.repeat(np.arange(len(rings)), [len(ring) for ring in rings])
    corners = np.concatenate([np.asarray(ring, float) for ring in rings])
    polygons = shapely.polygons(shapely.linearrings(corners, indices=indices))
    return list(_valid(polygons))


def _valid(shapes: Any) -> Any:
    wrong = ~shapely.is_valid(shapes)
    if wrong.any():
        shapes[wrong] = shapely.make_valid(shapes[wrong])
    return shapes


def _cut_to_cells(place: Place) -> list[Any]:
    """A wide footprint, or one of several polygons, without what is wider than a cell."""
    if place.parts is not None:
        whole = polygons_of(place.parts)
    else:
        whole = shapely.MultiPolygon([shapely.Polygon(r) for r in rings_of(place.footprint)])
    whole = shapely.make_valid(whole)
    shapely.prepare(whole)
    west, south, east, north = np.floor(np.array(shapely.bounds(whole)) / _CELL).astype(int)
    columns, rows = np.meshgrid(np.arange(west, east + 1), np.arange(south, north + 1))
    edges = [axis.ravel() * _CELL for axis in (columns, rows, columns + 1, rows + 1)]
    cells = shapely.box(*edges)
    parts = shapely.get_parts(shapely.intersection(whole, cells[shapely.intersects(whole, cells)]))
    return list(parts[shapely.get_dimensions(parts) == 2])


def _with_more_points(shapes: Shapes) -> Shapes:
    """The same shapes; edges along a parallel get points, as parallels are curved on the ground."""
    if not len(shapes):
        return shapes
    west, south, east, north = shapely.bounds(shapes).T
    highest = np.radians(np.minimum(np.maximum(np.abs(south), np.abs(north)), 89.999))
    degree = np.radians(EQUATOR_M)
    side = np.maximum((north - south), (east - west) * np.cos(highest)) * degree
    step = np.sqrt(8 * EQUATOR_M * _SAGITTA * side / np.tan(np.maximum(highest, 1e-3)))
    return np.asarray(
        shapely.segmentize(shapes, np.clip(step / (degree * np.cos(highest)), 1e-7, _LONGEST))
    )


def geocentric(degrees: Points) -> Points:
    """(3, …) geocentric coordinates, in metres, of points (2, …) on the ellipsoid."""
    lon, lat = np.radians(degrees)
    normal = EQUATOR_M / np.sqrt(1 - ECCENTRICITY2 * np.sin(lat) ** 2)
    across = normal * np.cos(lat)
    up = normal * (1 - ECCENTRICITY2) * np.sin(lat)
    return np.stack((across * np.cos(lon), across * np.sin(lon), up))


def on_plane(degrees: Points, origins: Points) -> Points:
    """(2, …) metres east and north on planes that touch the ellipsoid at the origins (2, …)."""
    apart = geocentric(degrees) - geocentric(origins)
    lon, lat = np.radians(origins)
    east = apart[1] * np.cos(lon) - apart[0] * np.sin(lon)
    outwards = apart[0] * np.cos(lon) + apart[1] * np.sin(lon)
    return np.stack((east, apart[2] * np.cos(lat) - outwards * np.sin(lat)))


def _moved(shapes: Shapes, origins: Points) -> Shapes:
    """The shapes on the planes of their origins (2, S)."""
    corners, which = shapely.get_coordinates(shapes, return_index=True)
    flat = on_plane(corners.T, origins[:, which])
    return _valid(shapely.set_coordinates(shapes.copy(), flat.T))  # type: ignore[no-any-return]


def pairs_on_planes(ones: Shapes, others: Shapes) -> tuple[Shapes, Shapes]:
    """Pairs of shapes in metres, each pair on a plane that touches the ellipsoid between them."""
    one, other = shapely.bounds(ones).T, shapely.bounds(others).T
    # The longitudes of the other one, on the same side of the antimeridian.
    turns = np.round((other[::2].mean(axis=0) - one[::2].mean(axis=0)) / 360) * 360
    lons = _middle(one[::2], other[::2] - turns)
    origins = np.stack((lons, _middle(one[1::2], other[1::2])))
    return _moved(ones, origins), _moved(others, origins)


def _middle(one: Points, other: Points) -> NDArray[np.float64]:
    """The middle of what two intervals (2, P) share, or of the gap between them."""
    return np.asarray((np.maximum(one[0], other[0]) + np.minimum(one[1], other[1])) / 2)


def plane_positions(degrees: Points) -> NDArray[np.float64]:
    """(N, d) positions in metres of points (2, N): on one plane, or geocentric if they lie far."""
    points = geocentric(degrees)
    middle = points.mean(axis=1)
    if np.hypot.reduce(points - middle[:, None], axis=0).max() > _FAR_M:
        return points.T
    lon = np.degrees(np.arctan2(middle[1], middle[0]))
    lat = np.degrees(np.arctan2(middle[2], np.hypot(middle[0], middle[1])))
    return np.asarray(on_plane(degrees, np.array([[lon], [lat]])).T)


def areas_m2(shapes: Shapes) -> NDArray[np.float64]:
    """(S,) areas on the ground."""
    if not len(shapes):
        return np.zeros(0)
    return np.asarray(shapely.area(pairs_on_planes(shapes, shapes)[0]))
