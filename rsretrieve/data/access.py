"""Who vouches for a tile's file, and what the process may do that reads it.

Only what the user typed is trusted. What stands inside a list, a STAC item, an index, a sidecar
or a raster is a stranger's word: from there only formats open that hold their pixels themselves,
on plain paths, or at public addresses of the web and of object stores.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from rsretrieve.data.address_guard import guard_address, why_refused
from rsretrieve.data.gdal_drivers import (
    CONFINED_ONLY,
    for_files,
    holds_its_pixels,
    trusted,
)
from rsretrieve.data.tile import Tile, Trust
from rsretrieve.data.workers.confinement import Policy, enforced
from rsretrieve.errors import TileError

WAY_OUT = "give --trust-sources if you trust who named it"
_REMOTE = ("http", "https", "s3", "gs", "az")
_ASKS_A_NETWORK = re.compile(r"/vsi(curl|s3|gs|az|adls|oss|swift|webhdfs|hdfs)|[a-z0-9+]+://", re.I)
_CONFINED_SUFFIXES, _CONFINED_START = (".img",), b"EHFA_HEADER_TAG"
_MOST_FILES = 2000
"""Files outside the folders that the user typed, that a process is let read one by one; where
there are more of them, it is let read their folders."""


def is_trusted(tile: Tile) -> bool:
    """Whether a tile is opened with all that GDAL has, and whatever it names, too.

    Raises:
        OSError: there is no such file.
    """
    if tile.trust is Trust.TRUSTED:
        return True
    if not tile.location.is_local:
        return tile.trust is Trust.NAMED
    return tile.trust is Trust.NAMED and not holds_its_pixels(Path(tile.path))


@dataclass(frozen=True)
class Readable:
    """What processes may read that decode some tiles.

    Attributes:
        paths: files, and folders with all below them; links are resolved.
    """

    paths: tuple[str, ...]

    @classmethod
    def of(cls, tiles: Iterable[Tile], folders: Sequence[str | Path] = ()) -> Readable:
        """For some tiles, of which most lie below some folders.

        Args:
            tiles: those on this machine's disk count.
            folders: that the user typed.
        """
        typed = tuple(dict.fromkeys(os.path.realpath(folder) for folder in folders))
        files: dict[str, list[str]] = {}
        for path in dict.fromkeys(tile.path for tile in tiles if tile.location.is_local):
            if _may_be_a_path(path):
                folder, name = os.path.split(path)
                files.setdefault(folder, []).append(name)
        outside = _outside(files, typed)
        if sum(map(len, outside.values())) > _MOST_FILES:
            return cls((*typed, *outside))
        return cls((*typed, *dict.fromkeys(_with_companions(outside))))


def _may_be_a_path(path: str) -> bool:
    """Whether the system takes a name at all; of others, the reading says what is wrong."""
    try:
        return b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        return False


def _outside(files: dict[str, list[str]], typed: tuple[str, ...]) -> dict[str, list[str]]:
    """The names of files that do not lie below the typed folders, by their real folders."""
    found: dict[str, list[str]] = {}
    for folder, names in files.items():
        real = os.path.realpath(folder or ".")
        below = _is_below(real, typed)
        for name in _links(real).intersection(names) if below else names:
            target = os.path.realpath(os.path.join(real, name))  # noqa: PTH118
            if not _is_below(target, typed):
                parent, last = os.path.split(target)
                found.setdefault(parent, []).append(last)
    return found


def _is_below(path: str, folders: tuple[str, ...]) -> bool:
    return any(path == folder or path.startswith(folder.rstrip("/") + "/") for folder in folders)


def _links(folder: str) -> set[str]:
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries if entry.is_symlink()}
    except OSError:
        return set()


def _with_companions(files: dict[str, list[str]]) -> Iterator[str]:
    """Files, and those beside them that GDAL may read with them: their names begin alike."""
    for folder, names in files.items():
        stems = {_stem(name) for name in names}
        with suppress(OSError):
            beside = sorted(name for name in os.listdir(folder) if _stem(name) in stems)
            paths = (os.path.join(folder, name) for name in beside)  # noqa: PTH118
            yield from (path for path in paths if os.path.isfile(path))  # noqa: PTH113


def _stem(name: str) -> str:
    return name.partition(".")[0].lower()


def policy_for(tile: Tile, readable: Readable) -> Policy:
    """What the process may do that reads a tile.

    Args:
        tile: the tile.
        readable: what may be read of this machine's disk.

    Raises:
        TileError: nobody may read it: it is a stranger's word, and no plain path.
    """
    if tile.trust is Trust.TRUSTED:
        return Policy(None, ("/",), network=True)
    if not tile.location.is_local:
        if tile.trust is Trust.NAMED:
            return Policy(None, ("/",), network=_ASKS_A_NETWORK.search(tile.path) is not None)
        return _of_remote(tile)
    with suppress(OSError):  # whoever reads it says that it is not there
        if is_trusted(tile):
            return Policy(None, ("/",))
    if trusted():
        return Policy((*for_files(), *CONFINED_ONLY), ("/",), network=True)
    if _is_confined_only(tile) and enforced().files:
        return Policy((*for_files(), *CONFINED_ONLY), readable.paths)
    return Policy(tuple(for_files()), readable.paths)


def _is_confined_only(tile: Tile) -> bool:
    if tile.path.lower().endswith(_CONFINED_SUFFIXES):
        return True
    if tile.trust is Trust.STRANGER:
        return False  # to look into every tile of a folder takes as long as to read some
    with suppress(OSError), open(tile.path, "rb") as stream:  # noqa: PTH123
        return stream.read(len(_CONFINED_START)) == _CONFINED_START
    return False


def _of_remote(tile: Tile) -> Policy:
    """For a tile at a public address."""
    scheme = urlsplit(tile.path).scheme.lower()
    if scheme not in _REMOTE or "/vsi" in tile.path.lower():
        raise TileError(tile.id, f"its path {tile.path} is no plain path: {WAY_OUT}")
    if reason := why_refused(tile.path):
        raise TileError(tile.id, f"{reason}: {WAY_OUT}")
    proxy = guard_address()
    ports = (int(proxy.rpartition(":")[2]),) if proxy else ()
    return Policy(tuple(for_files()), (), network=True, ports=ports, proxy=proxy)


def hosts_of(tiles: Iterable[Tile]) -> tuple[str, ...]:
    """The hosts that tiles of strangers are fetched from, sorted."""
    paths = {tile.path for tile in tiles if tile.trust is Trust.STRANGER and "://" in tile.path}
    known = {path for path in paths if urlsplit(path).scheme.lower() in _REMOTE}
    return tuple(sorted({urlsplit(path).netloc.rpartition("@")[2] for path in known} - {""}))
