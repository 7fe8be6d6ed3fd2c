"""Read chunks of tiles in workers; if a worker crashes, find the tile that it was decoding."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Generic, TypeVar

from rsretrieve._core.paths import TIME_LIMIT_S
from rsretrieve.data.access import Readable, policy_for
from rsretrieve.data.failures import Failure
from rsretrieve.data.notes import Note, known_notes
from rsretrieve.data.reading.decode_chunk import (
    Chunk,
    ReadFailure,
    Reply,
    close_rasters,
)
from rsretrieve.data.tile import Tile
from rsretrieve.data.workers.confinement import Policy
from rsretrieve.data.workers.content_forms import Fits, anything
from rsretrieve.data.workers.pool import WorkerSlot
from rsretrieve.data.workers.worker import WorkerLost, require_reply
from rsretrieve.errors import TileError

T = TypeVar("T")

Decoder = Callable[[Chunk], list[Reply[T] | ReadFailure]]
"""One result for every tile of a chunk, in order."""

_MAX_LOST_WORKERS = 3  # over one file; then the rest of the file is given up
_MAX_FAILED_WINDOWS = 2000  # of a file without a readable one; then the rest is given up


@dataclass(frozen=True)
class Read(Generic[T]):
    """A tile that was read.

    Attributes:
        tile: the tile.
        content: what was made of its pixels.
        notes: what the user should know about it.
    """

    tile: Tile
    content: T
    notes: tuple[Note, ...] = ()


class ChunkReader(Generic[T]):
    """Requests chunks from workers. If a worker is lost, only the tile it was decoding fails.

    Args:
        decoder: what workers do with a chunk; it is pickled to get there.
        readable: what workers may read.
        fits: whether the content of a tile has the form that the decoder gives.
    """

    def __init__(self, decoder: Decoder[T], readable: Readable, fits: Fits = anything) -> None:
        self._decoder, self._readable, self._fits = decoder, readable, fits
        self._lost_workers: Counter[str] = Counter()
        self._failed_windows: Counter[str] = Counter()
        self._readable_paths: set[str] = set()

    def read(self, slot: WorkerSlot, chunk: Chunk) -> list[Read[T] | Failure]:
        """Read a chunk: one result a tile, whatever happens to the worker."""
        if reason := self._reason_to_give_up(chunk):
            return _all_failed(chunk, reason)
        try:
            policies = [policy_for(run[0], self._readable) for run in chunk]
        except TileError as error:
            if len(chunk) == 1:
                return _all_failed(chunk, error.reason)
            return self._read_all(slot, [[run] for run in chunk])
        if len(set(policies)) > 1:
            return self._read_all(slot, _by_policy(chunk, policies))
        return self._read_with(slot, chunk, policies[0])

    def _read_all(self, slot: WorkerSlot, chunks: Iterable[Chunk]) -> list[Read[T] | Failure]:
        return [read for chunk in chunks for read in self.read(slot, chunk)]

    def _read_with(self, slot: WorkerSlot, chunk: Chunk, policy: Policy) -> list[Read[T] | Failure]:
        is_single = len(chunk) == len(chunk[0]) == 1
        try:
            limit_s = chunk[0][0].location.time_limit_s
            results = slot.call(self._decoder, chunk, limit_s, policy)
            _require_one_a_tile(chunk, results, self._fits)
            self._count_failures(chunk, results)
            return [*map(_read_or_failure, (tile for run in chunk for tile in run), results)]
        except WorkerLost as lost:
            if lost.took_too_long or is_single:
                self._lost_workers[chunk[_position(lost, chunk)][0].path] += 1
            if is_single:
                return _all_failed(chunk, lost.reason)
            return self._bisect(slot, chunk, lost)

    def _reason_to_give_up(self, chunk: Chunk) -> str:
        """Why nothing more is read of a file; empty if reading goes on."""
        path = chunk[0][0].path
        if len(chunk) == 1 and self._lost_workers[path] >= _MAX_LOST_WORKERS:
            return "was not read: decoders crashed on other parts of its file"
        has_failed = self._failed_windows[path] >= _MAX_FAILED_WINDOWS
        if has_failed and path not in self._readable_paths:
            return (
                f"was not read: none of {_MAX_FAILED_WINDOWS:,} other windows of its file is "
                "readable"
            )
        return ""

    def _count_failures(self, chunk: Chunk, results: Sequence[Reply[T] | ReadFailure]) -> None:
        """Record whether any window of a scene can be read."""
        path = chunk[0][0].path
        if chunk[0][0].window is None or path in self._readable_paths:
            return
        if all(isinstance(result, ReadFailure) and not result.skipped for result in results):
            self._failed_windows[path] += len(results)
        else:
            self._readable_paths.add(path)

    def _bisect(self, slot: WorkerSlot, chunk: Chunk, lost: WorkerLost) -> list[Read[T] | Failure]:
        """Request smaller chunks after a worker was lost, until one tile is left as the cause."""
        if not lost.took_too_long or len(chunk) == 1 or lost.position < 0:
            return self._read_all(slot, _parts_of(chunk))
        # The run in progress took too long: to read it again would take as long again.
        position = _position(lost, chunk)
        before, after = chunk[:position], chunk[position + 1 :]
        first = self.read(slot, before) if before else []
        failed: list[Read[T] | Failure] = _all_failed([chunk[position]], lost.reason)
        return [*first, *failed, *(self.read(slot, after) if after else [])]

    def finish(self, slot: WorkerSlot) -> None:
        """Close what the slot's worker keeps open; a worker that fails in this has replied."""
        if slot.policy is None:
            return
        with suppress(WorkerLost, TileError):
            slot.call(close_rasters, None, TIME_LIMIT_S, slot.policy)


def _require_one_a_tile(chunk: Chunk, results: Any, fits: Fits) -> None:
    """Raise a `WorkerLost` unless a worker sent one result for every tile: it may send anything."""
    is_whole = isinstance(results, tuple) and len(results) == sum(map(len, chunk))
    require_reply(is_whole and all(map(_is_result, results)), "not one result a tile")
    contents = (result[0] for result in results if not isinstance(result, ReadFailure))
    require_reply(all(map(fits, contents)), "a result of another form")


def _is_result(result: object) -> bool:
    if isinstance(result, ReadFailure):
        return isinstance(result.reason, str)
    return isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], tuple)


def _read_or_failure(tile: Tile, result: Reply[T] | ReadFailure) -> Read[T] | Failure:
    if isinstance(result, ReadFailure):
        return Failure(tile, result.reason, result.skipped)
    content, notes = result
    return Read(tile, content, known_notes(notes) if notes else ())


def _all_failed(chunk: Chunk, reason: str) -> list[Read[T] | Failure]:
    return [Failure(tile, reason) for run in chunk for tile in run]


def _position(lost: WorkerLost, chunk: Chunk) -> int:
    """The run at which a worker was lost; 0 if unknown. The number comes from the worker."""
    return lost.position if 0 <= lost.position < len(chunk) else 0


def _by_policy(chunk: Chunk, policies: Sequence[Policy]) -> list[Chunk]:
    """Split a chunk into groups of consecutive runs that share a policy."""
    pairs = groupby(zip(chunk, policies), key=lambda pair: pair[1])
    return [[run for run, _ in group] for _, group in pairs]


def _parts_of(chunk: Chunk) -> list[Chunk]:
    """The runs of a chunk one by one; the two halves of a single run; a single tile as it is."""
    if len(chunk) > 1:
        return [[run] for run in chunk]
    (run,) = chunk
    half = len(run) // 2
    return [[run[:half]], [run[half:]]] if half else [chunk]
