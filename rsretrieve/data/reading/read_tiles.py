"""Read tiles ahead in worker processes, in their order, in bounded memory."""

from __future__ import annotations

import os
import zlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import groupby
from typing import Generic, TypeVar

from rsretrieve._core.paths import Location
from rsretrieve.data.access import Readable
from rsretrieve.data.dates.acquisition_time import AcquisitionTime
from rsretrieve.data.failures import Failure
from rsretrieve.data.geo.place import Place
from rsretrieve.data.pixels.expected import ANYTHING, Expected
from rsretrieve.data.pixels.packing import Packing
from rsretrieve.data.reading.chunk_reader import ChunkReader, Decoder, Read
from rsretrieve.data.reading.decode_chunk import Chunk, ChunkDecoder, Header, HeaderDecoder, Process
from rsretrieve.data.reading.window_batches import runs_of
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.data.workers.content_forms import Fits, TupleForm, anything
from rsretrieve.data.workers.pool import worker_slots

T = TypeVar("T")

_HEADER_FORM = TupleForm((Packing | None, Place | None, AcquisitionTime | None))
_CHUNK_TILES = 8
_RUNS_IN_A_ROW = 2  # of windows for one worker: where two workers meet, blocks are decoded twice
_WORKER_START_PX = 16 << 20  # of windows, which are read while one worker starts


def read_in_order(
    tiles: TileSet,
    process: Process[T],
    workers: int | None = None,
    jpeg_px: int | None = None,
    expected: Expected = ANYTHING,
    fits: Fits = anything,
) -> Iterator[Read[T] | Failure]:
    """Read tiles in several processes and yield them in their order.

    Consecutive windows of one scene are read together. A tile that crashes its process, or takes
    too long, is a failure like any other.

    Args:
        tiles: the tiles.
        process: makes the content of a tile from its id and its pixels. It runs in the worker
            processes; it is pickled, and its results are sent as `send_reply` does.
        workers: the number of processes; by default one a core, fewer for few tiles. A few
            tiles, or a few runs of windows, are read ahead for each worker, never more.
        jpeg_px: JPEG tiles may be decoded at reduced size, each side at least this long.
        expected: what is known about the tiles.
        fits: whether a content has the form that `process` gives: a worker may send another one.
    """
    decoder = ChunkDecoder(process, tiles.windows, jpeg_px, expected)
    return _decoded(tiles, decoder, workers, fits)


def read_headers_in_order(
    tiles: TileSet, expected: Expected = ANYTHING
) -> Iterator[Read[Header] | Failure]:
    """Read what the files of tiles declare, without their pixels: see `Header`.

    Args:
        tiles: the tiles.
        expected: what is known about them.
    """
    return _decoded(tiles, HeaderDecoder(expected), None, _HEADER_FORM)


def _decoded(
    tiles: TileSet, decoder: Decoder[T], workers: int | None, fits: Fits
) -> Iterator[Read[T] | Failure]:
    workers = workers or max(1, min(_cores(), _useful_workers(tiles)))
    pending: deque[_PendingChunk[T]] = deque()
    reader = ChunkReader(decoder, Readable.of(tiles, tiles.folders), fits)
    with worker_slots(workers) as slots:
        for number, chunk in enumerate(_chunks_of(tiles, workers)):
            first = chunk[0][0]
            slot = slots[_slot_number(number, first) % workers]
            work = slot.thread.submit(reader.read, slot, chunk)
            turns = 1 if first.window is None else 1 / _RUNS_IN_A_ROW
            pending.append(_PendingChunk(sum(map(len, chunk)), turns, work))
            while _is_enough(pending, workers):
                yield from pending.popleft().work.result()
        while pending:
            yield from pending.popleft().work.result()
        for slot in slots:
            slot.thread.submit(reader.finish, slot).result()


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _useful_workers(tiles: TileSet) -> int:
    """The number of workers that have enough to read to be worth their start."""
    area_px = windows = 0
    for path, group in groupby(tiles, key=lambda tile: tile.path):
        cut = [tile.window for tile in group if tile.window]
        if cut and Location.parse(path).is_local:
            windows += len(cut)
            area_px += sum(window.width * window.height for window in cut)
    return (len(tiles) - windows) // 4 + -(-area_px // _WORKER_START_PX)


def _chunks_of(tiles: TileSet, workers: int) -> Iterator[Chunk]:
    """Chunks of several runs of one tile each, or of one run of windows."""
    size = max(1, min(_CHUNK_TILES, len(tiles) // (2 * workers)))
    chunk: Chunk = []
    for run in runs_of(tiles):
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


def _slot_number(number: int, first: Tile) -> int:
    """Slots take turns; but every remote file has its own, whose worker keeps what it fetched."""
    if not first.location.is_local:
        return zlib.crc32(os.fsencode(first.path))
    return number if first.window is None else number // _RUNS_IN_A_ROW


@dataclass(frozen=True)
class _PendingChunk(Generic[T]):
    """A chunk that is being read.

    Attributes:
        tiles: how many tiles it has.
        turns: its share of what a worker gets at once.
        work: its result.
    """

    tiles: int
    turns: float
    work: Future[list[Read[T] | Failure]]


def _is_enough(pending: deque[_PendingChunk[T]], workers: int) -> bool:
    """Whether enough is requested ahead to keep every worker busy."""
    turns = sum(chunk.turns for chunk in pending)
    return turns > workers and sum(chunk.tiles for chunk in pending) >= _CHUNK_TILES * workers
