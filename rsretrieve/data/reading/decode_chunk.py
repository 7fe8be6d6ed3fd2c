"""What a worker does with a chunk of tiles: read each, and process its pixels."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

from rsretrieve.data.dates.acquisition_time import AcquisitionTime
from rsretrieve.data.geo.place import Place
from rsretrieve.data.pixels.expected import ANYTHING, Expected
from rsretrieve.data.pixels.packing import Packing
from rsretrieve.data.reading.open_rasters import OpenRasters
from rsretrieve.data.reading.raster_reader import read_windows
from rsretrieve.data.reading.raw_tile import (
    RawTile,
    in_packing,
    require_measurement,
    too_much_memory,
)
from rsretrieve.data.reading.scene_facts import read_headers
from rsretrieve.data.tile import Tile
from rsretrieve.data.windowing import WindowChoices
from rsretrieve.data.workers.limits import tile_limits
from rsretrieve.data.workers.process import note_progress
from rsretrieve.errors import TileError

T = TypeVar("T")
Process = Callable[[str, RawTile], T]
"""Makes the content of a read tile, from its id and its pixels."""

Chunk = list[list[Tile]]
"""Tiles that are requested at once, as runs. A run is one tile, or several windows of one scene."""

Reply = tuple[T, tuple[str, ...]]
"""The content of a tile, and the names of the notes about it."""

Header = tuple[Packing | None, Place | None, AcquisitionTime | None]
"""What a tile's file declares without its pixels: scale and offset, place and time of the tile."""

_RUN_BYTES = 4_000_000  # of a scene's file; `allow_values` adds time when its blocks are known
_RASTERS = OpenRasters()  # used in a worker


@dataclass(frozen=True)
class ReadFailure:
    """A worker's reply for a tile that could not be used.

    It is not a `Failure`: a worker decodes untrusted files, so it may not name tiles. The
    main process knows which tile it requested, and makes the `Failure`.

    Attributes:
        reason, skipped: as in `Failure`.
    """

    reason: str
    skipped: bool = False


@dataclass(frozen=True)
class ChunkDecoder(Generic[T]):
    """Decodes chunks, in a worker; it is pickled to get there.

    Attributes:
        process: called with every tile.
        windows: how scenes were cut, or None.
        jpeg_px, expected: see `read_in_order`.
    """

    process: Process[T]
    windows: WindowChoices | None
    jpeg_px: int | None
    expected: Expected = ANYTHING

    def __call__(self, chunk: Chunk) -> list[Reply[T] | ReadFailure]:
        """One result a tile, in order; the tiles themselves are not sent back."""
        results: list[Reply[T] | ReadFailure] = []
        for position, run in enumerate(chunk):
            note_progress(position)
            with tile_limits(_bytes_of(run[0])):
                results += self._decode_run(run)
        return results

    def _decode_run(self, run: list[Tile]) -> Iterator[Reply[T] | ReadFailure]:
        is_whole = run[0].window is None
        raws = map(self._read_whole, run) if is_whole else self._read_windows(run)
        return (self._processed(tile, raw) for tile, raw in zip(run, raws))

    def _read_whole(self, tile: Tile) -> RawTile | TileError:
        from rsretrieve.data.reading.pillow_reader import read_raw  # Pillow: not for scenes

        try:
            return read_raw(tile, self.jpeg_px, self.expected)
        except TileError as error:
            return error

    def _read_windows(self, run: list[Tile]) -> list[RawTile | TileError]:
        if len(run) == 1 and self.jpeg_px is not None:
            from rsretrieve.data.reading.pillow_reader import read_reduced

            with suppress(TileError):  # reading it as a window reports the error
                if raw := read_reduced(run[0], self.jpeg_px, self.expected):
                    return [raw]
        return read_windows(_RASTERS, run, self.expected)

    def _processed(self, tile: Tile, raw: RawTile | TileError) -> Reply[T] | ReadFailure:
        try:
            if isinstance(raw, TileError):
                raise raw
            if self.windows is not None and self.windows.skips(raw.nodata_share):
                return ReadFailure("too much of it is nodata", skipped=True)
            raw = in_packing(tile.id, require_measurement(tile.id, raw), self.expected)
            notes = tuple(note.value for note in raw.notes) if raw.notes else ()
            return self.process(tile.id, raw), notes
        except TileError as error:
            return ReadFailure(error.reason)
        except MemoryError:
            return ReadFailure(too_much_memory())


@dataclass(frozen=True)
class HeaderDecoder:
    """Reads the headers of chunks, in a worker.

    Attributes:
        expected: see `read_in_order`.
    """

    expected: Expected = ANYTHING

    def __call__(self, chunk: Chunk) -> list[Reply[Header] | ReadFailure]:
        """One result a tile, in order."""
        results: list[Reply[Header] | ReadFailure] = []
        for position, run in enumerate(chunk):
            note_progress(position)
            with tile_limits(min(_bytes_of(run[0]), _RUN_BYTES)):
                results += self._headers(run)
        return results

    def _headers(self, run: list[Tile]) -> list[Reply[Header] | ReadFailure]:
        try:
            packing, placings, taken = read_headers(_RASTERS, run, self.expected)
        except TileError as error:
            return [ReadFailure(error.reason)] * len(run)
        return [
            (
                (packing, placed.place, taken),
                () if placed.remark is None else (placed.remark.value,),
            )
            for placed in placings
        ]


def close_rasters(_: None) -> None:
    """Close what the worker keeps open."""
    _RASTERS.close()


def _bytes_of(tile: Tile) -> int:
    """The size of a tile's file; for a window, what one run of windows may read of it."""
    try:
        size = sum(os.stat(file).st_size for file in tile.location.files)  # noqa: PTH116
    except (OSError, ValueError):
        size = _RUN_BYTES
    return size if tile.window is None else min(size, _RUN_BYTES)
