"""Decode the geometries of a table: well-known binary and text, and GeoArrow's native encodings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pyarrow

_EXTENSION = b"ARROW:extension:name"
_WKB, _WKT = "wkb", "wkt"
_NATIVE = ("box", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon")
_SIDES = ("xmin", "ymin", "xmax", "ymax")
ENCODINGS = (_WKB, _WKT, *_NATIVE)


def encoding_of(field: pyarrow.Field, told: str | None) -> str | None:
    """The encoding of a column of geometries; None if it is none that is read.

    Args:
        field: the column.
        told: the encoding that the file's GeoParquet metadata name, if any.
    """
    kind, types = field.type, pyarrow.types
    name = _extension_name(field)
    for given in (str(told or ""), name.removeprefix("geoarrow.").removeprefix("ogc.")):
        if given.lower() in ENCODINGS:
            return given.lower()
    storage = getattr(kind, "storage_type", kind)
    if types.is_binary(storage) or types.is_large_binary(storage) or storage == _BINARY_VIEW:
        return _WKB
    if types.is_string(storage) or types.is_large_string(storage) or storage == _STRING_VIEW:
        return _WKT
    return None


_BINARY_VIEW, _STRING_VIEW = pyarrow.binary_view(), pyarrow.string_view()


def is_geoarrow(field: pyarrow.Field) -> bool:
    """Whether a column is of one of GeoArrow's types, by its own type or by Arrow's metadata."""
    return _extension_name(field).startswith(("geoarrow.", "ogc."))


def _extension_name(field: pyarrow.Field) -> str:
    name = getattr(field.type, "extension_name", (field.metadata or {}).get(_EXTENSION, b""))
    return name.decode(errors="replace") if isinstance(name, bytes) else str(name)


def decode(encoding: str, value: Any) -> Any:
    """A Shapely geometry in two dimensions; None if it is missing, empty or invalid.

    Args:
        encoding: one of `ENCODINGS`.
        value: as pyarrow gives it.
    """
    import shapely

    found: Any = None
    if encoding == _WKB and isinstance(value, bytes):
        found = shapely.from_wkb(value, on_invalid="ignore")
    elif encoding == _WKT and isinstance(value, str):
        found = shapely.from_wkt(value, on_invalid="ignore")
    elif encoding in _NATIVE and value is not None:
        found = _native(encoding, value)
    return None if found is None or found.is_empty else _flat(found)


def _flat(geometry: Any) -> Any:
    import shapely

    flat = shapely.force_2d(geometry)
    return shapely.set_srid(flat, shapely.get_srid(geometry))


def _native(encoding: str, value: Any) -> Any:
    import shapely

    makers: dict[str, Callable[[Any], Any]] = {
        "box": lambda one: shapely.box(*(float(one[side]) for side in _SIDES)),
        "point": lambda one: shapely.Point(_pair(one)),
        "linestring": lambda one: shapely.LineString(map(_pair, one)),
        "polygon": _polygon,
        "multipoint": lambda one: shapely.MultiPoint([_pair(point) for point in one]),
        "multilinestring": lambda one: shapely.MultiLineString(
            [[_pair(point) for point in line] for line in one]
        ),
        "multipolygon": lambda one: shapely.MultiPolygon([_polygon(part) for part in one]),
    }
    try:
        return makers[encoding](value)
    except (TypeError, KeyError, IndexError, shapely.errors.ShapelyError) as error:
        raise ValueError(f"a geometry is not a {encoding} ({error})") from error


def _polygon(rings: Any) -> Any:
    import shapely

    outer, *holes = [[_pair(point) for point in ring] for ring in rings] or [[]]
    return shapely.Polygon(outer, holes)


def _pair(point: Any) -> tuple[float, float]:
    """X and y of a point, as a record or as a list."""
    if isinstance(point, Mapping):
        return float(point["x"]), float(point["y"])
    return float(point[0]), float(point[1])
