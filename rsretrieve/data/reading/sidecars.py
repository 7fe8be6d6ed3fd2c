"""Find and check the sidecar files that GDAL reads with an untrusted raster.

Georeferences (world files, the transform and CRS of `.aux.xml`) are text, in which GDAL follows no
names; but they may be links to other folders, pipes, or of any size. Overviews and masks are
rasters: they may have any format, too, or be named inside a file.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from typing import Any, NamedTuple

from rsretrieve.errors import TileError

_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_RASTERS = (".ovr", ".OVR", ".msk", ".MSK")
_AUXILIARY = ".aux.xml"
_GEOREFERENCES = (_AUXILIARY, "w", ".wld")  # how their names end: `.jgw`, `.pngw`, …
_MAX_TEXT_BYTES = 32 << 20  # GDAL reads an `.aux.xml` into memory as a whole
_DEPTH = 3  # a mask may have overviews, and these a mask
_STRANGE = {stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device"}
_STRANGE |= {stat.S_IFBLK: "a device"}


def require_harmless_sidecars(tile_id: str, path: str) -> None:
    """Refuse a file whose overviews or mask are not a TIFF beside it, or with a pipe beside it.

    And one whose georeference leads out of its folder, or is too large to be one.

    Raises:
        TileError: naming the sidecar.
    """
    folder, name = os.path.split(path)
    real = os.path.realpath(folder or ".")
    listed = _listed(real)
    for other in listed.strange.get(_stem(name), ()):
        raise TileError(tile_id, f"beside it lies {other}")
    for beside in _georeferences(path, listed):
        _require_small_and_beside(tile_id, beside, path)
    for suffix in _RASTERS:
        _require_tiff(tile_id, path + suffix, real)


def has_georeference_beside(path: str) -> bool:
    """Whether a world file or an `.aux.xml` lies beside a file."""
    folder = os.path.split(path)[0]
    try:
        listed = _listed(os.path.realpath(folder or "."))
    except OSError:
        return False
    return bool(_georeferences(path, listed))


def sidecar_names(path: str) -> list[str]:
    """The names that the sidecars of a file may have."""
    stem = os.path.splitext(path)[0]  # noqa: PTH122
    others = [stem + ".hdr", stem + ".prj", *(path + suffix for suffix in _RASTERS[::2])]
    return [*_georeference_names(path), *others]


def _georeference_names(path: str) -> list[str]:
    stem, suffix = os.path.splitext(path)  # noqa: PTH122
    kind = suffix[1:].lower()
    world = [f"{kind[0]}{kind[-1]}w", f"{kind}w", "wld"] if kind else ["wld"]
    return [f"{path}{_AUXILIARY}", *(f"{stem}.{name}" for name in dict.fromkeys(world))]


def _georeferences(path: str, listed: _Listed) -> list[str]:
    """The sidecars of a file that may hold its georeference, also in capital letters."""
    names = _georeference_names(path)
    if listed.names is None:  # a folder that may not be listed
        return [name for name in names if os.path.lexists(name)]
    folder = os.path.split(path)[0]
    found = (listed.names.get(os.path.basename(name).lower(), ()) for name in names)  # noqa: PTH119
    return [os.path.join(folder, name) for same in found for name in same]  # noqa: PTH118


def _require_small_and_beside(tile_id: str, beside: str, path: str) -> None:
    """Refuse a georeference that is no small file in the folder of the file or of its target."""
    name = os.path.basename(beside)  # noqa: PTH119
    folders = {os.path.realpath(os.path.split(one)[0] or ".") for one in (path, beside)}
    folders.add(os.path.dirname(os.path.realpath(path)))  # noqa: PTH120
    if os.path.dirname(os.path.realpath(beside)) not in folders:  # noqa: PTH120
        raise TileError(tile_id, f"{name} leads out of its folder by a link")
    size = 0
    with suppress(OSError):  # a broken link
        size = os.stat(beside).st_size  # noqa: PTH116
    if size > _MAX_TEXT_BYTES:
        raise TileError(tile_id, f"{name} has {size:,} bytes, too many for a georeference")


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


class _Listed(NamedTuple):
    """What lies in a folder besides tiles.

    Attributes:
        strange: pipes, sockets and devices, by the stem of their names: GDAL would block on them.
        names: the names that sidecars with a georeference may have, by the same in small letters;
            None if the folder may not be listed, as the policy allows single files in it.
    """

    strange: dict[str, list[str]]
    names: dict[str, list[str]] | None


_seen: dict[str, tuple[int, _Listed]] = {}  # the folder checked last


def _listed(folder: str) -> _Listed:
    changed = os.stat(folder).st_mtime_ns  # noqa: PTH116
    if folder in _seen and _seen[folder][0] == changed:
        return _seen[folder][1]
    strange: dict[str, list[str]] = {}
    names: dict[str, list[str]] = {}
    is_complete = True
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not entry.is_file() and not entry.is_dir() and (kind := _kind(entry)):
                    strange.setdefault(_stem(entry.name), []).append(f"{kind}, {entry.name}")
                elif (small := entry.name.lower()).endswith(_GEOREFERENCES):
                    names.setdefault(small, []).append(entry.name)
    except PermissionError:
        is_complete = False
    _seen.clear()
    _seen[folder] = changed, _Listed(strange, names if is_complete else None)
    return _seen[folder][1]


def _kind(entry: os.DirEntry[str]) -> str:
    """The kind of an entry, in words; empty for a broken link."""
    try:
        return _STRANGE.get(stat.S_IFMT(entry.stat().st_mode), "")
    except OSError:
        return ""


def _stem(name: str) -> str:
    return name.partition(".")[0].lower()
