"""Where on Earth: which tiles hold a point, meet a box, or lie in polygons.

Everything is longitude and latitude in WGS 84 degrees, edges straight between corners.
Whole columns of bounding boxes leave few candidates, which Shapely then looks at. The
globe is one sheet from −180 to 180: what crosses the antimeridian is cut there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import shapely
import shapely.geometry
from numpy.typing import NDArray

from rsretrieve.data.geo.footprints import rings_of
from rsretrieve.errors import InputError, InvalidArgument
from rsretrieve.index.store.columns import Footprints

Box = tuple[float, float, float, float]
_SLACK = 1e-9  # degrees: rounding must not lose a candidate
_MARGIN = (-_SLACK, -_SLACK, _SLACK, _SLACK)
_TURNS = (-360.0, 0.0, 360.0)
_EARTH_KM = 6371.0
_MOST_CROSSINGS = 2000  # to mend them takes two seconds
_MOST_PAIRS = 3_000_000  # of edges whose bounding boxes meet
_EDGES_AT_ONCE = 100
_FEW_PARTS = 100
_NO_GEOJSON = (
    *(OSError, ValueError, TypeError, KeyError, AttributeError, IndexError),
    *(RecursionError, OverflowError, shapely.errors.ShapelyError),  # of JSON nested without end
)


def box_area(box: Box) -> Any:
    """West, south, east, north as an area; west beyond east crosses the antimeridian.

    Raises:
        InvalidArgument: these are no such bounds.
    """
    west, south, east, north = box
    good = all(-180 <= lon <= 180 for lon in (west, east)) and -90 <= south <= north <= 90
    if not good:
        raise InvalidArgument(
            f"{west:g},{south:g},{east:g},{north:g} is not west,south,east,north in degrees",
            hint="west and east lie in -180…180 (west > east crosses the antimeridian), south "
            "and north in -90…90",
        )
    if west <= east:
        return shapely.box(west, south, east, north)
    return shapely.union(
        shapely.box(west, south, 180, north), shapely.box(-180, south, east, north)
    )


def read_area(path: Path) -> Any:
    """All polygons of a GeoJSON file, as one area.

    Polygons that run over ±180 (to 190, say) are folded back.

    Raises:
        InputError: no such file, no GeoJSON, no polygon in it, or not in degrees.
    """
    expected = "give a GeoJSON file with polygons, in longitude and latitude (RFC 7946)"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        with np.errstate(invalid="ignore"):  # NaN is refused below, in words
            shapes = [shapely.geometry.shape(found) for found in _geometries(content)]
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file", hint=expected) from error
    except _NO_GEOJSON as error:
        raise InputError(f"{path} cannot be read as GeoJSON ({error})", hint=expected) from error
    polygons = [
        shape
        for shape in shapes
        if shape.geom_type in ("Polygon", "MultiPolygon") and not shape.is_empty
    ]
    if not polygons:
        raise InputError(f"{path}: there is no polygon in it", hint=expected)
    if not np.isfinite(shapely.get_coordinates(polygons)).all():
        raise InputError(f"{path}: a coordinate of its polygons is not finite", hint=expected)
    west, south, east, north = shapely.total_bounds(polygons)
    if not (west >= -540 and east <= 540 and south >= -90 and north <= 90):
        raise InputError(
            f"{path}: its polygons reach from {west:g},{south:g} to {east:g},{north:g}, which "
            "are no degrees",
            hint="GeoJSON is in longitude and latitude: ogr2ogr -t_srs EPSG:4326 out.geojson in",
        )
    try:
        area = _folded(_together(_valid(polygons, path)))
    except shapely.errors.ShapelyError as error:
        raise InputError(f"{path}: its polygons have no area that can be told ({error})") from error
    if area.is_empty:
        raise InputError(f"{path}: there is no polygon in it that has an area", hint=expected)
    return area


def _valid(polygons: list[Any], path: Path) -> list[Any]:
    """The same polygons, none of which crosses itself.

    To mend them, and to put them together, takes a time that grows faster than the number of
    places where edges meet; so these are counted first.

    Raises:
        InputError: there are too many.
    """
    fine = shapely.is_valid(polygons)
    strange = [polygon for polygon, valid in zip(polygons, fine) if not valid]
    near = [polygon for polygon, is_near in zip(polygons, _near_others(polygons)) if is_near]
    if not (_cross_seldom(strange) and _are_near_seldom(near)):
        raise InputError(
            f"{path}: its polygons cross themselves more than {_MOST_CROSSINGS} times, or one "
            "another as often",
            hint="simplify them, or put them together first: ogr2ogr -makevalid out.geojson "
            "in.geojson",
        )
    whole = [polygon for polygon, valid in zip(polygons, fine) if valid]
    return whole + [shapely.make_valid(polygon) for polygon in strange]


def _near_others(shapes: list[Any]) -> NDArray[np.bool_]:
    """For each shape whether its bounding box meets that of another."""
    one, other = shapely.STRtree(shapes).query(shapes)
    near = np.zeros(len(shapes), bool)
    near[one[one != other]] = True
    return near


def _together(shapes: list[Any]) -> Any:
    """The union of shapes; those that are far from all others are only put beside them."""
    near = _near_others(shapes)
    alone = [shape for shape, is_near in zip(shapes, near) if not is_near]
    mixed = shapely.union_all([shape for shape, is_near in zip(shapes, near) if is_near])
    parts = shapely.get_parts(shapely.get_parts([*alone, mixed]))  # collections of collections
    return shapely.multipolygons(parts[shapely.get_dimensions(parts) == 2])


def _cross_seldom(polygons: list[Any]) -> bool:
    """Whether the edges of each polygon meet, but for the ends of neighbours, rather seldom."""
    left, pairs_left = 2 * _MOST_CROSSINGS, _MOST_PAIRS
    for polygon in polygons:
        edges = _edges(polygon)
        for one, other in _pairs(edges):
            pairs_left -= len(one)
            if pairs_left < 0:
                return False
            meeting = int(np.count_nonzero(shapely.intersects(edges[one], edges[other])))
            left -= meeting - 3 * len(np.unique(one))  # each meets itself and two neighbours
            if left < 0:
                return False
    return True


def _are_near_seldom(polygons: list[Any]) -> bool:
    """Whether few of the edges of polygons that may overlap have bounding boxes that meet."""
    if not polygons:
        return True
    edges = _edges(polygons)
    pairs_left = _MOST_PAIRS + 8 * len(edges)  # those of a map of countries meet four others
    for one, _ in _pairs(edges):
        pairs_left -= len(one)
        if pairs_left < 0:
            return False
    return True


def _pairs(edges: NDArray[np.object_]) -> Iterator[NDArray[np.int64]]:
    """The numbers of edges whose bounding boxes meet, some of them at once."""
    tree = shapely.STRtree(edges)
    for start in range(0, len(edges), _EDGES_AT_ONCE):
        one, other = tree.query(edges[start : start + _EDGES_AT_ONCE])
        yield np.stack([one + start, other])


def _edges(polygons: Any) -> NDArray[np.object_]:
    """The straight pieces of the rings of polygons."""
    rings = shapely.get_rings(shapely.get_parts(polygons))
    corners, owners = shapely.get_coordinates(rings, return_index=True)
    within = owners[1:] == owners[:-1]
    edges: NDArray[np.object_] = shapely.linestrings(
        np.stack([corners[:-1], corners[1:]], axis=1)[within]
    )
    return edges


def _geometries(content: Any) -> list[Any]:
    match content["type"]:
        case "FeatureCollection":
            return [g for feature in content["features"] for g in _geometries(feature)]
        case "Feature":
            return _geometries(content["geometry"]) if content["geometry"] else []
        case "GeometryCollection":
            return [g for geometry in content["geometries"] for g in _geometries(geometry)]
        case _:
            return [content]


def _folded(area: Any) -> Any:
    west, _, east, _ = area.bounds
    if area.is_empty or (west >= -180 and east <= 180):
        return area
    sheets = []
    for by in _TURNS:
        sheet = shapely.intersection(area, shapely.box(-180 - by, -90, 180 - by, 90))
        if not sheet.is_empty:
            sheets.append(shapely.transform(sheet, lambda xy, by=by: xy + (by, 0)))
    return _together([part for sheet in sheets for part in shapely.get_parts(sheet)])


def rows_meeting(footprints: Footprints, area: Any) -> NDArray[np.int64]:
    """The rows, rising, of the tiles that have a point in common with an area."""
    chosen = _near(footprints, area)
    shapely.prepare(area)
    meeting: NDArray[np.bool_] = shapely.intersects(_shapes(footprints, chosen), area)
    return footprints.rows[chosen[meeting]]


def rows_within(footprints: Footprints, area: Any) -> NDArray[np.int64]:
    """The rows, rising, of the tiles that lie in an area with all of their footprint."""
    chosen = _near(footprints, area)
    shapely.prepare(area)
    inside: NDArray[np.bool_] = shapely.covered_by(_shapes(footprints, chosen), area)
    return footprints.rows[chosen[inside]]


def row_at(footprints: Footprints, lon: float, lat: float) -> int:
    """The row of the tile that holds a point: of several the smallest, of equals the first.

    Raises:
        InvalidArgument: no point on Earth.
        InputError: no tile holds it.
    """
    if not (-180 <= lon <= 180 and -90 <= lat <= 90):
        raise InvalidArgument(
            f"{lon:g},{lat:g} is not a longitude and latitude in degrees",
            hint="give --at LON,LAT, longitude first",
        )
    # A point on the antimeridian has two names.
    names = [lon, -lon] if abs(lon) == 180 else [lon]
    point = shapely.multipoints([(name, lat) for name in names])
    chosen = _near(footprints, point)
    shapes = _shapes(footprints, chosen)
    holding = shapely.intersects(shapes, point)
    if not holding.any():
        raise InputError(
            f"no tile of the index holds the point {lon:g},{lat:g}{_nearest(footprints, lon, lat)}"
        )
    sizes = shapely.area(shapes[holding]) * np.cos(np.radians(lat))
    return int(footprints.rows[chosen[holding][int(sizes.argmin())]])


def _nearest(footprints: Footprints, lon: float, lat: float) -> str:
    if not len(footprints):
        return ": none of its tiles has a georeference"
    west, south, east, north = np.radians(footprints.boxes().T)
    there_lon, there_lat = (west + east) / 2, (south + north) / 2
    lon, lat = np.radians(lon), np.radians(lat)
    along = np.sin((there_lat - lat) / 2) ** 2
    across = np.cos(lat) * np.cos(there_lat) * np.sin((there_lon - lon) / 2) ** 2
    away_km = 2 * _EARTH_KM * np.arcsin(np.sqrt(np.clip(along + across, 0, 1)))
    return f"; the middle of the nearest is {away_km.min():.1f} km away"


def _near(footprints: Footprints, area: Any) -> NDArray[np.int64]:
    """The positions of footprints whose bounding box meets that of a part of an area."""
    west, south, east, north = footprints.boxes().T
    near = np.zeros(len(footprints), bool)
    parts = shapely.get_parts(area)
    if len(parts) > _FEW_PARTS:  # each looked at with every tile, they would take minutes
        tree = shapely.STRtree(shapely.box(*(shapely.bounds(parts) + _MARGIN).T))
        for turn in _TURNS:
            near[tree.query(shapely.box(west + turn, south, east + turn, north))[0]] = True
        return np.flatnonzero(near)
    for part in parts:
        w, s, e, n = shapely.bounds(part) + _MARGIN
        level = (south <= n) & (north >= s)
        for turn in _TURNS:
            near |= level & (west + turn <= e) & (east + turn >= w)
    return np.flatnonzero(near)


def _shapes(footprints: Footprints, chosen: NDArray[np.int64]) -> NDArray[np.object_]:
    """The footprints at some positions as Shapely's polygons."""
    shapes = np.empty(len(chosen), object)
    crossing = footprints.cross_antimeridian()[chosen]
    small = np.diff(footprints.starts)[chosen] < 3
    plain = ~(crossing | small)
    if plain.any():
        shapes[plain] = _plain_shapes(footprints, chosen[plain])
    for i in np.flatnonzero(small):  # points and lines, of embeddings made elsewhere
        corners = footprints[int(chosen[i])]
        shapes[i] = shapely.LineString(corners) if len(corners) > 1 else shapely.Point(corners)
    for i in np.flatnonzero(crossing):
        rings = rings_of(footprints[int(chosen[i])])
        shapes[i] = shapely.MultiPolygon([shapely.Polygon(ring) for ring in rings])
    return shapes


def _plain_shapes(footprints: Footprints, chosen: NDArray[np.int64]) -> NDArray[np.object_]:
    """Those that stay on one side, all at once: there may be millions."""
    lengths = np.diff(footprints.starts)[chosen]
    owners = np.repeat(np.arange(len(chosen)), lengths)
    within = np.arange(len(owners)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    corners = footprints.corners[footprints.starts[chosen][owners] + within]
    shapes: NDArray[np.object_] = shapely.polygons(shapely.linearrings(corners, indices=owners))
    return shapes
