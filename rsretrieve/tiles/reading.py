"""Read tiles ahead in processes of their own, in order, in bounded memory."""

from __future__ import annotations

import os
import zlib
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Generic, TypeVar

from rsretrieve.errors import TileError
from rsretrieve.tiles.failures import Failed
from rsretrieve.tiles.pixels import read_raw
from rsretrieve.tiles.rasters import OpenRasters
from rsretrieve.tiles.raw import RawTile, needs_too_much, require_measurement
from rsretrieve.tiles.records import Tile, TileSet
from rsretrieve.tiles.sources import TIME_LIMIT_S, is_elsewhere, time_limit_s
from rsretrieve.tiles.sweeps import in_sweeps
from rsretrieve.tiles.window_reading import read_windows
from rsretrieve.tiles.windows import WindowChoices
from rsretrieve.tiles.workers import Lane, WorkerLost

T = TypeVar("T")
Make = Callable[[str, RawTile], T]

_CHUNK = 8  # tiles asked for at once
_LOSSES = 3  # of workers over one file, until all that is left of it is given up
_RASTERS = OpenRasters()  # used in a worker


@dataclass(frozen=True)
class Read(Generic[T]):
    """A tile that was read, and what was made of it."""

    tile: Tile
    content: T


def read_in_order(
    tiles: TileSet, make: Make[T], workers: int | None = None
) -> Iterator[Read[T] | Failed]:
    """Read tiles in several processes and yield them in their order.

    Windows of one scene that follow one another are read together. A tile over which a
    process crashes, or takes too long, is a failure like any other.

    Args:
        tiles: the tiles.
        make: what to make of a raw tile, given its id; it runs in the processes, and gets
            there, as what it makes gets here, by a pickle.
        workers: how many processes; by default one a core. A few tiles for each, or a run of
            windows for each, are read ahead, never more.
    """
    workers = workers or max(1, min(_cores(), len(tiles) // 4))
    pending: deque[tuple[int, Future[list[Read[T] | Failed]]]] = deque()
    lanes = [Lane() for _ in range(workers)]
    reader = _Reader(_Reading(make, tiles.windows))
    try:
        for number, chunk in enumerate(_in_chunks(tiles, workers)):
            lane = lanes[_lane_number(number, chunk[0][0].path) % workers]
            work = lane.thread.submit(reader.read, lane, chunk)
            pending.append((sum(map(len, chunk)), work))
            while _enough(pending, workers):
                yield from pending.popleft()[1].result()
        while pending:
            yield from pending.popleft()[1].result()
        for lane in lanes:
            lane.thread.submit(reader.finish, lane).result()
    finally:
        for lane in lanes:
            lane.stop()


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _in_chunks(tiles: TileSet, workers: int) -> Iterator[list[list[Tile]]]:
    """Runs that are asked for at once: several of a tile each, or one of windows."""
    size = max(1, min(_CHUNK, len(tiles) // (2 * workers)))
    chunk: list[list[Tile]] = []
    for run in in_sweeps(tiles):
        alone = run[0].window is not None or is_elsewhere(run[0].path)
        if chunk and (alone or len(chunk) == size):
            yield chunk
            chunk = []
        if alone:
            yield [run]
        else:
            chunk.append(run)
    if chunk:
        yield chunk


def _lane_number(number: int, path: str) -> int:
    """Lanes take turns; but a file elsewhere has its own, which keeps what it fetched of it."""
    return zlib.crc32(os.fsencode(path)) if is_elsewhere(path) else number


def _enough(pending: deque[tuple[int, Future[list[Read[T] | Failed]]]], workers: int) -> bool:
    """Whether enough is read ahead to keep every worker busy."""
    return len(pending) > workers and sum(count for count, _ in pending) >= 8 * workers


@dataclass(frozen=True)
class _Reading(Generic[T]):
    """What a worker does with a chunk of runs, over there."""

    make: Make[T]
    windows: WindowChoices | None

    def __call__(self, chunk: list[list[Tile]]) -> list[Read[T] | Failed]:
        return [read for run in chunk for read in self._of_run(run)]

    def _of_run(self, run: list[Tile]) -> Iterator[Read[T] | Failed]:
        whole = run[0].window is None
        raws = map(_read_whole, run) if whole else read_windows(_RASTERS, run)
        return (_made(tile, raw, self.make, self.windows) for tile, raw in zip(run, raws))


class _Reader(Generic[T]):
    """Asks workers for tiles, and finds out which tile it was when one is lost.

    Args:
        reading: what workers do.
    """

    def __init__(self, reading: _Reading[T]) -> None:
        self._reading = reading
        self._losses: Counter[str] = Counter()

    def read(self, lane: Lane, chunk: list[list[Tile]]) -> list[Read[T] | Failed]:
        """Read a chunk, whatever happens to workers over it."""
        path = chunk[0][0].path
        if len(chunk) == 1 and self._losses[path] >= _LOSSES:
            return _given_up(chunk, "was given up: decoders were lost over other parts of its file")
        try:
            return lane.ask(self._reading, chunk, time_limit_s(path))
        except WorkerLost as lost:
            smaller = _taken_apart(chunk)
            if len(smaller) == 1:
                self._losses[path] += 1
                return _given_up(chunk, lost.reason)
        return [read for part in smaller for read in self.read(lane, part)]

    def finish(self, lane: Lane) -> None:
        """Close what the lane's worker has open."""
        if lane.has_worker:
            lane.ask(_close_rasters, None, TIME_LIMIT_S)


def _given_up(chunk: list[list[Tile]], reason: str) -> list[Read[T] | Failed]:
    return [Failed(tile, reason) for run in chunk for tile in run]


def _taken_apart(chunk: list[list[Tile]]) -> list[list[list[Tile]]]:
    """A chunk's runs one by one, or its only run in two, or, where it is a tile, as it is."""
    if len(chunk) > 1:
        return [[run] for run in chunk]
    (run,) = chunk
    if len(run) > 1:
        return [[run[: len(run) // 2]], [run[len(run) // 2 :]]]
    return [chunk]


def _close_rasters(_: None) -> None:
    _RASTERS.close()


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
    except MemoryError:
        return Failed(tile, needs_too_much())
