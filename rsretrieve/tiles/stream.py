"""Stream tiles from disk: read ahead by threads, in order, in bounded memory."""

from __future__ import annotations

import os
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from rsretrieve.errors import TileError
from rsretrieve.tiles.pixels import read_raw
from rsretrieve.tiles.preprocessing import Preprocessing
from rsretrieve.tiles.rasters import OpenRasters
from rsretrieve.tiles.raw import RawTile, require_measurement
from rsretrieve.tiles.records import Failure, Place, Tile, TileSet
from rsretrieve.tiles.sweeps import in_sweeps
from rsretrieve.tiles.window_reading import read_windows
from rsretrieve.tiles.windows import WindowChoices

T = TypeVar("T")
Progress = Callable[[int], None]
"""Called with how many tiles were dealt with since the last call."""


@dataclass(frozen=True)
class Read(Generic[T]):
    """A tile that was read, and what was made of it."""

    tile: Tile
    content: T


@dataclass(frozen=True)
class Failed:
    """A tile that could not be used, and why.

    Attributes:
        tile: the tile.
        reason: why.
        skipped: it was to be passed over if it is like this (a window with too much
            nodata), which is nobody's failure.
    """

    tile: Tile
    reason: str
    skipped: bool = False


@dataclass(frozen=True)
class Batch:
    """Preprocessed tiles.

    Attributes:
        tiles: B tiles.
        places: where each lies, or None.
        pixels: (B, C, S, S) in the tiles' own type and units.
    """

    tiles: list[Tile]
    places: list[Place | None]
    pixels: NDArray[Any]


class FailureLog:
    """Collects the tiles that failed; when strict, the first one ends the run.

    Attributes:
        strict: the first failure ends the run.
        failures: what failed, and why.
        skipped: how many windows were passed over for their nodata.
    """

    def __init__(self, *, strict: bool = False) -> None:
        self.strict = strict
        self.failures: list[Failure] = []
        self.skipped = 0

    @property
    def notices(self) -> tuple[str, ...]:
        """What the user should know beside the failures."""
        if not self.skipped:
            return ()
        return (f"{self.skipped} windows have more nodata than --max-nodata allows: skipped",)

    def add(self, failed: Failed) -> None:
        """Note a failure, or count a tile that was skipped.

        Raises:
            TileError: when strict, and it is a failure.
        """
        if failed.skipped:
            self.skipped += 1
            return
        if self.strict:
            raise TileError(failed.tile.id, failed.reason)
        self.failures.append(Failure(failed.tile.id, failed.reason))


def read_in_order(
    tiles: TileSet, make: Callable[[str, RawTile], T], workers: int | None = None
) -> Iterator[Read[T] | Failed]:
    """Read tiles by several threads and yield them in their order.

    Windows of one scene that follow one another are read together.

    Args:
        tiles: the tiles.
        make: what to make of a raw tile, given its id; runs in the threads.
        workers: how many threads; by default one a core. A few tiles for each, or a run of
            windows for each, are read ahead, never more.
    """
    workers = workers or os.cpu_count() or 1
    pending: deque[tuple[int, Future[list[Read[T] | Failed]]]] = deque()
    rasters = OpenRasters()
    with closing(rasters), ThreadPoolExecutor(workers, thread_name_prefix="tiles") as pool:
        try:
            for run in in_sweeps(tiles):
                work = pool.submit(_read_run, run, make, tiles.windows, rasters)
                pending.append((len(run), work))
                while _enough(pending, workers):
                    yield from pending.popleft()[1].result()
            while pending:
                yield from pending.popleft()[1].result()
        finally:
            for _, future in pending:
                future.cancel()


def _enough(pending: deque[tuple[int, Future[list[Read[T] | Failed]]]], workers: int) -> bool:
    """Whether enough is read ahead to keep every worker busy."""
    return len(pending) > workers and sum(count for count, _ in pending) >= 8 * workers


