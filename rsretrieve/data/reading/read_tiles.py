"""Read tiles ahead in processes of their own, in order, in bounded memory."""

from __future__ import annotations

import os
import zlib
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import groupby
from typing import Generic, TypeVar

from rsretrieve._core.paths import TIME_LIMIT_S
from rsretrieve.data.access import Readable, policy_for
from rsretrieve.data.failures import Failure
from rsretrieve.data.reading.datasets import OpenRasters
from rsretrieve.data.reading.raster_reader import read_windows
from rsretrieve.data.reading.raw_tile import RawTile, needs_too_much, require_measurement
from rsretrieve.data.reading.window_batches import in_sweeps
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.data.windowing import WindowChoices
from rsretrieve.data.workers.confinement import Policy
from rsretrieve.data.workers.limits import begin_tile, end_tile
from rsretrieve.data.workers.pool import Lane, WorkerLost
from rsretrieve.data.workers.process import note_progress
from rsretrieve.errors import TileError

T = TypeVar("T")
Make = Callable[[str, RawTile], T]

_CHUNK = 8  # tiles asked for at once
_A_TURN = 2  # runs of windows in a row for a worker: between workers, blocks are decoded twice
_WORTH_PX = 16 << 20  # of windows, which are read in the time in which a worker starts
_SWEEP_BYTES = 4_000_000  # of a scene's file: its blocks are counted when they are known
_LOSSES = 3  # of workers over one file, until all that is left of it is given up
_FAILURES = 2000  # of windows of a file of which none can be read, until the rest is given up
_RASTERS = OpenRasters()  # used in a worker


@dataclass(frozen=True)
class Read(Generic[T]):
    """A tile that was read, and what was made of it."""

    tile: Tile
    content: T


def read_in_order(
    tiles: TileSet, make: Make[T], workers: int | None = None, jpeg_px: int | None = None
) -> Iterator[Read[T] | Failure]:
    """Read tiles in several processes and yield them in their order.

    Windows of one scene that follow one another are read together. A tile over which a
    process crashes, or takes too long, is a failure like any other.

    Args:
        tiles: the tiles.
        make: what to make of a raw tile, given its id; it runs in the processes, and gets
            there, as what it makes gets here, by a pickle.
        workers: how many processes; by default one a core, as far as there is work for them.
            A few tiles for each, or a turn of windows for each, are read ahead, never more.
        jpeg_px: JPEG tiles may be decoded smaller than they are, each side to this at least.
    """
    workers = workers or max(1, min(_cores(), _worth(tiles)))
    pending: deque[_Pending[T]] = deque()
    lanes = [Lane() for _ in range(workers)]
    readable = Readable.of(tiles, tiles.folders)
    reader = _Reader(_Reading(make, tiles.windows, jpeg_px), readable)
    try:
        for number, chunk in enumerate(_in_chunks(tiles, workers)):
            first = chunk[0][0]
            lane = lanes[_lane_number(number, first) % workers]
            work = lane.thread.submit(reader.read, lane, chunk)
            turns = 1 if first.window is None else 1 / _A_TURN
            pending.append(_Pending(sum(map(len, chunk)), turns, work))
            while _enough(pending, workers):
                yield from pending.popleft().work.result()
        while pending:
            yield from pending.popleft().work.result()
        for lane in lanes:
            lane.thread.submit(reader.finish, lane).result()
    finally:
        for lane in lanes:
            lane.stop()


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _worth(tiles: TileSet) -> int:
    """How many workers have enough to do to be started."""
    windows = [tile.window for tile in tiles if tile.window and tile.location.is_local]
    area_px = sum(window.width * window.height for window in windows)
    return (len(tiles) - len(windows)) // 4 + -(-area_px // _WORTH_PX)


