"""Rasters that several tiles are read from, one after another, and by several threads."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock

from rsretrieve.data.pixels.expected import ANYTHING, Expected
from rsretrieve.data.reading.datasets import Raster, open_raster, raster_errors, reading_from
from rsretrieve.data.tile import Tile, Trust

_IDLE_RASTERS = 8


@dataclass
class _Opened:
    """A raster, and the number of its users, who take turns."""

    lock: Lock = field(default_factory=Lock)
    users: int = 0
    raster: Raster | None = None


class OpenRasters:
    """Rasters that stay open while tiles are streamed.

    GDAL's cache of blocks belongs to the dataset: if a scene were opened for every run of windows,
    the blocks that two runs share would be decoded twice.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._opened: OrderedDict[tuple[str, Trust, Expected], _Opened] = OrderedDict()

    @contextmanager
    def borrow(self, tile: Tile, expected: Expected = ANYTHING) -> Iterator[Raster]:
        """The raster of a tile, for this thread alone.

        Raises:
            TileError: as in `opened_raster`.
        """
        key = tile.path, tile.trust, expected
        with raster_errors(tile.id), reading_from(tile), self._in_use(key) as entry, entry.lock:
            if entry.raster is None:
                entry.raster = open_raster(tile, expected)
            yield entry.raster

    @contextmanager
    def _in_use(self, key: tuple[str, Trust, Expected]) -> Iterator[_Opened]:
        with self._lock:
            entry = self._opened.setdefault(key, _Opened())
            self._opened.move_to_end(key)
            entry.users += 1
        try:
            yield entry
        finally:
            with self._lock:
                entry.users -= 1
                self._close_idle(_IDLE_RASTERS)

    def close(self) -> None:
        """Close every raster that is not in use."""
        with self._lock:
            self._close_idle(0)

    def _close_idle(self, kept: int) -> None:
        for key, entry in list(self._opened.items()):
            if len(self._opened) <= kept:
                return
            if not entry.users:
                del self._opened[key]
                if entry.raster is not None:
                    entry.raster.close()
