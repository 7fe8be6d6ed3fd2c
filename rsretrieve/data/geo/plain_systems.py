"""Reference systems that an index names: its author is a stranger.

GDAL and PROJ take a file or a URL for a reference system, too, and a description may name files of
grids. Only a code of an authority, or WKT that names no file, is handed to them.
"""

from __future__ import annotations

import re

from rsretrieve.errors import InputError

_CODE = re.compile(r"[A-Za-z]{2,20}:[0-9A-Za-z]{1,20}")
_WKT = re.compile(r"[A-Z_0-9]{4,30}\[")
_GRIDS = re.compile(r"(nadgrids|geoidgrids|grids|init|file)\s*=\s*(?!@null\b)", re.IGNORECASE)
_GRID_NODES = re.compile(r"PARAMETERFILE|@(?!null\b)", re.IGNORECASE)
_LONGEST = 100_000


def require_plain_system(text: str) -> str:
    """The same text, if it is a reference system that names no file.

    Raises:
        InputError: it is something else, or PROJ does not know it.
    """
    is_wkt = _WKT.match(text) is not None and len(text) <= _LONGEST
    names_file = _GRIDS.search(text) is not None or _GRID_NODES.search(text) is not None
    if not (_CODE.fullmatch(text) or (is_wkt and not names_file)) or not _is_known(text):
        raise InputError(
            f"the coordinate reference system {text[:80]!r} of the index cannot be used",
            hint="a reference system is a code such as EPSG:32618, or WKT that names no file",
        )
    return text


def _is_known(text: str) -> bool:
    from rsretrieve.data.geo import proj_data

    with proj_data.of_rasterio():
        from rasterio.crs import CRS
        from rasterio.errors import CRSError

        try:
            CRS.from_string(text)
        except CRSError:
            return False
    return True
