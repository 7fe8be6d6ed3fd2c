"""Read places from the columns of a table of external embeddings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow
from numpy.typing import NDArray

from rsretrieve._core.sealing import json_object
from rsretrieve.data.geo.footprints import (
    Point,
    Shape,
    polygons_of,
    rings_of,
    shape_of_area,
    shape_of_corners,
)
from rsretrieve.data.geo.outlines import outline
from rsretrieve.data.geo.place import Place, Placing
from rsretrieve.data.geo.projection import Projection
from rsretrieve.data.geo.reference_systems import NOT_READ, checked_crs
from rsretrieve.data.notes import Note
from rsretrieve.index.external.places.geometries import decode, encoding_of, is_geoarrow
from rsretrieve.index.external.places.geometry_crs import LON_LAT, crs_of_extension, projected

_OWN = ("crs", "bounds", "footprint")
_OTHER_NAMES = ("geometry", "geom", "wkb_geometry", "the_geom")
_TOLERANCE = 0.02 / 64  # of the outline of a projected polygon, in lengths of its longest edge
_ROUNDING = 1e-6  # degrees


@dataclass(frozen=True)
class PlaceReader:
    """Reads the place of a row.

    Attributes:
        own: whether the table has the columns that rsretrieve writes.
        geometry: the column of geometries, or None.
        crs: CRS of that column; None for longitude and latitude.
        encoding: of that column, see `geometries`; None if it is none that is read.
        is_declared: whether the file says what the CRS is.
    """

    own: bool
    geometry: str | None
    crs: str | None
    encoding: str | None = "wkb"
    is_declared: bool = True

    @classmethod
    def of(cls, schema: pyarrow.Schema, types: Mapping[str, str] | None = None) -> PlaceReader:
        """A reader for tables of a schema.

        The CRS is that of the GeoParquet metadata; else of the column's type, in Parquet or Arrow.

        Args:
            schema: Arrow's.
            types: the CRS of the columns with Parquet's types GEOMETRY and GEOGRAPHY, by name.

        Raises:
            ValueError: the GeoParquet metadata are invalid, or the CRS is not supported.
        """
        types = types or {}
        own = all(name in schema.names for name in _OWN)
        told = json_object((schema.metadata or {}).get(b"geo", b""))
        typed = [field.name for field in schema if is_geoarrow(field)]
        names = (told.get("primary_column"), *types, *_OTHER_NAMES, *typed)
        column = next((str(name) for name in names if name in schema.names), None)
        if column is None:
            return cls(own, None, None)
        columns = told.get("columns", {})
        described = columns.get(column, {}) if isinstance(columns, Mapping) else None
        if not isinstance(described, Mapping):
            raise ValueError("its GeoParquet metadata are invalid")
        field = schema.field(column)
        encoding = encoding_of(field, described.get("encoding"))
        crs = described.get("crs")
        if crs is None and "crs" not in described:
            crs = types.get(column) or crs_of_extension(field) or (LON_LAT if described else None)
        return cls(own, column, projected(crs, schema), encoding, crs is not None)

    def place(self, values: Mapping[str, Any]) -> Placing:
        """The place of a row, or a remark why it has none.

        Raises:
            ValueError: the place is incomplete, its CRS is not supported, or its coordinates are
                no degrees although nothing names another CRS.
        """
        if self.own and any(values[name] is not None for name in _OWN):
            return Placing(own_place(values))
        content = None if self.geometry is None else values.get(self.geometry)
        if content is None:
            return Placing(None)
        if self.encoding is None:
            return Placing(None, Note.NO_GEOMETRIES)
        geometry = decode(self.encoding, content)
        if geometry is None:
            return Placing(None, Note.INVALID_GEOMETRY)
        return self._of_geometry(geometry)

    def _of_geometry(self, geometry: Any) -> Placing:
        import shapely

        srid = shapely.get_srid(geometry)
        crs = self.crs
        if crs is None and not self.is_declared and srid not in (0, 4326):
            crs = f"EPSG:{srid}"
        if crs is not None:
            return _from_map(crs, geometry)
        west, south, east, north = geometry.bounds
        if max(-west, east) > 360 + _ROUNDING or max(-south, north) > 90 + _ROUNDING:
            raise ValueError(
                f"a geometry of its column {self.geometry!r} extends to {east:.10g},{north:.10g}, "
                f"which are not degrees, and {'its CRS is' if self.is_declared else 'no CRS is'} "
                f"{'longitude and latitude' if self.is_declared else 'named'}"
            )
        known = self.is_declared or srid == 4326
        return Placing(_in_lon_lat(geometry), None if known else Note.CRS_ASSUMED)


def _in_lon_lat(geometry: Any) -> Place | None:
    """The place of a geometry in longitude and latitude."""
    import shapely

    geometry = shapely.transform(geometry, _clipped)
    if geometry.geom_type == "MultiPolygon":
        eastward = shapely.transform(geometry, _eastward)
        if _width(eastward) < 180 < _width(geometry):
            # The format cuts polygons at the antimeridian: join the parts again.
            geometry = shapely.union_all(shapely.get_parts(eastward))
    left, bottom, right, top = map(float, geometry.bounds)
    shape = _shape(geometry)
    return None if shape is None else Place(LON_LAT, (left, bottom, right, top), *shape)


def _shape(geometry: Any) -> Shape | None:
    """The shape of a geometry: its polygons, or the convex hull of another geometry."""
    if geometry.geom_type == "MultiPolygon" and len(geometry.geoms) == 1:
        geometry = geometry.geoms[0]
    if geometry.geom_type == "MultiPolygon" or getattr(geometry, "interiors", ()):
        import shapely

        return shape_of_area(geometry if geometry.is_valid else shapely.make_valid(geometry))
    corners = _outline(geometry)
    if len(corners) < 3:
        return Shape(tuple(map(_wrapped, corners)))
    return shape_of_corners(corners)


def _from_map(crs: str, geometry: Any) -> Placing:
    """The place of a geometry in the coordinates of a map."""
    try:
        projection = Projection.of(crs)
    except Exception as error:  # PROJ's
        raise ValueError(f"{crs[:80]!r} is {NOT_READ}") from error
    left, bottom, right, top = map(float, geometry.bounds)
    shape = _on_earth(projection, geometry)
    if shape is None:
        return Placing(None, Note.OUTSIDE_DOMAIN)
    return Placing(Place(projection.name, (left, bottom, right, top), *shape))


def _on_earth(projection: Projection, geometry: Any) -> Shape | None:
    import shapely

    if geometry.geom_type not in ("Polygon", "MultiPolygon"):
        points = shapely.get_coordinates(geometry)
        degrees = projection.to_degrees(points.T).T
        if not np.isfinite(degrees).all():
            return None
        return _shape(shapely.set_coordinates(geometry, degrees))
    if geometry.geom_type == "Polygon" and not geometry.interiors:
        return outline(projection, np.array(_outline(geometry)).T, _TOLERANCE)
    areas = []
    for part in shapely.get_parts(geometry):
        outer, *holes = (
            _area(outline(projection, np.array(ring.coords)[:-1, :2].T, _TOLERANCE))
            for ring in (part.exterior, *part.interiors)
        )
        areas.append(shapely.difference(outer, shapely.union_all(holes)))
    return shape_of_area(shapely.union_all(areas))


def _area(shape: Shape | None) -> Any:
    import shapely

    if shape is None:
        return shapely.Polygon()
    if shape.parts is not None:
        return polygons_of(shape.parts)
    return shapely.union_all([shapely.Polygon(ring) for ring in rings_of(shape.footprint)])


def own_place(values: Mapping[str, Any]) -> Place:
    """The place in the columns `crs`, `bounds` and `footprint`.

    Raises:
        ValueError: the place is incomplete, or its CRS is not supported.
    """
    if any(values[name] is None for name in _OWN):
        raise ValueError("a tile has an incomplete place: crs, bounds and footprint go together")
    try:
        place = Place.from_json(values)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError("a tile's bounds or footprint are not numbers") from error
    checked_crs(values["crs"])
    rings = [place.footprint, *(ring for rings in place.parts or () for ring in rings)]
    if not all(rings) or not np.isfinite([*place.bounds, *sum(sum(rings, ()), ())]).all():
        raise ValueError("a tile's bounds or footprint are not numbers")
    if any(len(ring) < 3 for ring in rings[1:]) or not all(place.parts or ((1,),)):
        raise ValueError("a part of a tile's footprint is not a ring")
    if any(abs(lon) > 360 or abs(lat) > 90 for ring in rings for lon, lat in ring):
        raise ValueError("a tile's footprint is not in degrees")
    return place


def _eastward(points: NDArray[np.float64]) -> NDArray[np.float64]:
    lon, lat = points.T
    return np.stack((np.where(lon < 0, lon + 360, lon), lat), axis=1)


def _clipped(points: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.stack((points[:, 0], np.clip(points[:, 1], -90, 90)), axis=1)


def _wrapped(point: Point) -> Point:
    lon, lat = point
    return (lon - 360 if lon > 180 else lon + 360 if lon < -180 else lon), lat


def _width(geometry: Any) -> float:
    west, _, east, _ = geometry.bounds
    return float(east - west)


def _outline(geometry: Any) -> list[Point]:
    """The corners of a polygon, or of the convex hull of another geometry, counter-clockwise."""
    import shapely

    outline = geometry if geometry.geom_type == "Polygon" else geometry.convex_hull
    if outline.geom_type == "Polygon":
        ring = list(shapely.geometry.polygon.orient(outline).exterior.coords)[:-1]
    else:
        ring = list(outline.coords)
    return [(float(point[0]), float(point[1])) for point in ring]
