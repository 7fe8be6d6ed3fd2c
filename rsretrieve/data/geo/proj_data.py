"""PROJ's data are those that come with rasterio, whatever another PROJ's variables say.

`PROJ_DATA` and `PROJ_LIB` are set by other programs for the PROJ that comes with them. The data
of another version cannot be read: no reference system is known, and no tile has a place.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path

_VARIABLES = ("PROJ_DATA", "PROJ_LIB")


def environment() -> dict[str, str]:
    """What a process that loads rasterio is given beside our own environment."""
    folder = _bundled()
    return {} if folder is None else {name: folder for name in _VARIABLES if name in os.environ}


@contextmanager
def of_rasterio() -> Iterator[None]:
    """Surroundings in which our own process imports and uses rasterio.

    It looks at the variables when it is imported, and whenever one of its environments starts.
    """
    hidden = {name: os.environ.pop(name) for name in environment()}
    try:
        yield
    finally:
        os.environ.update(hidden)


@cache
def _bundled() -> str | None:
    """The folder of the data in rasterio's wheels; None where PROJ is the system's."""
    spec = find_spec("rasterio")
    folders = (spec and spec.submodule_search_locations) or []
    found = (Path(folder, "proj_data") for folder in folders)
    return next((str(folder) for folder in found if (folder / "proj.db").is_file()), None)
