"""Make rasterio use the PROJ data that come with it.

Other programs set `PROJ_DATA` and `PROJ_LIB` for the PROJ library that comes with them. Data of
another version cannot be read: then no reference system is known, and no tile has a place.
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
    """The variables that a process with rasterio needs besides our environment."""
    folder = _bundled()
    return {} if folder is None else {name: folder for name in _VARIABLES if name in os.environ}


@contextmanager
def of_rasterio() -> Iterator[None]:
    """A context in which this process imports and uses rasterio.

    Rasterio reads the variables at its import and whenever one of its environments starts.
    """
    hidden = {name: os.environ.pop(name) for name in environment()}
    try:
        yield
    finally:
        os.environ.update(hidden)


@cache
def _bundled() -> str | None:
    """The folder of PROJ data in rasterio's wheel; None if rasterio uses the system's PROJ."""
    spec = find_spec("rasterio")
    folders = (spec and spec.submodule_search_locations) or []
    found = (Path(folder, "proj_data") for folder in folders)
    return next((str(folder) for folder in found if (folder / "proj.db").is_file()), None)