def _in_chunks(tiles: TileSet, workers: int) -> Iterator[list[list[Tile]]]:
    """Runs that are asked for at once: several of a tile each, or one of windows."""
    size = max(1, min(_CHUNK, len(tiles) // (2 * workers)))
    chunk: list[list[Tile]] = []
    for run in in_sweeps(tiles):
        alone = run[0].window is not None or not run[0].location.is_local
        if chunk and (alone or len(chunk) == size):
            yield chunk
            chunk = []
        if alone:
            yield [run]
        else:
            chunk.append(run)
    if chunk:
        yield chunk


def _lane_number(number: int, first: Tile) -> int:
    """Lanes take turns; but a file elsewhere has its own, which keeps what it fetched of it."""
    if not first.location.is_local:
        return zlib.crc32(os.fsencode(first.path))
    return number if first.window is None else number // _A_TURN


@dataclass(frozen=True)
class _Pending(Generic[T]):
    """A chunk that is being read: how many tiles, and how much of a worker's turn."""

    tiles: int
    turns: float
    work: Future[list[Read[T] | Failure]]


def _enough(pending: deque[_Pending[T]], workers: int) -> bool:
    """Whether enough is read ahead to keep every worker busy."""
    turns = sum(chunk.turns for chunk in pending)
    return turns > workers and sum(chunk.tiles for chunk in pending) >= 8 * workers


@dataclass(frozen=True)
class ReadFailure:
    """A worker's reply for a tile that could not be used.

    It is not a `Failure`: a worker decodes untrusted files, so it may not name tiles. The
    main process knows which tile it asked for and builds the `Failure`.

    Attributes:
        reason, skipped: as in `Failure`.
    """

    reason: str
    skipped: bool = False


@dataclass(frozen=True)
class _Reading(Generic[T]):
    """What a worker does with a chunk of runs, over there. The tiles are not sent back."""

    make: Make[T]
    windows: WindowChoices | None
    jpeg_px: int | None

    def __call__(self, chunk: list[list[Tile]]) -> list[tuple[T] | ReadFailure]:
        outcomes: list[tuple[T] | ReadFailure] = []
        for position, run in enumerate(chunk):
            note_progress(position)
            begin_tile(_bytes_of(run[0]))
            outcomes += self._of_run(run)
            end_tile()
        return outcomes

    def _of_run(self, run: list[Tile]) -> Iterator[tuple[T] | ReadFailure]:
        whole = run[0].window is None
        raws = map(self._read_whole, run) if whole else read_windows(_RASTERS, run)
        return (_made(tile, raw, self.make, self.windows) for tile, raw in zip(run, raws))

    def _read_whole(self, tile: Tile) -> RawTile | TileError:
        from rsretrieve.data.reading.pillow_reader import read_raw  # brings Pillow: not for scenes

        try:
            return read_raw(tile, self.jpeg_px)
        except TileError as error:
            return error


def _bytes_of(tile: Tile) -> int:
    """How large a file is that a tile is all of; of a scene, what a sweep may take of it."""
    try:
        size = os.stat(tile.path).st_size  # noqa: PTH116
    except (OSError, ValueError):
        size = _SWEEP_BYTES
    return size if tile.window is None else min(size, _SWEEP_BYTES)


class _Reader(Generic[T]):
    """Asks workers for tiles, and finds out which tile it was when one is lost.

    Args:
        reading: what workers do.
        readable: what they may read for it.
    """

    def __init__(self, reading: _Reading[T], readable: Readable) -> None:
        self._reading, self._readable = reading, readable
        self._losses: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()
        self._good: set[str] = set()

    def read(self, lane: Lane, chunk: list[list[Tile]]) -> list[Read[T] | Failure]:
        """Read a chunk, whatever happens to workers over it."""
        path = chunk[0][0].path
        if reason := self._why_given_up(path, chunk):
            return _given_up(chunk, reason)
        try:
            policies = [policy_for(run[0], self._readable) for run in chunk]
        except TileError as error:
            if len(chunk) == 1:
                return _given_up(chunk, error.reason)
            return [read for run in chunk for read in self.read(lane, [run])]
        if len(set(policies)) > 1:
            return [read for part in _alike(chunk, policies) for read in self.read(lane, part)]
        try:
            outcomes = lane.ask(
                self._reading, chunk, chunk[0][0].location.time_limit_s, policies[0]
            )
            self._count(chunk, outcomes)
            return [*map(_read_of, (tile for run in chunk for tile in run), outcomes)]
        except WorkerLost as lost:
            if lost.took_too_long or len(chunk) == len(chunk[0]) == 1:
                self._losses[chunk[_position(lost, chunk)][0].path] += 1
            if len(chunk) == len(chunk[0]) == 1:
                return _given_up(chunk, lost.reason)
            return self._read_the_rest(lane, chunk, lost)

    def _why_given_up(self, path: str, chunk: list[list[Tile]]) -> str:
        """Why nothing more of a file is read; empty where it is."""
        if len(chunk) == 1 and self._losses[path] >= _LOSSES:
            return "was given up: decoders were lost over other parts of its file"
        if self._failed[path] >= _FAILURES and path not in self._good:
            return f"was given up: not one of {_FAILURES:,} other windows of its file is readable"
        return ""

    def _count(self, chunk: list[list[Tile]], outcomes: Sequence[tuple[T] | ReadFailure]) -> None:
        """Note of a scene whether any of its windows can be read."""
        path = chunk[0][0].path
        if chunk[0][0].window is None or path in self._good:
            return
        if all(isinstance(outcome, ReadFailure) and not outcome.skipped for outcome in outcomes):
            self._failed[path] += len(outcomes)
        else:
            self._good.add(path)

    def _read_the_rest(
        self, lane: Lane, chunk: list[list[Tile]], lost: WorkerLost
    ) -> list[Read[T] | Failure]:
        """After a worker was lost over a chunk: ask for less, until it is known over which tile."""
        position = _position(lost, chunk)
        if lost.took_too_long and len(chunk) > 1 and lost.position >= 0:
            guilty: list[Read[T] | Failure] = _given_up([chunk[position]], lost.reason)
            before, after = chunk[:position], chunk[position + 1 :]
            first = self.read(lane, before) if before else []
            return [*first, *guilty, *(self.read(lane, after) if after else [])]
        return [read for part in _taken_apart(chunk) for read in self.read(lane, part)]

    def finish(self, lane: Lane) -> None:
        """Close what the lane's worker has open."""
        if lane.policy is not None:
            lane.ask(_close_rasters, None, TIME_LIMIT_S, lane.policy)


def _read_of(tile: Tile, outcome: tuple[T] | ReadFailure) -> Read[T] | Failure:
    if isinstance(outcome, ReadFailure):
        return Failure(tile, outcome.reason, outcome.skipped)
    return Read(tile, *outcome)


def _given_up(chunk: list[list[Tile]], reason: str) -> list[Read[T] | Failure]:
    return [Failure(tile, reason) for run in chunk for tile in run]


def _position(lost: WorkerLost, chunk: list[list[Tile]]) -> int:
    """Over which run a worker was lost, as far as it can be known; it is a number of its own."""
    return lost.position if 0 <= lost.position < len(chunk) else 0


def _alike(chunk: list[list[Tile]], policies: list[Policy]) -> Iterator[list[list[Tile]]]:
    """Runs that follow one another and may be read by the same worker."""
    pairs = groupby(zip(chunk, policies), key=lambda pair: pair[1])
    return ([run for run, _ in alike] for _, alike in pairs)


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


def _made(
    tile: Tile,
    raw: RawTile | TileError,
    make: Callable[[str, RawTile], T],
    windows: WindowChoices | None,
) -> tuple[T] | ReadFailure:
    try:
        if isinstance(raw, TileError):
            raise raw
        if windows is not None and windows.skips(raw.nodata_share):
            return ReadFailure("too much of it is nodata", skipped=True)
        return (make(tile.id, require_measurement(tile.id, raw)),)
    except TileError as error:
        return ReadFailure(error.reason)
    except MemoryError:
        return ReadFailure(needs_too_much())
