"""The CRS of a column of geometries, which several kinds of metadata may name."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pyarrow

from rsretrieve._core.sealing import json_object
from rsretrieve.data.geo.reference_systems import checked_crs

LON_LAT = "OGC:CRS84"
_LON_LAT_NAMES = (LON_LAT, "EPSG:4326", "CRS84", "WGS84")


def crs_of_extension(field: pyarrow.Field) -> object:
    """The CRS of a column of one of GeoArrow's types; None if it names none."""
    kind = field.type
    content = (field.metadata or {}).get(b"ARROW:extension:metadata", b"")
    if isinstance(kind, pyarrow.ExtensionType):
        content = kind.__arrow_ext_serialize__()
    return json_object(content).get("crs")


def projected(crs: object, schema: pyarrow.Schema) -> str | None:
    """The definition of a CRS; None for longitude and latitude, or if there is none.

    Raises:
        ValueError: it is not supported.
    """
    if isinstance(crs, str):
        crs = _of_text(crs, schema)
    if crs is None or _is_lon_lat(crs):
        return None
    return checked_crs(crs if isinstance(crs, str) else json.dumps(crs))


def _of_text(crs: str, schema: pyarrow.Schema) -> object:
    """The CRS in the text of Parquet's type: itself, a number, or where the file has it."""
    kind, _, rest = crs.partition(":")
    if kind.lower() == "srid":
        return f"EPSG:{rest}" if rest not in ("", "0") else None
    if kind.lower() == "projjson":
        crs = (schema.metadata or {}).get(rest.encode(), b"").decode(errors="replace")
    return json_object(crs) or crs


def _is_lon_lat(crs: object) -> bool:
    """Whether a CRS is longitude and latitude in WGS 84."""
    if isinstance(crs, str):
        return crs.upper() in _LON_LAT_NAMES
    identity = crs.get("id", {}) if isinstance(crs, Mapping) else None
    if not isinstance(identity, Mapping):
        return False
    return f"{identity.get('authority')}:{identity.get('code')}" in _LON_LAT_NAMES