def _read_run(
    run: list[Tile],
    make: Callable[[str, RawTile], T],
    windows: WindowChoices | None,
    rasters: OpenRasters,
) -> list[Read[T] | Failed]:
    if run[0].window is None:
        raws = [_read_whole(run[0])]
    else:
        raws = read_windows(rasters, run)
    return [_made(tile, raw, make, windows) for tile, raw in zip(run, raws)]


def _read_whole(tile: Tile) -> RawTile | TileError:
    try:
        return read_raw(tile)
    except TileError as error:
        return error


def _made(
    tile: Tile,
    raw: RawTile | TileError,
    make: Callable[[str, RawTile], T],
    windows: WindowChoices | None,
) -> Read[T] | Failed:
    try:
        if isinstance(raw, TileError):
            raise raw
        if windows is not None and windows.skip(raw):
            return Failed(tile, "too much of it is nodata", skipped=True)
        return Read(tile, make(tile.id, require_measurement(tile.id, raw)))
    except TileError as error:
        return Failed(tile, error.reason)


def stream_batches(
    tiles: TileSet,
    preprocessing: Preprocessing,
    batch_size: int,
    log: FailureLog,
    progress: Progress = lambda _: None,
) -> Iterator[Batch]:
    """Preprocess tiles and yield them in batches, in order; failures go to `log`."""

    def make(tile_id: str, raw: RawTile) -> tuple[NDArray[Any], Place | None]:
        return preprocessing.apply(tile_id, raw), raw.place

    waiting: list[Read[tuple[NDArray[Any], Place | None]]] = []
    for read in read_in_order(tiles, make):
        if isinstance(read, Failed):
            log.add(read)
            progress(1)
            continue
        waiting.append(read)
        if len(waiting) == batch_size:
            yield _as_batch(waiting)
            progress(len(waiting))
            waiting.clear()
    if waiting:
        yield _as_batch(waiting)
        progress(len(waiting))


def _as_batch(reads: list[Read[tuple[NDArray[Any], Place | None]]]) -> Batch:
    return Batch(
        tiles=[read.tile for read in reads],
        places=[read.content[1] for read in reads],
        pixels=np.stack([read.content[0] for read in reads]),
    )


@dataclass(frozen=True)
class PixelStore:
    """Every tile of a set, decoded once and kept at working size.

    Attributes:
        tiles: the N tiles that could be read; it may be none.
        pixels: (N, C, S, S) in the tiles' own type; in memory, or memory-mapped from a
            temporary file that vanishes with the process when they are too many.
    """

    tiles: TileSet
    pixels: NDArray[Any]


def read_into_store(
    tiles: TileSet,
    preprocessing: Preprocessing,
    log: FailureLog,
    progress: Progress = lambda _: None,
) -> PixelStore:
    """Read all tiles once, to be passed over many times.

    Raises:
        TileError: one cannot be read, and `log` is strict.
    """
    side = preprocessing.size_px
    shape = (len(tiles), len(preprocessing.bands), side, side)
    pixels = _room_for(shape, np.dtype(preprocessing.dtype))
    kept: list[Tile] = []
    for batch in stream_batches(tiles, preprocessing, 64, log, progress):
        pixels[len(kept) : len(kept) + len(batch.tiles)] = batch.pixels
        kept.extend(batch.tiles)
    return PixelStore(TileSet(tiles.source, tuple(kept)), pixels[: len(kept)])


def _room_for(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    size_bytes = int(np.prod(shape)) * dtype.itemsize
    if size_bytes <= _free_memory_bytes() // 2:
        return np.empty(shape, dtype)
    with tempfile.NamedTemporaryFile(prefix="rsretrieve-pixels-") as file:
        _reserve(file.fileno(), size_bytes, file.name)
        # The mapping keeps the content alive after the name is gone (not on Windows,
        # where the delete waits for the mapping).
        return np.memmap(file, dtype=dtype, mode="w+", shape=shape)


def _reserve(descriptor: int, size_bytes: int, name: str) -> None:
    """Take the room on the disk now: a mapping of a file that has none kills the process."""
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(descriptor, 0, size_bytes)
        except OSError as error:
            raise OSError(error.errno, error.strerror, name) from error


def _free_memory_bytes() -> int:
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 4 << 30  # a system that does not tell
