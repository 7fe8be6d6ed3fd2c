"""Find the tiles that contain a point, intersect an area, or lie within it.

Coordinates are longitude and latitude in WGS 84 degrees; edges are straight between corners.
The bounding boxes of all tiles leave few candidates, which Shapely then tests.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import shapely
import shapely.geometry
from numpy.typing import NDArray

from rsretrieve.data.geo.footprints import polygons_of, rings_of
from rsretrieve.errors import InputError, InvalidArgument
from rsretrieve.index.store.columns import Footprints
from rsretrieve.search.search_area import TURNS

_SLACK = 1e-9  # degrees; keeps candidates that rounding would lose
_MARGIN = (-_SLACK, -_SLACK, _SLACK, _SLACK)
_EARTH_KM = 6371.0
_GAP, _WIDEST_GAP = 5e-4, 0.01  # of a footprint's side; in degrees
_FEW_PARTS = 100


def rows_intersecting(footprints: Footprints, area: Any) -> NDArray[np.int64]:
    """The rows of the tiles that intersect an area.

    Args:
        footprints: M footprints.
        area: a Shapely geometry.

    Returns:
        (R,) int64, rising.
    """
    return _rows_where(shapely.intersects, footprints, area)


def rows_within(footprints: Footprints, area: Any) -> NDArray[np.int64]:
    """The rows of the tiles that lie completely within an area.

    Args:
        footprints: M footprints.
        area: a Shapely geometry.

    Returns:
        (R,) int64, rising.
    """
    return _rows_where(shapely.covered_by, footprints, area)


def _rows_where(
    relation: Callable[[Any, Any], NDArray[np.bool_]], footprints: Footprints, area: Any
) -> NDArray[np.int64]:
    chosen = _near(footprints, area)
    shapely.prepare(area)
    return footprints.rows[chosen[relation(_shapes(footprints, chosen), area)]]


def row_at(footprints: Footprints, lon: float, lat: float) -> int:
    """The row of the smallest tile that contains a point; of equal ones, the first.

    Args:
        footprints: M footprints.
        lon: longitude in degrees.
        lat: latitude in degrees.

    Raises:
        InvalidArgument: longitude or latitude is out of range.
        InputError: no tile contains the point.
    """
    if not (-180 <= lon <= 180 and -90 <= lat <= 90):
        raise InvalidArgument(
            f"{lon:g},{lat:g} is not a longitude and latitude in degrees",
            hint="give --at LON,LAT, longitude first",
        )
    # A point on the antimeridian has two longitudes, −180 and 180.
    lons = [lon, -lon] if abs(lon) == 180 else [lon]
    point = shapely.multipoints([(lon, lat) for lon in lons])
    chosen = _near(footprints, point)
    shapes = _shapes(footprints, chosen)
    containing = shapely.intersects(shapes, point)
    if not containing.any():
        chosen, shapes = _beside(footprints, point)
        containing = np.ones(len(chosen), bool)
    if not len(chosen):
        raise InputError(
            f"no tile of the index contains the point {lon:g},{lat:g}"
            f"{_nearest(footprints, lon, lat)}"
        )
    sizes = shapely.area(shapes[containing]) * np.cos(np.radians(lat))
    return int(footprints.rows[chosen[containing][int(sizes.argmin())]])


def _beside(footprints: Footprints, point: Any) -> tuple[NDArray[np.int64], NDArray[np.object_]]:
    """The tiles that a point misses by less than the exactness of their outlines.

    Outlines of neighbours with curved edges leave gaps of a few hundredths of a pixel.
    """
    chosen = _near(footprints, shapely.box(*shapely.buffer(point, _WIDEST_GAP).bounds))
    shapes = _shapes(footprints, chosen)
    west, south, east, north = shapely.bounds(shapes).T.reshape(4, -1)
    gaps = np.minimum(_GAP * np.minimum(east - west, north - south), _WIDEST_GAP)
    close = shapely.distance(shapes, point) <= gaps
    return chosen[close], shapes[close]


def _nearest(footprints: Footprints, lon: float, lat: float) -> str:
    """How far away the nearest tile is (haversine formula), for a message."""
    if not len(footprints):
        return ": no tile of the index has a georeference"
    west, south, east, north = np.radians(footprints.boxes().T)
    there_lon, there_lat = (west + east) / 2, (south + north) / 2
    lon, lat = np.radians(lon), np.radians(lat)
    along = np.sin((there_lat - lat) / 2) ** 2
    across = np.cos(lat) * np.cos(there_lat) * np.sin((there_lon - lon) / 2) ** 2
    away_km = 2 * _EARTH_KM * np.arcsin(np.sqrt(np.clip(along + across, 0, 1)))
    return f"; the centre of the nearest tile is {away_km.min():.1f} km away"


def _near(footprints: Footprints, area: Any) -> NDArray[np.int64]:
    """The positions of footprints whose bounding box intersects that of a part of an area."""
    west, south, east, north = footprints.boxes().T
    near = np.zeros(len(footprints), bool)
    parts = shapely.get_parts(area)
    if len(parts) > _FEW_PARTS:  # testing each with every tile would take minutes
        tree = shapely.STRtree(shapely.box(*(shapely.bounds(parts) + _MARGIN).T))
        for turn in TURNS:
            near[tree.query(shapely.box(west + turn, south, east + turn, north))[0]] = True
        return np.flatnonzero(near)
    for part in parts:
        w, s, e, n = shapely.bounds(part) + _MARGIN
        level = (south <= n) & (north >= s)
        for turn in TURNS:
            near |= level & (west + turn <= e) & (east + turn >= w)
    return np.flatnonzero(near)


def _shapes(footprints: Footprints, chosen: NDArray[np.int64]) -> NDArray[np.object_]:
    """The footprints at some positions as Shapely geometries."""
    shapes = np.empty(len(chosen), object)
    crossing = footprints.crosses_antimeridian()[chosen]
    small = np.diff(footprints.starts)[chosen] < 3
    exact = np.array([int(i) in footprints.parts for i in chosen], bool)
    crossing, small = crossing & ~exact, small & ~exact
    plain = ~(crossing | small | exact)
    if plain.any():
        shapes[plain] = _plain_shapes(footprints, chosen[plain])
    for i in np.flatnonzero(small):  # points and lines, from external embeddings
        corners = footprints[int(chosen[i])]
        shapes[i] = shapely.LineString(corners) if len(corners) > 1 else shapely.Point(corners)
    for i in np.flatnonzero(exact):
        shapes[i] = polygons_of(footprints.parts[int(chosen[i])])
    for i in np.flatnonzero(crossing):
        rings = rings_of(footprints[int(chosen[i])])
        shapes[i] = shapely.MultiPolygon([shapely.Polygon(ring) for ring in rings])
    return shapes


def _plain_shapes(footprints: Footprints, chosen: NDArray[np.int64]) -> NDArray[np.object_]:
    """The polygons that do not cross the antimeridian; vectorised, as there may be millions."""
    lengths = np.diff(footprints.starts)[chosen]
    owners = np.repeat(np.arange(len(chosen)), lengths)
    within = np.arange(len(owners)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    corners = footprints.corners[footprints.starts[chosen][owners] + within]
    shapes: NDArray[np.object_] = shapely.polygons(shapely.linearrings(corners, indices=owners))
    return shapes
