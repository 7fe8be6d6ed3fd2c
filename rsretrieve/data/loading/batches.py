"""Stream preprocessed tiles in batches, or read all of them into one store."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsretrieve._core.machine.memory import available_bytes
from rsretrieve.data.failures import Failure
from rsretrieve.data.geo.place import Place
from rsretrieve.data.loading.read_through import Content, read_preprocessed
from rsretrieve.data.preprocessing.preprocessing import Preprocessing
from rsretrieve.data.reading.chunk_reader import Read
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import Tile, TileSet

Progress = Callable[[int], None]
"""Called with the number of tiles processed since the last call."""

DECODED, SMALLER_SIZE = "the decoded tiles", "a smaller --size takes less"
_MUCH = "more than half of the free memory"


@dataclass(frozen=True)
class Batch:
    """Preprocessed tiles.

    Attributes:
        tiles: B tiles, with the times that their files give where nothing else does.
        places: the place of each, or None.
        pixels: (B, C, S, S) in the tiles' own type and units.
    """

    tiles: list[Tile]
    places: list[Place | None]
    pixels: NDArray[Any]


def stream_batches(
    tiles: TileSet,
    preprocessing: Preprocessing,
    batch_size: int,
    context: RunContext,
    progress: Progress = lambda _: None,
    *,
    workers: int | None = None,
) -> Iterator[Batch]:
    """Preprocess tiles and yield them in batches, in order; failures go to `context`.

    Args:
        tiles: the tiles.
        preprocessing: makes their pixels.
        batch_size: B.
        context: receives the tiles that cannot be read.
        progress: see `Progress`.
        workers: the number of processes that decode; by default one a core.
    """
    waiting: list[Read[Content]] = []
    for read in read_preprocessed(tiles, preprocessing, workers):
        if isinstance(read, Failure):
            context.add_failure(read)
            progress(1)
            continue
        context.add_notes(read.tile.id, read.notes)
        waiting.append(read)
        if len(waiting) == batch_size:
            yield _as_batch(waiting)
            progress(len(waiting))
            waiting.clear()
    if waiting:
        yield _as_batch(waiting)
        progress(len(waiting))


def _as_batch(reads: list[Read[Content]]) -> Batch:
    return Batch(
        tiles=[_dated(read) for read in reads],
        places=[read.content[1] for read in reads],
        pixels=np.stack([read.content[0] for read in reads]),
    )


def _dated(read: Read[Content]) -> Tile:
    taken = read.content[2]
    if taken is None or read.tile.taken is not None:
        return read.tile
    return replace(read.tile, taken=taken)


@dataclass(frozen=True)
class PixelStore:
    """All tiles of a set, decoded once and kept at working size.

    Attributes:
        tiles: the N tiles that could be read; N may be 0.
        pixels: (N, C, S, S) in the tiles' own type. If they take more than half of the free
            memory, they are mapped from a temporary file that ends with the process.
    """

    tiles: TileSet
    pixels: NDArray[Any]


def read_into_store(
    tiles: TileSet,
    preprocessing: Preprocessing,
    context: RunContext,
    progress: Progress = lambda _: None,
) -> PixelStore:
    """Read all tiles once, for several passes over them.

    Raises:
        TileError: a tile cannot be read, and `context` is strict.
        OSError: the temporary folder has too little room.
    """
    side = preprocessing.size_px
    shape = (len(tiles), len(preprocessing.bands), side, side)
    pixels = room_for(shape, np.dtype(preprocessing.dtype), DECODED, SMALLER_SIZE)
    kept: list[Tile] = []
    for batch in stream_batches(tiles, preprocessing, 64, context, progress):
        pixels[len(kept) : len(kept) + len(batch.tiles)] = batch.pixels
        kept.extend(batch.tiles)
    found = TileSet(tiles.source, tuple(kept), folders=tiles.folders)
    return PixelStore(found, pixels[: len(kept)])


def room_for(
    shape: tuple[int, ...], dtype: np.dtype[Any], what: str, hint: str = ""
) -> NDArray[Any]:
    """An array in memory; in a temporary file if it takes more than half of the free memory.

    Args:
        shape: of the array.
        dtype: of its values, which are not set.
        what: what it is for, in an error.
        hint: what would take less, in an error.

    Raises:
        OSError: the temporary folder has too little room.
    """
    size_bytes = int(np.prod(shape)) * dtype.itemsize
    if size_bytes <= available_bytes() // 2:
        return np.empty(shape, dtype)
    return mapped_room(shape, dtype, what, reason=_MUCH, hint=hint)


def mapped_room(
    shape: tuple[int, ...], dtype: np.dtype[Any], what: str, *, reason: str = "", hint: str = ""
) -> NDArray[Any]:
    """An array that is mapped from a temporary file, which ends with the process.

    Args:
        shape: of the array.
        dtype: of its values, which are 0.
        what: what it is for, in an error.
        reason: why it is not kept in memory, in an error.
        hint: what would take less, in an error.

    Raises:
        OSError: the temporary folder has too little room.
    """
    size_bytes = int(np.prod(shape)) * dtype.itemsize
    with (
        room_named(size_bytes, what, reason=reason, hint=hint),
        tempfile.NamedTemporaryFile(prefix="rsretrieve-pixels-") as file,
    ):
        _reserve(file.fileno(), size_bytes)
        # The mapping keeps the content after the file is deleted. (Windows deletes it when the
        # mapping ends.)
        return np.memmap(file, dtype=dtype, mode="w+", shape=shape)


@contextmanager
def room_named(size_bytes: int, what: str, *, reason: str = "", hint: str = "") -> Iterator[None]:
    """Make an error of the temporary folder say what needed the room, and how to get more.

    Args:
        size_bytes: of the file.
        what: what it is for, a plural.
        reason: why it is not kept in memory.
        hint: what would take less room.

    Raises:
        OSError: of the block, with this text.
    """
    try:
        yield
    except OSError as error:
        size = f"{size_bytes / 1e9:.3g} GB" + (f", {reason}," if reason else "")
        more = "TMPDIR names another one" + (f"; {hint}" if hint else "")
        text = (
            f"{error.strerror or error}: {what} take {size} and are kept in the temporary folder "
            f"meanwhile ({more})"
        )
        folder = tempfile.tempdir or os.environ.get("TMPDIR") or "the temporary folder"
        raise OSError(error.errno, text, folder) from error


def _reserve(descriptor: int, size_bytes: int) -> None:
    """Allocate the file on disk now: writing to a mapping without room would kill the process."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size_bytes)
