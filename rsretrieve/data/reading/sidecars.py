"""Check the sidecar files that GDAL reads with an untrusted raster.

Georeferences (world files, `.prj`, the transform and CRS of `.aux.xml`) are text, in which GDAL
follows no names. Overviews and masks are rasters: they may have any format, be links to other
folders, or be named inside a file.
"""

from __future__ import annotations

import os
import stat
import time
from contextlib import suppress
from typing import Any

from rsretrieve.errors import TileError

_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_RASTERS = (".ovr", ".OVR", ".msk", ".MSK")
_DEPTH = 3  # a mask may have overviews, and these a mask
_STRANGE = {stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device"}
_STRANGE |= {stat.S_IFBLK: "a device"}


def require_harmless_sidecars(tile_id: str, path: str) -> None:
    """Refuse a file whose overviews or mask are not a TIFF beside it, or with a pipe beside it.

    Raises:
        TileError: naming the sidecar.
    """
    folder, name = os.path.split(path)
    real = os.path.realpath(folder or ".")
    for other in _strange_entries(real).get(_stem(name), ()):
        raise TileError(tile_id, f"beside it lies {other}")
    for suffix in _RASTERS:
        _require_tiff(tile_id, path + suffix, real)


def require_own_overviews(tile_id: str, dataset: Any) -> None:
    """Refuse a raster that names another file as its overviews.

    Args:
        tile_id: the tile.
        dataset: rasterio's, before anything is read.

    Raises:
        TileError: it names one.
    """
    if named := dataset.tags(ns="OVERVIEWS").get("OVERVIEW_FILE"):
        raise TileError(
            tile_id, f"it names another file as its overviews (OVERVIEW_FILE={named[:80]})"
        )


def _require_tiff(tile_id: str, path: str, folder: str, depth: int = 0) -> None:
    """Refuse an existing overview or mask that is not a TIFF in this folder; also its own ones."""
    import rasterio

    if not os.path.lexists(path):
        return
    name = os.path.basename(path)  # noqa: PTH119
    if os.path.dirname(os.path.realpath(path)) != folder:  # noqa: PTH120
        raise TileError(tile_id, f"{name} leads out of its folder by a link")
    with open(path, "rb", opener=_without_waiting) as stream:
        start = stream.read(4) if stat.S_ISREG(os.fstat(stream.fileno()).st_mode) else b""
    if start not in _TIFF_STARTS or depth == _DEPTH:
        raise TileError(tile_id, f"{name}, its overviews or its mask, is no TIFF")
    for suffix in _RASTERS:
        _require_tiff(tile_id, path + suffix, folder, depth + 1)
    with rasterio.DatasetReader(path, driver=["GTiff"]) as dataset:
        require_own_overviews(tile_id, dataset)


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


COMPANION_ENDINGS = (
    *(".aux.xml", ".msk", ".ovr", ".aux", ".hdr", ".wld", ".prj", ".tab"),
    *(".jgw", ".jpgw", ".jpegw", ".jpgx", ".jpegx", ".pgw", ".pngw", ".pngx"),
    *(".tfw", ".tifw", ".tiffw", ".tfwx", ".tifx", ".rpb", "_rpc.txt"),
)
_SETTLED_NS = 2_000_000_000  # a folder that changed later may change again within a clock's tick
_MOST_FOLDERS = 256
_companions: dict[str, tuple[int, frozenset[str]]] = {}


def has_companions(path: str) -> bool:
    """Whether a sidecar lies beside an image: a mask, nodata, a georeference, a header.

    Args:
        path: of the image.

    Raises:
        OSError: there is no such folder.
    """
    folder, name = os.path.split(path)
    beside = _companions_in(folder or ".")
    if beside is None:
        stem = os.path.splitext(path)[0]  # noqa: PTH122
        names = (start + ending for start in (path, stem) for ending in COMPANION_ENDINGS)
        return any(map(os.path.lexists, names))
    return bool(beside) and not beside.isdisjoint((name.lower(), _without_suffix(name)))


def _companions_in(folder: str) -> frozenset[str] | None:
    """The beginnings, in lower case, of the sidecars' names in a folder.

    None for a folder that may not be listed, or that changed just now.
    """
    changed = os.stat(folder).st_mtime_ns  # noqa: PTH116
    known = _companions.get(folder)
    if known is not None and known[0] == changed:
        return known[1]
    if time.time_ns() - changed < _SETTLED_NS:
        return None
    try:
        every = map(str.lower, os.listdir(folder))
    except PermissionError:  # the policy allows single files in it
        return None
    names = [name for name in every if name.endswith(COMPANION_ENDINGS)]
    starts = (name.removesuffix(end) for name in names for end in COMPANION_ENDINGS)
    found = frozenset(starts) - frozenset(names)
    if len(_companions) >= _MOST_FOLDERS:
        _companions.clear()
    _companions[folder] = changed, found
    return found


def _without_suffix(name: str) -> str:
    return os.path.splitext(name)[0].lower()  # noqa: PTH122


_seen: dict[str, tuple[int, dict[str, list[str]]]] = {}  # the folder checked last


def _strange_entries(folder: str) -> dict[str, list[str]]:
    """Pipes, sockets and devices, by the stem of their names: GDAL would block on them."""
    changed = os.stat(folder).st_mtime_ns  # noqa: PTH116
    if folder in _seen and _seen[folder][0] == changed:
        return _seen[folder][1]
    found: dict[str, list[str]] = {}
    # A folder that may not be listed: the policy allows single files in it.
    with suppress(PermissionError), os.scandir(folder) as entries:
        for entry in entries:
            if not entry.is_file() and not entry.is_dir() and (kind := _kind(entry)):
                found.setdefault(_stem(entry.name), []).append(f"{kind}, {entry.name}")
    _seen.clear()
    _seen[folder] = changed, found
    return found


def _kind(entry: os.DirEntry[str]) -> str:
    """The kind of an entry, in words; empty for a broken link."""
    try:
        return _STRANGE.get(stat.S_IFMT(entry.stat().st_mode), "")
    except OSError:
        return ""


def _stem(name: str) -> str:
    return name.partition(".")[0].lower()
