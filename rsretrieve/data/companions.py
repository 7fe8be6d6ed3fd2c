"""The sidecars of a raster: the files beside it from which GDAL reads more about it.

They hold its georeference, mask, overviews, statistics, nodata value or colours; of an Erdas
Imagine file (`.img`) of more than 4 GB also its pixels (`.ige`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator

_AFTER_NAME = (
    *(".aux.xml", ".aux", ".ovr", ".msk", ".hdr", ".wld", ".prj", ".points", ".clr"),
    *(".msk.ovr", ".ovr.msk", ".ovr.ovr", ".msk.aux.xml", ".ovr.aux.xml"),
)
_AFTER_STEM = (
    *(".hdr", ".wld", ".prj", ".aux", ".rrd", ".tab", ".points", ".clr", ".stx"),
    *(".rpb", ".rpc", "_rpc.txt", ".imd", "_metadata.txt", ".ige", ".rde"),
)
_WORLD_END = "w"  # .tfw, .tifw, .jgw, .jpegw and so on


class Companions:
    """Finds the sidecars of many rasters; each folder is listed once."""

    def __init__(self) -> None:
        self._listed: dict[str, dict[str, list[str]]] = {}

    def of(self, path: str) -> Iterator[tuple[str, str]]:
        """The sidecars of a raster that exist, in a fixed order.

        Args:
            path: the raster.

        Yields:
            What its name has more than the raster's name or stem (`name.ovr`, `stem.tfw`), in
            lower case; and its path.
        """
        folder, name = os.path.split(path)
        beside = self._beside(folder)
        if not beside:
            return
        stem, suffix = os.path.splitext(name.lower())  # noqa: PTH122
        wanted = [(f"name{end}", name.lower() + end) for end in _AFTER_NAME]
        wanted += [(f"stem{end}", stem + end) for end in _after_stem(suffix)]
        for role, lower in wanted:
            for spelled in beside.get(lower, ()):
                yield role, os.path.join(folder, spelled)  # noqa: PTH118

    def _beside(self, folder: str) -> dict[str, list[str]]:
        """The possible sidecars of a folder: their names by the name in lower case."""
        if folder not in self._listed:
            found: dict[str, list[str]] = {}
            try:
                for name in sorted(os.listdir(folder or ".")):
                    if _may_be_companion(name.lower()):
                        found.setdefault(name.lower(), []).append(name)
            except (OSError, ValueError):  # it may not be listed, or is none
                found = {}
            self._listed[folder] = found
        return self._listed[folder]


def _after_stem(suffix: str) -> tuple[str, ...]:
    """The endings of sidecars that replace a suffix such as `.tif`, in lower case."""
    if len(suffix) < 2:
        return _AFTER_STEM
    short = f".{suffix[1]}{suffix[-1]}{_WORLD_END}"
    return (*_AFTER_STEM, *dict.fromkeys((short, suffix + _WORLD_END)))


def _may_be_companion(lower: str) -> bool:
    return lower.endswith((*_AFTER_NAME, *_AFTER_STEM, _WORLD_END))
