"""The area of a place filter: a box, or the polygons of a GeoJSON file.

Coordinates are longitude and latitude in WGS 84 degrees; edges are straight between corners. The
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

from rsretrieve.errors import InputError, InvalidArgument

Box = tuple[float, float, float, float]
TURNS = (-360.0, 0.0, 360.0)
_MOST_CROSSINGS = 2000  # repairing as many takes two seconds
_MOST_PAIRS = 3_000_000  # of edges whose bounding boxes intersect
_EDGES_AT_ONCE = 100
_CONVERT = "convert it to longitude and latitude: ogr2ogr -t_srs EPSG:4326 out.geojson in"
_INVALID_GEOJSON = (
    *(OSError, ValueError, TypeError, KeyError, AttributeError, IndexError),
    *(RecursionError, OverflowError, shapely.errors.ShapelyError),  # deeply nested JSON
)


def box_area(box: Box) -> Any:
    """The area of a bounding box.

    Args:
        box: west, south, east, north in degrees; west > east crosses the antimeridian.

    Returns:
        A Shapely polygon or multipolygon.

    Raises:
        InvalidArgument: the bounds are out of range, or south is above north.
    """
    west, south, east, north = box
    valid = all(-180 <= lon <= 180 for lon in (west, east)) and -90 <= south <= north <= 90
    if not valid:
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
    """The union of all polygons of a GeoJSON file.

    Polygons that extend beyond ±180 (to 190, for example) are wrapped to −180…180.

    Args:
        path: the file, in longitude and latitude (RFC 7946).

    Returns:
        A Shapely multipolygon.

    Raises:
        InputError: the file does not exist, is not GeoJSON, has no polygon, or is not in degrees.
    """
    expected = "give a GeoJSON file with polygons, in longitude and latitude (RFC 7946)"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        with np.errstate(invalid="ignore"):  # NaN is refused below with a message
            shapes = [shapely.geometry.shape(found) for found in _geometries(content)]
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file", hint=expected) from error
    except _INVALID_GEOJSON as error:
        raise InputError(f"{path} cannot be read as GeoJSON ({error})", hint=expected) from error
    polygons = [
        shape
        for shape in shapes
        if shape.geom_type in ("Polygon", "MultiPolygon") and not shape.is_empty
    ]
    if not polygons:
        raise InputError(f"{path}: the file contains no polygon", hint=expected)
    if not np.isfinite(shapely.get_coordinates(polygons)).all():
        raise InputError(f"{path}: a coordinate of its polygons is not finite", hint=expected)
    _refuse_other_crs(content, path)
    west, south, east, north = shapely.total_bounds(polygons)
    if not (west >= -540 and east <= 540 and south >= -90 and north <= 90):
        raise InputError(
            f"{path}: its polygons extend from {west:g},{south:g} to {east:g},{north:g}, which "
            "are not degrees",
            hint=_CONVERT,
        )
    try:
        area = _wrapped(_union(_valid(polygons, path)))
    except shapely.errors.ShapelyError as error:
        raise InputError(
            f"{path}: the area of its polygons cannot be computed ({error})"
        ) from error
    if area.is_empty:
        raise InputError(f"{path}: no polygon in it has an area", hint=expected)
    return area


def _refuse_other_crs(content: dict[str, Any], path: Path) -> None:
    """Refuse coordinates that are not degrees by the `crs` member of earlier GeoJSON.

    Raises:
        InputError: it names a CRS without longitude and latitude, or an unknown one.
    """
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    try:
        name = content["crs"]["properties"]["name"]
    except (KeyError, TypeError):  # there is none, or it is null or a link
        return
    try:
        is_in_degrees = CRS.from_user_input(str(name)).is_geographic
    except CRSError:
        is_in_degrees = False
    if not is_in_degrees:
        raise InputError(
            f"{path}: its coordinates are in {str(name)[:80]!r}, not in degrees", hint=_CONVERT
        )


def _valid(polygons: list[Any], path: Path) -> list[Any]:
    """Repair the polygons that cross themselves.

    The time to repair and unite polygons grows faster than the number of crossing edges, so
    these are counted first.

    Raises:
        InputError: too many edges cross.
    """
    is_valid = shapely.is_valid(polygons)
    invalid = [polygon for polygon, valid in zip(polygons, is_valid) if not valid]
    near = [polygon for polygon, is_near in zip(polygons, _near_others(polygons)) if is_near]
    if not (_cross_rarely(invalid) and _overlap_rarely(near)):
        raise InputError(
            f"{path}: its polygons cross themselves or each other more than {_MOST_CROSSINGS} "
            "times",
            hint="simplify or unite them first: ogr2ogr -makevalid out.geojson in.geojson",
        )
    whole = [polygon for polygon, valid in zip(polygons, is_valid) if valid]
    return whole + [shapely.make_valid(polygon) for polygon in invalid]


def _near_others(shapes: list[Any]) -> NDArray[np.bool_]:
    """(S,) for each shape, whether its bounding box intersects that of another."""
    one, other = shapely.STRtree(shapes).query(shapes)
    near = np.zeros(len(shapes), bool)
    near[one[one != other]] = True
    return near


def _union(shapes: list[Any]) -> Any:
    """The union of shapes; a shape whose bounding box is apart needs no computation."""
    near = _near_others(shapes)
    alone = [shape for shape, is_near in zip(shapes, near) if not is_near]
    mixed = shapely.union_all([shape for shape, is_near in zip(shapes, near) if is_near])
    parts = shapely.get_parts(shapely.get_parts([*alone, mixed]))  # collections of collections
    return shapely.multipolygons(parts[shapely.get_dimensions(parts) == 2])


def _cross_rarely(polygons: list[Any]) -> bool:
    """Whether few edges of each polygon intersect, apart from neighbours at their ends."""
    left, pairs_left = 2 * _MOST_CROSSINGS, _MOST_PAIRS
    for polygon in polygons:
        edges = _edges(polygon)
        for one, other in _pairs(edges):
            pairs_left -= len(one)
            if pairs_left < 0:
                return False
            meeting = int(np.count_nonzero(shapely.intersects(edges[one], edges[other])))
            left -= meeting - 3 * len(np.unique(one))  # each intersects itself and two neighbours
            if left < 0:
                return False
    return True


def _overlap_rarely(polygons: list[Any]) -> bool:
    """Whether few edges of polygons that may overlap have intersecting bounding boxes."""
    if not polygons:
        return True
    edges = _edges(polygons)
    pairs_left = _MOST_PAIRS + 8 * len(edges)  # in a map of countries, each intersects four others
    for one, _ in _pairs(edges):
        pairs_left -= len(one)
        if pairs_left < 0:
            return False
    return True


def _pairs(edges: NDArray[np.object_]) -> Iterator[NDArray[np.int64]]:
    """Pairs of edges whose bounding boxes intersect, block by block: (2, P) edge numbers."""
    tree = shapely.STRtree(edges)
    for start in range(0, len(edges), _EDGES_AT_ONCE):
        one, other = tree.query(edges[start : start + _EDGES_AT_ONCE])
        yield np.stack([one + start, other])


def _edges(polygons: Any) -> NDArray[np.object_]:
    """The straight edges of the rings of polygons."""
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


def _wrapped(area: Any) -> Any:
    """The area with all longitudes in −180…180."""
    west, _, east, _ = area.bounds
    if area.is_empty or (west >= -180 and east <= 180):
        return area
    sheets = []
    for by in TURNS:
        sheet = shapely.intersection(area, shapely.box(-180 - by, -90, 180 - by, 90))
        if not sheet.is_empty:
            sheets.append(shapely.transform(sheet, lambda xy, by=by: xy + (by, 0)))
    return _union([part for sheet in sheets for part in shapely.get_parts(sheet)])
