"""Read places from the columns of a table of external embeddings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow
from numpy.typing import NDArray

from rsretrieve.data.geo import proj_data
from rsretrieve.data.geo.footprints import Point
from rsretrieve.data.geo.place import Place
from rsretrieve.data.geo.reference_systems import NOT_READ, checked_crs

LON_LAT = "OGC:CRS84"
_OWN = ("crs", "bounds", "footprint")


@dataclass(frozen=True)
class PlaceReader:
    """Reads the place of a row.

    Attributes:
        own: whether the table has the columns that rsretrieve writes.
        geometry: the column of well-known binary (WKB), or None.
        crs: CRS of that column, as rasterio takes it; None for longitude and latitude.
    """

    own: bool
    geometry: str | None
    crs: str | None

    @classmethod
    def of(cls, schema: pyarrow.Schema) -> PlaceReader:
        """A reader for tables of a schema; GeoParquet metadata name the column and its CRS.

        Raises:
            ValueError: the GeoParquet metadata are invalid, or the CRS is not supported.
        """
        own = all(name in schema.names for name in _OWN)
        told = _geo_metadata(schema)
        column = str(told.get("primary_column", "geometry"))
        if column not in schema.names:
            return cls(own, None, None)
        columns = told.get("columns", {})
        described = columns.get(column, {}) if isinstance(columns, Mapping) else None
        if not isinstance(described, Mapping):
            raise ValueError("its GeoParquet metadata are invalid")
        crs = described.get("crs")
        return cls(own, column, None if _is_lon_lat(crs) else checked_crs(json.dumps(crs)))

    def place(self, values: Mapping[str, Any]) -> Place | None:
        """The place of a row, or None.

        Raises:
            ValueError: the place is incomplete, or its CRS is not supported.
        """
        if self.own and any(values[name] is not None for name in _OWN):
            return own_place(values)
        content = values.get(self.geometry) if self.geometry is not None else None
        return None if not isinstance(content, bytes) else self._of_geometry(content)

    def _of_geometry(self, content: bytes) -> Place | None:
        """The place of a geometry: its outer ring, or its convex hull if it is not a polygon."""
        import shapely

        geometry = shapely.from_wkb(content, on_invalid="ignore")
        if geometry is None or geometry.is_empty:
            return None
        left, bottom, right, top = map(float, geometry.bounds)
        if self.crs is not None:
            bounds = (left, bottom, right, top)
            return Place(*_in_degrees(self.crs, bounds, _outline(geometry)))
        eastward = shapely.transform(geometry, _eastward)
        if geometry.geom_type == "MultiPolygon" and _width(eastward) < 180 < _width(geometry):
            # The format cuts polygons at the antimeridian: join the parts again.
            geometry = shapely.union_all(shapely.get_parts(eastward))
            left, bottom, right, top = map(float, geometry.bounds)
        return Place(LON_LAT, (left, bottom, right, top), tuple(map(_wrapped, _outline(geometry))))


def own_place(values: Mapping[str, Any]) -> Place:
    """The place in the columns `crs`, `bounds` and `footprint`.

    Raises:
        ValueError: the place is incomplete, or its CRS is not supported.
    """
    if any(values[name] is None for name in _OWN):
        raise ValueError("a tile has an incomplete place: crs, bounds and footprint go together")
    bounds = tuple(map(float, values["bounds"]))
    footprint = tuple((float(lon), float(lat)) for lon, lat in values["footprint"])
    if len(bounds) != 4 or not footprint or not np.isfinite([*bounds, *sum(footprint, ())]).all():
        raise ValueError("a tile's bounds or footprint are not numbers")
    return Place(
        checked_crs(values["crs"]), (bounds[0], bounds[1], bounds[2], bounds[3]), footprint
    )


def _eastward(points: NDArray[np.float64]) -> NDArray[np.float64]:
    lon, lat = points.T
    return np.stack((np.where(lon < 0, lon + 360, lon), lat), axis=1)


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


def _in_degrees(
    crs: str, bounds: tuple[float, float, float, float], corners: list[Point]
) -> tuple[str, tuple[float, float, float, float], tuple[tuple[float, float], ...]]:
    with proj_data.of_rasterio():
        from rasterio.crs import CRS
        from rasterio.warp import transform

        try:
            system = CRS.from_user_input(crs)
            lons, lats = transform(system, CRS.from_epsg(4326), *zip(*corners))
        except Exception as error:  # GDAL's errors have no public root
            raise ValueError(f"{crs[:80]!r} is {NOT_READ}") from error
        return system.to_string(), bounds, tuple(zip(lons, lats))


def _geo_metadata(schema: pyarrow.Schema) -> dict[str, Any]:
    try:
        told = json.loads((schema.metadata or {}).get(b"geo", b"{}"))
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def _is_lon_lat(crs: object) -> bool:
    """Whether a CRS of GeoParquet is longitude and latitude, which is also the default."""
    if not isinstance(crs, Mapping):
        return True
    identity = crs.get("id", {})
    if not isinstance(identity, Mapping):
        return False
    name = f"{identity.get('authority')}:{identity.get('code')}"
    return name in (LON_LAT, "EPSG:4326")
