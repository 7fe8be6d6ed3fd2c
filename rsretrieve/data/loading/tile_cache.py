"""Tiles at working size, kept on disk from one command to the next.

To decode a tile takes as long as to embed it, and `train`, `index` and `audit-labels` read the
same tiles. The cache's files are never changed: they are written under a temporary name and
renamed, and removed, the least recently used first, when their total size exceeds a limit. Any
number of processes may share them. The key of a tile is a digest of its file's path, size and
times. A checksum is verified before use; a damaged copy is ignored, and the tile is read again.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import asdict
from functools import lru_cache
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rsretrieve._core.atomic_write import sha256_of_json
from rsretrieve.data.access import is_trusted
from rsretrieve.data.dates.acquisition_time import AcquisitionTime
from rsretrieve.data.gdal_drivers import trusted
from rsretrieve.data.geo.place import Place
from rsretrieve.data.loading.cache_folder import CacheFolder, discard
from rsretrieve.data.loading.cache_pack import (
    KEY_BYTES,
    KeptTiles,
    Waiting,
    as_file,
    as_json,
    write_aside,
)
from rsretrieve.data.notes import Note
from rsretrieve.data.preprocessing.preprocessing import Preprocessing
from rsretrieve.data.reading.sidecars import sidecars_of
from rsretrieve.data.tile import Tile, TileSet

FEWEST_TILES = 64
"""For fewer tiles the cache is not used: opening its files would not pay."""

_READER_VERSION = 5  # to be raised when reading or resizing gives other pixels than before
FILE_BYTES = 42 << 20  # of pixels in a file, and so in memory until they are written
SETTLED_NS = 2_000_000_000
Pixels = NDArray[Any]


class KeptTile(NamedTuple):
    """A tile in the cache: its pixels (C, S, S), its place, its time, and the notes about it."""

    pixels: Pixels
    place: Place | None
    taken: AcquisitionTime | None
    notes: tuple[Note, ...]


class PixelCache:
    """The cached tiles of one preprocessing.

    Args:
        folder: the cache folder.
        preprocessing: how the tiles were preprocessed.
        tiles: the set that is to be read.
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
        except (OSError, ValueError):  # removed meanwhile, or damaged
            discard(path)
            return
        self._found |= {key: (kept, row) for row, key in enumerate(kept.keys())}

    def __contains__(self, key: bytes | None) -> bool:
        return key in self._found

    def get(self, key: bytes | None) -> KeptTile | None:
        """A tile's pixels, (C, S, S), and more; None if they are not cached or damaged."""
        if key is None or key not in self._found:
            return None
        kept, row = self._found[key]
        try:
            pixels, about = kept.tile(row)
        except (OSError, ValueError):
            discard(kept.path)
            return None
        self._note_use(kept.path)
        return KeptTile(np.frombuffer(pixels, self._dtype).reshape(self._shape), *about)

    def _note_use(self, path: Path) -> None:
        """Mark a file as recently used, when a tile of it is used for the first time."""
        if path not in self._used:
            self._used.add(path)
            with suppress(OSError):  # a read-only cache works, too
                os.utime(path)

    def put(self, key: bytes | None, tile: KeptTile) -> None:
        """Add a tile; it is found by the next `PixelCache`."""
        if key is None:
            return
        about = as_json(*tile[1:])
        self._waiting.append((key, tile.pixels.tobytes(), about))
        if len(self._waiting) * self._tile_bytes >= FILE_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write the added tiles; on an error of the disk they are dropped."""
        waiting, self._waiting = self._waiting, []
        if waiting:
            with suppress(OSError):
                content = as_file(waiting, self._tile_bytes)
                self._all.make_room(len(content))
                self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                write_aside(self._folder, content)


def open_cache(preprocessing: Preprocessing, tiles: TileSet) -> PixelCache | None:
    """The cache for these tiles; None for few tiles, or more than fit.

    None, too, if the user trusts files that name others: changes of those would go unnoticed.
    """
    folder = CacheFolder.of_environment()
    channels = len(preprocessing.bands)
    tile_bytes = channels * preprocessing.size_px**2 * np.dtype(preprocessing.dtype).itemsize
    fits = len(tiles) * tile_bytes <= folder.limit_bytes
    if len(tiles) < FEWEST_TILES or not fits or trusted():
        return None
    return PixelCache(folder, preprocessing, tiles)


def key_of(tile: Tile) -> bytes | None:
    """A digest of all that a tile's pixels depend on; None where a change could go unnoticed."""
    if not tile.location.is_local or tile.location.stack:
        return None
    path = tile.path  # as text: a `Path` each would double the time
    states = [(path, _state(path)), *((other, _state(other)) for other in _beside(path))]
    latest = max((max(state[1:3]) for _, state in states if state), default=0)
    if states[0][1] is None or _names_others(tile):
        return None
    # A new file could change again within one tick of the file system's clock.
    if time.time_ns() - latest < SETTLED_NS:
        return None
    said = os.path.abspath(path), states, tile.window  # noqa: PTH100
    return blake2b(repr(said).encode(), digest_size=KEY_BYTES).digest()


def _beside(path: str) -> list[str]:
    stem, suffix = os.path.splitext(path)  # noqa: PTH122
    of_imagine = [stem + end for end in (".ige", ".rde", ".rrd")] if suffix == ".img" else []
    try:
        return [*sidecars_of(path), *of_imagine]
    except OSError:  # the folder was removed since
        return []


def _names_others(tile: Tile) -> bool:
    try:
        return is_trusted(tile)
    except OSError:  # removed since
        return True


def _state(path: str) -> tuple[int, int, int, int] | None:
    """Size, times and inode: they change when a file is written; None if there is no file."""
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
    return sha256_of_json([_READER_VERSION, _decoders(), preprocessing.to_json(), windows])
