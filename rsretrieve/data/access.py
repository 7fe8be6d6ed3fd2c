"""Which tiles are trusted, and the policy of the process that reads them.

Only paths that the user typed are trusted. Paths in a list, a STAC item, an index, a sidecar or a
raster are not: of these, only formats that hold their own pixels are opened, at local paths or at
public addresses of the web and of object stores.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from rsretrieve._core.paths import Location
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

TRUST_HINT = "give --trust-sources if you trust who named it"
_REMOTE = {"http": "curl", "https": "curl", "s3": "s3", "gs": "gs", "az": "az"}
"""Schemes of public addresses, and GDAL's file systems for them."""
_ASKS_A_NETWORK = re.compile(r"/vsi(curl|s3|gs|az|adls|oss|swift|webhdfs|hdfs)|[a-z0-9+]+://", re.I)
_CONFINED_SUFFIXES, _CONFINED_START = (".img",), b"EHFA_HEADER_TAG"
_MAX_FILES = 2000
"""Up to this many files outside the folders that the user typed are allowed one by one; if there
are more, their folders are allowed."""


def is_trusted(tile: Tile) -> bool:
    """Whether a tile, and the files that it names, are opened with all drivers of GDAL.

    Raises:
        OSError: no such file.
    """
    if tile.trust is Trust.TRUSTED:
        return True
    if tile.location.stack:
        return False  # its files were found by their names, or named by an item
    if not tile.location.is_local:
        return tile.trust is Trust.NAMED
    return tile.trust is Trust.NAMED and not holds_its_pixels(Path(tile.path))


@dataclass(frozen=True)
class Readable:
    """What the processes that decode a set of tiles may read.

    Attributes:
        paths: files, and folders with all their content; links are resolved.
    """

    paths: tuple[str, ...]

    @classmethod
    def of(cls, tiles: Iterable[Tile], folders: Sequence[str | Path] = ()) -> Readable:
        """What is needed for some tiles, most of which are in a few folders.

        Args:
            tiles: the tiles; only local ones count.
            folders: the folders that the user typed.
        """
        typed = tuple(dict.fromkeys(os.path.realpath(folder) for folder in folders))
        files: dict[str, list[str]] = {}
        paths = dict.fromkeys(tile.path for tile in tiles)  # a scene may have a million windows
        local = (where for where in map(Location.parse, paths) if where.is_local)
        for path in dict.fromkeys(file for location in local for file in location.files):
            if _may_be_a_path(path):
                folder, name = os.path.split(path)
                files.setdefault(folder, []).append(name)
        outside = _outside(files, typed)
        if sum(map(len, outside.values())) > _MAX_FILES:
            return cls((*typed, *outside))
        return cls((*typed, *dict.fromkeys(_with_companions(outside))))


def _may_be_a_path(path: str) -> bool:
    """Whether the system accepts a name; reading a tile with another one reports the error."""
    try:
        return b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        return False


def _outside(files: dict[str, list[str]], typed: tuple[str, ...]) -> dict[str, list[str]]:
    """The names of files outside the typed folders, by their resolved folders."""
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
    """Files, and the sidecars that GDAL may read with them: files with the same stem."""
    for folder, names in files.items():
        stems = {_stem(name) for name in names}
        with suppress(OSError):
            beside = sorted(name for name in os.listdir(folder) if _stem(name) in stems)
            paths = (os.path.join(folder, name) for name in beside)  # noqa: PTH118
            # A link that leads elsewhere would allow what the user did not name.
            yield from (path for path in paths if _is_here(path, folder))


def _is_here(path: str, folder: str) -> bool:
    here = os.path.dirname(os.path.realpath(path)) == folder  # noqa: PTH120
    return here and os.path.isfile(path)  # noqa: PTH113


def _stem(name: str) -> str:
    """The part of a name that sidecars share; a file such as `.netrc` has one of its own."""
    bare = name.lstrip(".")
    return (name[: len(name) - len(bare)] + bare.partition(".")[0]).lower()


def policy_for(tile: Tile, readable: Readable) -> Policy:
    """The policy of the process that reads a tile.

    Args:
        tile: the tile.
        readable: the local paths that may be read.

    Raises:
        TileError: the tile is not trusted, and its path is neither local nor a public address.
    """
    if tile.trust is Trust.TRUSTED:
        return Policy(None, ("/",), network=True)
    if not tile.location.is_local:
        if tile.trust is Trust.NAMED and not tile.location.stack:
            return Policy(None, ("/",), network=_ASKS_A_NETWORK.search(tile.path) is not None)
        return _of_remote(tile)
    with suppress(OSError):  # reading it reports the error
        if is_trusted(tile):
            return Policy(None, ("/",))
    if trusted():
        return Policy((*for_files(), *CONFINED_ONLY), ("/",), network=True)
    if _is_confined_only(tile) and enforced().reading_confined:
        return Policy((*for_files(), *CONFINED_ONLY), readable.paths)
    return Policy(tuple(for_files()), readable.paths)


def _is_confined_only(tile: Tile) -> bool:
    if any(file.lower().endswith(_CONFINED_SUFFIXES) for file in tile.location.files):
        return True
    if tile.trust is Trust.STRANGER:
        return False  # to open every tile of a folder would take too long
    with suppress(OSError), open(tile.path, "rb") as stream:  # noqa: PTH123
        return stream.read(len(_CONFINED_START)) == _CONFINED_START
    return False


def _of_remote(tile: Tile) -> Policy:
    """The policy for an untrusted tile at a public address."""
    for path in tile.location.files:
        scheme = path.partition(":")[0].lower()
        if scheme not in _REMOTE or "/vsi" in path.lower():
            raise TileError(tile.id, f"its path {path} is not a plain path: {TRUST_HINT}")
        if reason := why_refused(path):
            raise TileError(tile.id, f"{reason}: {TRUST_HINT}")
    proxy = guard_address()
    ports = (int(proxy.rpartition(":")[2]),) if proxy else ()
    return Policy(tuple(for_files()), (), network=True, ports=ports, proxy=proxy)


def gdal_name_of(url: str) -> str:
    """GDAL's name for a public address, by which it opens the file in no other way.

    >>> gdal_name_of("s3://bucket/a.tif"), gdal_name_of("https://a.org/b.tif")
    ('/vsis3/bucket/a.tif', '/vsicurl/https://a.org/b.tif')
    """
    scheme, _, rest = url.partition("://")
    kind = _REMOTE[scheme.lower()]
    return f"/vsicurl/{url}" if kind == "curl" else f"/vsi{kind}/{rest}"


def hosts_of(tiles: Iterable[Tile]) -> tuple[str, ...]:
    """The hosts from which untrusted tiles are fetched, sorted."""
    strange = {tile.path for tile in tiles if tile.trust is Trust.STRANGER and "://" in tile.path}
    paths = {file for path in strange for file in Location.parse(path).files}
    known = {path for path in paths if path.partition(":")[0].lower() in _REMOTE}
    return tuple(sorted(set(map(_host, known)) - {""}))


def _host(url: str) -> str:
    """Host and port of a URL; empty for one that is invalid, whose tile fails when it is read."""
    try:
        return urlsplit(url).netloc.rpartition("@")[2]
    except ValueError:
        return ""
