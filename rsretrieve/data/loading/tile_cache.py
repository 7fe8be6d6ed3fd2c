"""Tiles at working size, kept on disk from one command to the next.

To decode a tile takes as long as to embed it. What training read, `index` and `audit-labels`
read again, and the next training, too. They find it in files that are never changed: written
aside, renamed, and removed whole, the least lately used first, when all together outgrow a limit.
So any number of processes may share them. A tile is found by a digest of its file's path, size
and times, and checked by a sum before it is used: what is damaged is read anew.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from dataclasses import asdict
from functools import lru_cache
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsretrieve._core.atomic_write import sha256_of_json
from rsretrieve.data.access import is_trusted
from rsretrieve.data.gdal_drivers import trusted
from rsretrieve.data.geo.place import Place
from rsretrieve.data.loading.cache_folder import CacheFolder, discard
from rsretrieve.data.loading.cache_pack import KEY_BYTES, KeptTiles, Waiting, as_file, write_aside
from rsretrieve.data.preprocessing.preprocessing import Preprocessing
from rsretrieve.data.tile import Tile, TileSet

FEWEST_TILES = 64
"""For fewer it is not worth looking into the files."""

_OF_READING = 1  # to be raised when reading or resizing gives other pixels than before
_FILE_BYTES = 32 << 20  # of pixels in a file, and so in memory until they are written
_SETTLED_NS = 2_000_000_000
_WITHOUT_COMPANIONS = (".jpg", ".jpeg", ".png", ".gif", ".bmp")
Pixels = NDArray[Any]


class PixelCache:
    """The tiles that were preprocessed in one way.

    Args:
        folder: where all are kept.
        preprocessing: the way.
        tiles: those that it is opened for.
    """

    def __init__(self, folder: CacheFolder, preprocessing: Preprocessing, tiles: TileSet) -> None:
        self._all, self._folder = folder, folder.path / _digest(preprocessing, tiles)[:32]
        side = preprocessing.size_px
        self._shape = (len(preprocessing.bands), side, side)
        self._dtype = np.dtype(preprocessing.dtype)
        self._tile_bytes = int(np.prod(self._shape)) * self._dtype.itemsize
        self._found: dict[bytes, tuple[KeptTiles, int]] = {}
        self._waiting: list[Waiting] = []
        self._used: set[Path] = set()
        for path in self._folder.glob("*.tiles"):
            self._open(path)

    def _open(self, path: Path) -> None:
        try:
            kept = KeptTiles.read(path, self._tile_bytes)
        except (OSError, ValueError):  # gone meanwhile, or damaged
            discard(path)
            return
        self._found |= {key: (kept, row) for row, key in enumerate(kept.keys())}

    def __contains__(self, key: bytes | None) -> bool:
        return key in self._found

    def get(self, key: bytes | None) -> tuple[Pixels, Place | None] | None:
        """A tile's pixels, (C, S, S), and where it lies; None where they are not here, whole."""
        if key is None or key not in self._found:
            return None
        kept, row = self._found[key]
        try:
            pixels, place = kept.tile(row)
        except (OSError, ValueError):
            discard(kept.path)
            return None
        self._note_use(kept.path)
        return np.frombuffer(pixels, self._dtype).reshape(self._shape), place

    def _note_use(self, path: Path) -> None:
        """Let a file be the last that has to go: once, when a tile of it is first used."""
        if path not in self._used:
            self._used.add(path)
            with suppress(OSError):  # a cache that may only be read is as good
                os.utime(path)

    def put(self, key: bytes | None, pixels: Pixels, place: Place | None) -> None:
        """Keep a tile, from the next `PixelCache` on."""
        if key is None:
            return
        about = b"" if place is None else json.dumps(asdict(place)).encode()
        self._waiting.append((key, pixels.tobytes(), about))
        if len(self._waiting) * self._tile_bytes >= _FILE_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what waits; where that cannot be done, it is not kept."""
        waiting, self._waiting = self._waiting, []
        if waiting:
            with suppress(OSError):
                content = as_file(waiting, self._tile_bytes)
                self._all.make_room(len(content))
                self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                write_aside(self._folder, content)


def open_cache(preprocessing: Preprocessing, tiles: TileSet) -> PixelCache | None:
    """The cache for these tiles; None where it would not pay, or they do not all fit in.

    And where the user trusts files that name others: nobody would see those change.
    """
    folder = CacheFolder.of_environment()
    channels = len(preprocessing.bands)
    tile_bytes = channels * preprocessing.size_px**2 * np.dtype(preprocessing.dtype).itemsize
    fits = len(tiles) * tile_bytes <= folder.limit_bytes
    if len(tiles) < FEWEST_TILES or not fits or trusted():
        return None
    return PixelCache(folder, preprocessing, tiles)


def key_of(tile: Tile) -> bytes | None:
    """What a tile's pixels hang on; None where nobody could see them change."""
    if not tile.location.is_local:
        return None
    path = tile.path  # as text: a `Path` for each takes as long as all the rest
    alone = path.lower().endswith(_WITHOUT_COMPANIONS)
    states = [_state(path), *(_state(other) for other in (() if alone else _companions(path)))]
    latest = max((max(state[1:3]) for state in states if state), default=0)
    if states[0] is None or _names_others(tile):
        return None
    # What is new could change again within one tick of its file system's clock.
    if time.time_ns() - latest < _SETTLED_NS:
        return None
    said = os.path.abspath(path), states, tile.window  # noqa: PTH100
    return blake2b(repr(said).encode(), digest_size=KEY_BYTES).digest()


def _names_others(tile: Tile) -> bool:
    try:
        return is_trusted(tile)
    except OSError:  # gone since
        return True


def _companions(path: str) -> list[str]:
    """The files beside a raster that GDAL reads with it."""
    stem = os.path.splitext(path)[0]  # noqa: PTH122
    beside = [stem + ending for ending in (".hdr", ".tfw", ".wld", ".prj")]
    return beside + [path + ending for ending in (".aux.xml", ".ovr", ".msk")]


def _state(path: str) -> tuple[int, int, int, int] | None:
    """What changes when somebody writes to a file; None where there is none."""
    try:
        status = os.stat(path)  # noqa: PTH116
    except (OSError, ValueError):
        return None
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


@lru_cache(maxsize=1)
def _decoders() -> list[str]:
    return [version("pillow"), version("rasterio")]


def _digest(preprocessing: Preprocessing, tiles: TileSet) -> str:
    windows = None if tiles.windows is None else asdict(tiles.windows)
    return sha256_of_json([_OF_READING, _decoders(), preprocessing.to_json(), windows])
