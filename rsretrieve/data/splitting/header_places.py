"""Read the places of tiles from the headers of their files, in confined workers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rsretrieve.data.access import Readable, is_trusted, policy_for
from rsretrieve.data.failures import Failure
from rsretrieve.data.geo.place import Place
from rsretrieve.data.geo.window_places import places_of
from rsretrieve.data.notes import Note, known_notes
from rsretrieve.data.reading.datasets import opened_raster, raster_errors
from rsretrieve.data.reading.raw_tile import require_openable
from rsretrieve.data.reading.sidecars import only_texts_unread, sidecars_of
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.data.window import Window
from rsretrieve.data.workers.content_forms import TupleForm
from rsretrieve.data.workers.limits import HEADER_BYTES, tile_limits
from rsretrieve.data.workers.pool import WorkerSlot, worker_slots
from rsretrieve.data.workers.worker import WorkerLost, require_reply
from rsretrieve.errors import TileError

_WINDOWS_AT_ONCE = 10_000
_SLOTS = 2  # files opened at once
_PLAIN = (b"\xff\xd8\xff", b"\x89PNG")  # without a sidecar, these have no place

_Reply = tuple[Place | None, str, int]
_REPLY_FORM = TupleForm((Place | None, str, int))


@dataclass(frozen=True)
class Located:
    """Where a tile lies.

    Attributes:
        place: its place on Earth; None if its file has no georeference.
        pixels: how many pixels it has in its file; 0 if unknown.
    """

    place: Place | None
    pixels: int = 0


NOWHERE = Located(None)


def locate(tiles: TileSet, context: RunContext) -> list[Located | None]:
    """Read where tiles lie; no pixel is decoded.

    Args:
        tiles: N tiles.
        context: receives progress, remarks on places, and the files that cannot be opened.

    Returns:
        N places in the order of the tiles; None for a tile whose file cannot be opened.

    Raises:
        TileError: a file cannot be opened, and the context is strict.
    """
    context.start_stage("reading the places of tiles", len(tiles))
    found: list[Located | None] = [None] * len(tiles)
    for rows, reply in _replies(tiles):
        for row, one in zip(rows, reply):
            if isinstance(one, TileError):
                context.add_failure(Failure(tiles[row], one.reason))
                continue
            place, note, pixels = one
            context.add_notes(tiles[row].id, known_notes([note]))
            found[row] = Located(place, pixels)
        context.advance(len(rows))
    return found


def _replies(tiles: TileSet) -> Iterator[tuple[list[int], Sequence[_Reply | TileError]]]:
    """The places of the tiles of one file after another; two files are open at once."""
    readable = Readable.of(tiles, tiles.folders)
    waiting = []
    with worker_slots(_SLOTS) as slots:
        for number, rows in enumerate(_by_file(tiles)):
            slot, chosen = slots[number % _SLOTS], [tiles[row] for row in rows]
            waiting.append((rows, slot.thread.submit(_asked, slot, chosen, readable)))
            if len(waiting) > 4 * _SLOTS:
                done, work = waiting.pop(0)
                yield done, work.result()
        for done, work in waiting:
            yield done, work.result()


def _by_file(tiles: TileSet) -> Iterator[list[int]]:
    """The rows of the tiles of each file, not too many at once."""
    rows_of: dict[tuple[str, int], list[int]] = {}
    for row, tile in enumerate(tiles):
        rows_of.setdefault((tile.path, tile.trust), []).append(row)
    for rows in rows_of.values():
        for start in range(0, len(rows), _WINDOWS_AT_ONCE):
            yield rows[start : start + _WINDOWS_AT_ONCE]


def _asked(slot: WorkerSlot, tiles: list[Tile], readable: Readable) -> Sequence[_Reply | TileError]:
    first = tiles[0]
    try:
        policy = policy_for(first, readable)
        reply = slot.call(read_places, tiles, first.location.time_limit_s, policy)
        is_whole = isinstance(reply, tuple) and len(reply) == len(tiles)
        require_reply(is_whole and all(map(_REPLY_FORM, reply)), "not one place a tile")
    except (TileError, WorkerLost) as error:
        return [TileError(tile.id, error.reason) for tile in tiles]
    return reply


def read_places(tiles: list[Tile]) -> Sequence[_Reply]:
    """Read the places of tiles of one file, in a worker.

    Returns:
        For each tile its place, the name of a remark on it (empty: none), and its number of pixels.

    Raises:
        TileError: the file cannot be opened.
    """
    first = tiles[0]
    with tile_limits(HEADER_BYTES):
        with raster_errors(first.id):
            remark = _remark_on_plain(first)
        if remark is not None:
            return [(None, remark, 0)] * len(tiles)
        with opened_raster(first) as raster:
            whole = Window(0, 0, raster.dataset.width, raster.dataset.height)
            windows = [tile.window or whole for tile in tiles]
            placings = places_of(raster.dataset, windows)
    return [
        (placing.place, placing.remark.value if placing.remark else "", w.width * w.height)
        for placing, w in zip(placings, windows)
    ]


def _remark_on_plain(tile: Tile) -> str | None:
    """The remark on an image that has no place without being opened; None: it may have one."""
    if not tile.location.is_local or tile.location.stack:
        return None
    require_openable(tile.id, tile.path)
    with Path(tile.path).open("rb") as stream:
        if not stream.read(4).startswith(_PLAIN):
            return None
    beside = sidecars_of(tile.path)
    if not beside:
        return ""
    unread = not is_trusted(tile) and only_texts_unread(tile.path, beside)
    return Note.SIDECAR_UNREAD.value if unread else None
