"""The image files of a folder and its sub-folders, and the folders that cannot be listed."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from rsretrieve.data.failures import Failure
from rsretrieve.data.gdal_drivers import begins_like_an_image
from rsretrieve.data.reading.raw_tile import decoding_trouble
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.errors import NoUsableTiles

IMAGE_SUFFIXES = frozenset(
    (
        *(".jpg", ".jpeg", ".jpe", ".png", ".tif", ".tiff", ".gtiff", ".jp2", ".j2k", ".webp"),
        *(".bmp", ".gif", ".img", ".vrt", ".ntf", ".nitf"),
    )
)
_OTHER_SUFFIXES = (".csv", ".txt", ".json", ".xml", ".md", ".parquet", ".npy")


class Unlisted:
    """Collects sub-folders that cannot be listed; their tiles are missing.

    Args:
        source: the folder that the user named.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        self._reasons: dict[str, str] = {}

    def add(self, error: OSError) -> None:
        """Record a folder, from the error of `os.walk`."""
        self._reasons[os.fspath(error.filename)] = decoding_trouble(error)

    def reported(self, tiles: TileSet, context: RunContext | None) -> TileSet:
        """The same tiles, and report the folders: as failures, or in a notice without a context.

        Raises:
            TileError: there is such a folder, and the context is strict.
        """
        names = {
            folder: Path(os.path.relpath(folder, self._source)).as_posix()
            for folder in self._reasons
        }
        tiles = replace(tiles, unseen=tuple(f"{name}/" for name in names.values()))
        if context is None:
            notices = (f"folders left out: {self._in_words()}",) if names else ()
            return tiles.with_notices(*notices)
        for folder, reason in self._reasons.items():
            tile = Tile(names[folder], folder)
            context.add_failure(Failure(tile, f"a folder that cannot be listed: {reason}"))
        return tiles

    def raise_if_any(self) -> None:
        """Raise an error if a folder cannot be listed; to be called if no tile was found.

        Raises:
            NoUsableTiles: a folder cannot be listed.
        """
        if self._reasons:
            raise NoUsableTiles(f"{self._source}: no tiles; folders left out: {self._in_words()}")

    def _in_words(self) -> str:
        folder, reason = next(iter(self._reasons.items()))
        first = "the first, " if len(self._reasons) > 1 else ""
        return f"{len(self._reasons)} that cannot be listed ({first}{folder}: {reason})"


def image_files(root: Path, unlisted: Unlisted) -> list[Path]:
    """All image files under `root`, sorted by path. Links are followed, but no folder twice.

    Args:
        root: the folder.
        unlisted: records folders that cannot be listed.
    """
    found, visited = [], set()
    for folder, subfolders, names in os.walk(root, onerror=unlisted.add, followlinks=True):
        identity = Path(folder).stat()
        if (identity.st_dev, identity.st_ino) in visited:
            subfolders.clear()
            continue
        visited.add((identity.st_dev, identity.st_ino))
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for name in names:
            path = Path(folder, name)
            if not name.startswith(".") and _looks_like_image(path):
                found.append(path)
    return sorted(found, key=Path.as_posix)


def _looks_like_image(path: Path) -> bool:
    """Decide by the suffix, or by the first bytes if the suffix is unknown.

    A broken link or a pipe with an image's suffix counts as an image that cannot be read.
    """
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return True
    if not _is_file(path) or path.suffix.lower() in _OTHER_SUFFIXES:
        return False
    try:
        return begins_like_an_image(path)
    except OSError:
        return False


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # the folder may be listed, but not its files
        return False
