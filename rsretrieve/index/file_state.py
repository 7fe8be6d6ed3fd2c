"""Whether a tile's file is still the one that was embedded: by size and time, then by content."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

from rsretrieve._core.paths import Location
from rsretrieve._core.regular_files import open_regular
from rsretrieve.data.tile import Tile

NO_FILE_BYTES = -1  # the size of what is no file of this system, such as a tile at a URL
_DIGEST_BYTES = 16  # against chance, not against forgers
LARGE_BYTES = 1 << 28
_BLOCK_BYTES = 1 << 16
_ZEROS = bytes(_BLOCK_BYTES)


@dataclass(frozen=True, slots=True)
class FileState:
    """A file at a moment; a file that cannot be looked at has `NO_FILE_BYTES`.

    Attributes:
        size_bytes: its size.
        mtime_ns: when it was changed last.
    """

    size_bytes: int
    mtime_ns: int

    @classmethod
    def of(cls, path: str) -> FileState:
        """The state of a file now; of what lies elsewhere, see `Location.state`."""
        try:
            return cls(*Location.parse(path).state())
        except (OSError, ValueError):
            return cls(NO_FILE_BYTES, 0)


class FileStates:
    """The states of tiles' files before they are read, each file looked at once.

    A scene has a million windows and one file.

    Args:
        tiles: the tiles that will be read.
    """

    def __init__(self, tiles: Iterable[Tile]) -> None:
        paths = dict.fromkeys(tile.path for tile in tiles)
        self._before = {path: FileState.of(path) for path in paths}
        self._contents: dict[str, str] = {}

    def state(self, path: str) -> FileState:
        """The state before reading."""
        if path not in self._before:
            self._before[path] = FileState.of(path)
        return self._before[path]

    def of(self, path: str) -> tuple[FileState, str]:
        """The state before reading, and the digest of the content that was read.

        The digest is empty where the file changed meanwhile, so that it counts as changed.
        """
        before = self.state(path)
        if path not in self._contents:
            content = content_digest(path)
            self._contents[path] = content if FileState.of(path) == before else ""
        return before, self._contents[path]


def content_digest(path: str) -> str:
    """The digest of a file's content, hexadecimal; empty where it cannot be read.

    It is the BLAKE2b of the content. Of files of 256 MiB and more, blocks of 64 KiB that hold
    nothing but zeros are left out, and where they lay is hashed beside: the holes of a sparse
    file, which may be terabytes on a small disk, are then never read. A block counts as zeros
    whether it is a hole or stored, so that a sparse file and its dense copy have one digest;
    without such a block it is the plain BLAKE2b again. Smaller files are read whole: they take
    less than a second. Pipes and devices, of which there may be no end, have no digest.
    """
    try:
        with open_regular(Path(path)) as stream:
            size_bytes = os.fstat(stream.fileno()).st_size
            if size_bytes < LARGE_BYTES:
                return hashlib.file_digest(stream, _blake2b).hexdigest()
            return _digest_without_zeros(stream, size_bytes)
    except (OSError, ValueError):
        return ""


def _blake2b(content: bytes = b"") -> hashlib.blake2b:
    return hashlib.blake2b(content, digest_size=_DIGEST_BYTES)


def _digest_without_zeros(stream: BufferedReader, size_bytes: int) -> str:
    """Of a large file, by blocks that begin at multiples of their size."""
    content, zeros, done = _blake2b(), list[tuple[int, int]](), 0
    for start, end in (*_stored(stream.fileno(), size_bytes), (size_bytes, size_bytes)):
        _add(zeros, done, start)
        stream.seek(start)
        for position in range(start, end, _BLOCK_BYTES):
            block = stream.read(min(_BLOCK_BYTES, end - position))
            if block == _ZEROS[: len(block)]:
                _add(zeros, position, position + len(block))
            else:
                content.update(block)
        done = end
    if not zeros:
        return content.hexdigest()
    return _blake2b(repr((content.hexdigest(), size_bytes, zeros)).encode()).hexdigest()


def _add(runs: list[tuple[int, int]], start: int, end: int) -> None:
    """Add a run behind the others; one that follows on is joined to the last."""
    if start < end:
        first = runs.pop()[0] if runs and runs[-1][1] == start else start
        runs.append((first, end))


def _stored(handle: int, size_bytes: int) -> Iterator[tuple[int, int]]:
    """The parts of a file, of whole blocks, that may hold anything but holes."""
    position = 0
    while position < size_bytes:
        start, hole = position, size_bytes
        if hasattr(os, "SEEK_DATA"):
            try:
                start = os.lseek(handle, position, os.SEEK_DATA)
                hole = os.lseek(handle, start, os.SEEK_HOLE)
            except OSError as error:
                if error.errno == errno.ENXIO:  # nothing but a hole up to the end
                    return
                start, hole = position, size_bytes  # a file system that does not tell
        position = min(size_bytes, -(-hole // _BLOCK_BYTES) * _BLOCK_BYTES)
        yield start // _BLOCK_BYTES * _BLOCK_BYTES, position
