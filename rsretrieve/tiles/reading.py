"""Read tiles ahead by threads, in order, in bounded memory."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Generic, TypeVar

from rsretrieve.errors import TileError
from rsretrieve.tiles.failures import Failed
from rsretrieve.tiles.pixels import read_raw
from rsretrieve.tiles.rasters import OpenRasters
from rsretrieve.tiles.raw import RawTile, require_measurement
from rsretrieve.tiles.records import Tile, TileSet
from rsretrieve.tiles.sweeps import in_sweeps
from rsretrieve.tiles.window_reading import read_windows
from rsretrieve.tiles.windows import WindowChoices

T = TypeVar("T")


@dataclass(frozen=True)
class Read(Generic[T]):
    """A tile that was read, and what was made of it."""

    tile: Tile
    content: T


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
    raws = [_read_whole(run[0])] if run[0].window is None else read_windows(rasters, run)
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
