"""Check coordinate reference systems from a table: untrusted text, which may name files.

PROJ strings may ask for files (`+init`, `+nadgrids`), and GDAL fetches what looks like a URL.
"""

from __future__ import annotations

import json
import re
from typing import Any

from rsretrieve._core.sealing import json_object

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]{0,19}:[A-Za-z0-9_.-]{1,30}")
_WKT = re.compile(
    r"\s*(GEOGCS|PROJCS|GEOCCS|LOCAL_CS|COMPD_CS|VERT_CS|(BASE)?(GEOG|GEOD|PROJ|ENG|VERT)CRS"
    r"|GEOGRAPHICCRS|GEODETICCRS|PROJECTEDCRS|ENGINEERINGCRS|COMPOUNDCRS|VERTICALCRS)"
    r"\s*[\[(]",
    re.IGNORECASE,
)
_FILES = re.compile(
    r"EXTENSION\s*[\[(]|BOUND_?CRS|nadgrids|geoidgrids|PARAMETERFILE|\+init|\+proj|://|/vsi",
    re.IGNORECASE,
)
_MAX_CHARACTERS = 100_000
NOT_READ = "not a coordinate reference system that is read"


def checked_crs(text: object) -> str:
    """The text of a CRS that names no file: `AUTHORITY:CODE`, WKT, or PROJJSON.

    Raises:
        ValueError: it is something else, or may name a file.
    """
    searched = text if isinstance(text, str) and len(text) <= _MAX_CHARACTERS else "://"
    projjson = _projjson(searched)
    if projjson is not None:
        searched = json.dumps({key: projjson[key] for key in projjson if key != "$schema"})
    known = projjson is not None or _NAME.fullmatch(searched) or _WKT.match(searched)
    if not known or _FILES.search(searched):
        raise ValueError(f"{str(text)[:80]!r} is {NOT_READ} (AUTHORITY:CODE, WKT or PROJJSON)")
    return str(text)


def _projjson(text: str) -> dict[str, Any] | None:
    content = json_object(text)
    return content if str(content.get("type", "")).endswith("CRS") else None
