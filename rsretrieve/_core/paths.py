"""Where pixels lie: on this machine's disk, or wherever else GDAL reaches."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from rsretrieve._core.atomic_write import resolved

TIME_LIMIT_S, TIME_LIMIT_ELSEWHERE_S = 60.0, 600.0
"""What lies elsewhere may have a long way to come."""

_ELSEWHERE = re.compile(
    r"/vsi[a-z0-9_]+/|[a-zA-Z][a-zA-Z0-9+.-]+://"
    # GDAL's names for a part of a file: format, file, part
    r"|(?i:netcdf|hdf5|hdf4_sds|hdf4_eos|zarr|gpkg|bag|gtiff_dir|sentinel[12]_[a-z0-9_]+):"
)


def is_elsewhere(path: str | Path) -> bool:
    """Whether a path is GDAL's to understand: a URL, one of its virtual file systems, or a part.

    Such a path is handed on as it is: nothing of it is resolved, and it has no size and no
    time of change that could be asked for.

    >>> is_elsewhere("https://example.org/scene.tif"), is_elsewhere("/vsis3/bucket/scene.tif")
    (True, True)
    >>> is_elsewhere("netcdf:scenes/sst.nc:day"), is_elsewhere("scenes/scene.tif")
    (True, False)
    """
    return _ELSEWHERE.match(str(path)) is not None


def name_of(source: str) -> str:
    """The last part of a path or a URL, without what a URL asks of its server.

    >>> name_of("https://example.org/a/scene.tif?token=1"), name_of("a/scene.tif")
    ('scene.tif', 'scene.tif')
    """
    if not is_elsewhere(source):
        return resolved(Path(source)).name
    inner = re.sub(r"^(/vsi[a-z0-9_]+/)+", "", source)
    path = urlsplit(inner).path if "://" in inner else inner
    return PurePosixPath(path.replace('"', "")).name or source


def time_limit_s(path: str) -> float:
    """How long a tile there may take to be read, or a few that are read together."""
    return TIME_LIMIT_ELSEWHERE_S if is_elsewhere(path) else TIME_LIMIT_S


def file_state(path: str) -> tuple[int, int]:
    """What a changed file is told by: its size in bytes, and its time of change in ns.

    Of what lies elsewhere both are −1: to ask would take a request for every tile, and most
    of what lies there has no time of change. It counts as unchanged while its path is the same.

    Raises:
        OSError: no such file.
    """
    if is_elsewhere(path):
        return -1, -1
    status = Path(path).stat()
    return status.st_size, status.st_mtime_ns


def unchecked_notices(paths: Iterable[str]) -> tuple[str, ...]:
    """What to say where an update cannot see whether files changed."""
    elsewhere = {path for path in paths if is_elsewhere(path)}
    if not elsewhere:
        return ()
    return (
        f"files behind a URL: {len(elsewhere)}; these have no time of change, and are taken "
        "to be unchanged (--overwrite instead of --update reads them again)",
    )


def absolute(path: str | Path) -> str:
    """The absolute form of a path, links resolved: what two spellings of one file share.

    What is no path on this machine's disk stays as it is.
    """
    # Without a `Path`, which takes as long as all the rest: lists may have a million tiles.
    return str(path) if is_elsewhere(path) else os.path.realpath(path)
