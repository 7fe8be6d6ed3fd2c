"""Find and check the sidecar files that GDAL reads with an untrusted raster.

Georeferences (world files, the transform and CRS of `.aux.xml`) are text, in which GDAL follows no
names; but they may be links to other folders, pipes, or of any size. Overviews and masks are
rasters: they may have any format, too, or be named inside a file.
"""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from rsretrieve.errors import TileError

_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_OF_TIFF = (".ovr", ".msk")
_TEXTS = (".aux.xml", ".prj", ".tab", ".rpb", "_rpc.txt")
_ENDINGS = (*_TEXTS, *_OF_TIFF, ".aux", ".hdr")
_WORLD = ("w", ".wld")  # how the names of world files end: `.jgw`, `.pngw`, …
_RAW_BY_HEADER = ("ENVI", "EHdr")
"""Drivers of files of plain values, which another file describes."""
_RAW_BY_NAME = ("SRTMHGT",)
"""Drivers of files of plain values, which their own name describes."""
_MAX_TEXT_BYTES = 32 << 20  # GDAL reads an `.aux.xml` into memory as a whole
_DEPTH = 3  # a mask may have overviews, and these a mask
_SETTLED_NS = 2_000_000_000  # a folder that changed later may change again within a clock's tick
_MOST_FOLDERS = 256
_OF_A_READER = re.compile(r"\.(txt|xml|imd|rpb|rpc|pvl|dim|eph|pass|rad|att|til)\)$", re.IGNORECASE)
"""The endings of files in which providers deliver metadata, as `_Listed.strange` describes them."""
_STRANGE = {stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device"}
_STRANGE |= {stat.S_IFBLK: "a device"}


def sidecars_of(path: str) -> list[str]:
    """The sidecars beside a file: its mask, nodata, georeference or header, links and pipes, too.

    Names are compared without case. In a folder that may not be listed, or that changed just now,
    their endings are found in small or in capital letters.

    Args:
        path: the file.

    Raises:
        OSError: there is no such folder.
    """
    folder, name = os.path.split(path)
    beside = _names_in(folder or ".")
    if beside is None:
        possible = (os.path.join(folder, one) for one in _possible_names(name))  # noqa: PTH118
        return list(filter(os.path.lexists, possible))
    if not beside:
        return []
    small = dict.fromkeys(map(str.lower, _possible_names(name)))
    found = (beside.get(one, ()) for one in small)
    return [os.path.join(folder, one) for same in found for one in same]  # noqa: PTH118


def only_texts_unread(path: str, beside: Sequence[str]) -> bool:
    """Whether GDAL may not open a file, and would lose no mask if it were read without sidecars.

    Args:
        path: the file.
        beside: its sidecars.
    """
    return all(map(_is_text, beside)) and bool(_why_unread(path, beside))


def require_harmless_sidecars(tile_id: str, path: str) -> None:
    """Refuse a file whose overviews or mask are not a TIFF beside it, or with a pipe beside it.

    And one whose georeference leads out of its folder, or is too large to be one.

    Raises:
        TileError: naming the sidecar.
    """
    beside = sidecars_of(path)
    if reason := _why_unread(path, beside):
        raise TileError(tile_id, reason)
    real = os.path.realpath(os.path.split(path)[0] or ".")
    for other in _of_tiff(path, beside):
        _require_tiff(tile_id, other, real)


def _possible_names(name: str) -> Iterator[str]:
    """The names that sidecars of a file may have, with endings in small and in capital letters."""
    stem, suffix = os.path.splitext(name)  # noqa: PTH122
    kind = suffix[1:].lower()
    world = (f".{kind[:1]}{kind[-1:]}w", f".{kind}w", ".tfw", ".wld")
    for start, endings in ((name, _ENDINGS), (stem, (*_ENDINGS, *world))):
        for ending in endings:
            yield start + ending
            yield start + ending.upper()


def _is_text(path: str) -> bool:
    return path.lower().endswith((*_TEXTS, *_WORLD))


def _of_tiff(path: str, beside: Sequence[str]) -> list[str]:
    """Overviews and masks, whose names are the file's with an ending."""
    return [one for one in beside if one[len(path) :].lower() in _OF_TIFF]


def _why_unread(path: str, beside: Sequence[str]) -> str:
    """Why GDAL may not open a file with what lies beside it; empty where it may."""
    folder, name = os.path.split(path)
    listed = _listed(folder or ".", os.stat(folder or "."))  # noqa: PTH116
    for other in listed.strange.get(_stem(name), ()):
        return f"{other} lies beside it"
    # GDAL reads metadata files of any stem when it looks for a georeference, and blocks on a pipe.
    for other in (one for same in listed.strange.values() for one in same):
        if _OF_A_READER.search(other):
            return f"{other} lies in its folder, where GDAL reads metadata"
    reasons = (_why_no_text(one, path) for one in beside if _is_text(one))
    return next(filter(None, reasons), "")


def _why_no_text(beside: str, path: str) -> str:
    """Why a georeference is no small file in the folder of the file, or in that of its target."""
    name = os.path.basename(beside)  # noqa: PTH119
    folders = {os.path.realpath(os.path.split(one)[0] or ".") for one in (path, beside)}
    folders.add(os.path.dirname(os.path.realpath(path)))  # noqa: PTH120
    if os.path.dirname(os.path.realpath(beside)) not in folders:  # noqa: PTH120
        return f"{name} leads out of its folder by a link"
    with suppress(OSError):  # a broken link
        status = os.stat(beside)  # noqa: PTH116
        if kind := _STRANGE.get(stat.S_IFMT(status.st_mode)):
            return f"{kind} ({name}) lies beside it"
        if status.st_size > _MAX_TEXT_BYTES:
            return f"{name} has {status.st_size:,} bytes, too many for a georeference"
    return ""


def require_own_overviews(tile_id: str, dataset: Any) -> None:
    """Refuse a raster that names another file as its overviews.

    Args:
        tile_id: the tile.
        dataset: rasterio's, before anything is read.

    Raises:
        TileError: it names one.
    """
    for key, named in dataset.tags(ns="OVERVIEWS").items():
        if key.casefold() == "overview_file":  # GDAL compares these names without case
            raise TileError(
                tile_id, f"it names another file as its overviews (OVERVIEW_FILE={named[:80]})"
            )


def require_own_header(tile_id: str, path: str, dataset: Any) -> None:
    """Refuse a raster of a raw format whose header and pixels do not belong to each other.

    Any file can be shown as pixels of such a format. Therefore a link leads only to a file that
    would be the same raster without the link.

    Args:
        tile_id: the tile.
        path: its file.
        dataset: rasterio's.

    Raises:
        TileError: the header lies in another folder, or has another name than the pixels.
    """
    kind, real = dataset.driver, os.path.realpath(path)
    name = os.path.basename(real).lower()  # noqa: PTH119
    if kind in _RAW_BY_NAME and name != os.path.basename(path).lower():  # noqa: PTH119
        raise TileError(tile_id, f"is a link to a file of another name, which is no {kind} file")
    if kind not in _RAW_BY_HEADER:
        return
    stem = os.path.splitext(real)[0]  # noqa: PTH122
    for other in filter(os.path.lexists, dataset.files):
        header = os.path.realpath(other)
        if header != real and not _belongs(header, real, stem):
            short = os.path.basename(other)  # noqa: PTH119
            raise TileError(
                tile_id,
                f"{short} describes its pixels, which lie elsewhere by a link: put both files "
                "into one folder, without links",
            )


def _belongs(header: str, real: str, stem: str) -> bool:
    """Whether a file is named like a file of pixels, in the same folder."""
    same_folder = os.path.split(header)[0] == os.path.split(real)[0]
    starts = (os.path.splitext(header)[0].lower(), header.lower())  # noqa: PTH122
    known = stem.lower(), real.lower()
    return same_folder and (starts[0] in known or starts[1].startswith(f"{known[1]}."))


def _require_tiff(tile_id: str, path: str, folder: str, depth: int = 0) -> None:
    """Refuse an overview or a mask that is not a TIFF in this folder; also its own ones."""
    import rasterio

    name = os.path.basename(path)  # noqa: PTH119
    if os.path.dirname(os.path.realpath(path)) != folder:  # noqa: PTH120
        raise TileError(tile_id, f"{name} leads out of its folder by a link")
    with open(path, "rb", opener=_without_waiting) as stream:
        start = stream.read(4) if stat.S_ISREG(os.fstat(stream.fileno()).st_mode) else b""
    if start not in _TIFF_STARTS or depth == _DEPTH:
        raise TileError(tile_id, f"{name}, its overviews or its mask, is not a TIFF")
    for other in _of_tiff(path, sidecars_of(path)):
        _require_tiff(tile_id, other, folder, depth + 1)
    with rasterio.DatasetReader(path, driver=["GTiff"]) as dataset:
        require_own_overviews(tile_id, dataset)


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


class _Listed(NamedTuple):
    """What lies in a folder besides tiles.

    Attributes:
        stamp: of the folder when it was listed: device, number, and time of its last change.
        is_settled: whether that was long ago then, so that a later change gives another stamp.
        strange: pipes, sockets and devices, by the stem of their names: GDAL would block on them.
        names: the names that sidecars may have, by the same in small letters; None if the folder
            may not be listed, as the policy allows single files in it.
    """

    stamp: tuple[int, int, int]
    is_settled: bool
    strange: dict[str, list[str]]
    names: dict[str, list[str]] | None


_folders: dict[str, _Listed] = {}


def _names_in(folder: str) -> dict[str, list[str]] | None:
    """As in `_Listed`; None, too, for a folder that changed just now."""
    status = os.stat(folder)  # noqa: PTH116
    return _listed(folder, status).names if _is_settled(status) else None


def _is_settled(status: os.stat_result) -> bool:
    return time.time_ns() - status.st_mtime_ns >= _SETTLED_NS


def _listed(folder: str, status: os.stat_result) -> _Listed:
    """What lies in a folder of this status."""
    stamp = status.st_dev, status.st_ino, status.st_mtime_ns
    is_settled = _is_settled(status)
    known = _folders.get(folder)
    if known is None or known.stamp != stamp or is_settled > known.is_settled:
        if len(_folders) >= _MOST_FOLDERS:
            _folders.clear()
        known = _folders[folder] = _Listed(stamp, is_settled, *_scanned(folder))
    return known


def _scanned(folder: str) -> tuple[dict[str, list[str]], dict[str, list[str]] | None]:
    """`strange` and `names` of `_Listed`."""
    strange: dict[str, list[str]] = {}
    names: dict[str, list[str]] = {}
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if (small := entry.name.lower()).endswith((*_ENDINGS, *_WORLD)):
                    names.setdefault(small, []).append(entry.name)
                if kind := _kind(entry):
                    strange.setdefault(_stem(entry.name), []).append(f"{kind} ({entry.name})")
    except PermissionError:
        return strange, None
    return strange, names


def _kind(entry: os.DirEntry[str]) -> str:
    """The kind of an entry, in words; empty for a file, a folder and a link that leads nowhere."""
    try:
        if entry.is_file() or entry.is_dir():
            return ""
        return _STRANGE.get(stat.S_IFMT(entry.stat().st_mode), "")
    except OSError:  # a link that leads nowhere, or back to itself
        return ""


def _stem(name: str) -> str:
    """As in `access`: a file such as `.netrc` has a stem of its own."""
    bare = name.lstrip(".")
    return (name[: len(name) - len(bare)] + bare.partition(".")[0]).lower()
