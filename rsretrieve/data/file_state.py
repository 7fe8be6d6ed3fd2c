"""Detect whether a tile's file or a sidecar changed since it was read.

Size, times and inode decide whether the content must be read again. The content decides.
"""

from __future__ import annotations

import errno
import hashlib
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

from rsretrieve._core.paths import Location
from rsretrieve._core.regular_files import open_regular
from rsretrieve.data.companions import Companions
from rsretrieve.data.tile import Tile

NO_FILE_BYTES = -1  # the size of a tile that is no local file, such as one at a URL
SETTLED_NS = 2_000_000_000  # a file could change again within one tick of the clock
_MARK_DIGITS = 16
_DIGEST_BYTES = 16  # detects accidental changes, not forgeries
LARGE_BYTES = 1 << 28
_BLOCK_BYTES = 1 << 16
_ZEROS = bytes(_BLOCK_BYTES)


@dataclass(frozen=True, slots=True)
class FileState:
    """The size and times of a file and of its sidecars: as long as they are equal, nothing changed.

    Attributes:
        size_bytes: its size; `NO_FILE_BYTES` if the file cannot be read or is not local.
        mtime_ns: its modification time.
        mark: a digest of size, modification time, change time and inode of the file and of every
            sidecar. Empty if the file is not local, or changed so recently that a further change
            may leave the times as they are: then only the content decides.
    """

    size_bytes: int
    mtime_ns: int
    mark: str = ""

    @classmethod
    def of(cls, path: str, companions: Companions | None = None) -> FileState:
        """The state of a file now; for remote paths see `Location.state`."""
        location = Location.parse(path)
        try:
            size_bytes, mtime_ns = location.state()
        except (OSError, ValueError):
            return cls(NO_FILE_BYTES, 0)
        if not location.local_files:
            return cls(size_bytes, mtime_ns)
        return cls(size_bytes, mtime_ns, _mark(path, companions or Companions()))


@dataclass(frozen=True, slots=True)
class FileContent:
    """The content of a file and of its sidecars, as digests.

    Attributes:
        file: see `content_digest`; empty if the file is not local, cannot be read, or changed
            while it was read.
        sidecars: the digest of all sidecars; empty if there are none.
    """

    file: str
    sidecars: str = ""


class FileStates:
    """The states of tiles' files before they are read; each file is examined once.

    A scene may have a million windows, but it is one file.

    Args:
        tiles: the tiles that will be read.
    """

    def __init__(self, tiles: Iterable[Tile]) -> None:
        paths = dict.fromkeys(tile.path for tile in tiles)
        self._companions = Companions()
        self._before = {path: FileState.of(path, self._companions) for path in paths}
        self._contents: dict[str, FileContent] = {}

    def state(self, path: str) -> FileState:
        """The state of a file before it was read."""
        if path not in self._before:
            self._before[path] = FileState.of(path, self._companions)
        return self._before[path]

    def content(self, path: str) -> FileContent:
        """The content of a file; empty if it changed since the state before it was read.

        Then the tile counts as changed.
        """
        before = self.state(path)
        if path not in self._contents:
            content = FileContent(content_digest(path), self._sidecars(path))
            now = FileState.of(path, self._companions)
            same = (now.size_bytes, now.mtime_ns) == (before.size_bytes, before.mtime_ns)
            unchanged = same and (not before.mark or before.mark == now.mark)
            self._contents[path] = content if unchanged else FileContent("")
        return self._contents[path]

    def _sidecars(self, path: str) -> str:
        sides = (
            side for file in Location.parse(path).local_files for side in self._companions.of(file)
        )
        found = [(role, content_digest(side)) for role, side in sides]
        return _blake2b(repr(found).encode()).hexdigest() if found else ""


def _mark(path: str, companions: Companions) -> str:
    """See `FileState.mark`."""
    states = []
    for file in Location.parse(path).local_files:
        states.append(("", *_times(file)))
        states += [(role, *_times(side)) for role, side in companions.of(file)]
    latest = max(time_ns for _, *times in states for time_ns in times[1:3])
    if time.time_ns() - latest < SETTLED_NS:
        return ""
    return _blake2b(repr(states).encode()).hexdigest()[:_MARK_DIGITS]


def _times(path: str) -> tuple[int, int, int, int]:
    """Size, modification time, change time and inode; zeros for what cannot be examined."""
    try:
        status = os.stat(path)  # noqa: PTH116  (a `Path` per tile would take seconds)
    except (OSError, ValueError):
        return 0, 0, 0, 0
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def content_digest(path: str) -> str:
    """The hexadecimal digest of a file's content; empty if it cannot be read.

    It is the BLAKE2b of the content. In files of 256 MiB and more, blocks of 64 KiB that hold
    only zeros are left out, and their positions are hashed instead: the holes of a sparse file,
    which may be terabytes on a small disk, are never read. A block of zeros counts the same
    whether it is a hole or stored, so a sparse file and its dense copy have the same digest.
    A large file without such a block has its plain BLAKE2b. Smaller files are read whole, which
    takes less than a second. Pipes and devices, which may never end, have no digest.

    A stack of files has the digest of their digests; a part of a file has that of the digest of the
    file and the name of the part.
    """
    location = Location.parse(path)
    if files := location.stack:
        digests = [content_digest(file) for file in files]
        return _blake2b(repr(digests).encode()).hexdigest() if all(digests) else ""
    if (part := location.part) is not None:
        digest = content_digest(part.file)
        named = [digest, part.before.lower().strip('"'), part.after.strip('"')]
        return _blake2b(repr(named).encode()).hexdigest() if digest else ""
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
    """The digest of a large file; blocks begin at multiples of the block size."""
    content, zeros, done = _blake2b(), list[tuple[int, int]](), 0
    for start, end in (*_data_ranges(stream.fileno(), size_bytes), (size_bytes, size_bytes)):
        _append_range(zeros, done, start)
        stream.seek(start)
        for position in range(start, end, _BLOCK_BYTES):
            block = stream.read(min(_BLOCK_BYTES, end - position))
            if block == _ZEROS[: len(block)]:
                _append_range(zeros, position, position + len(block))
            else:
                content.update(block)
        done = end
    if not zeros:
        return content.hexdigest()
    return _blake2b(repr((content.hexdigest(), size_bytes, zeros)).encode()).hexdigest()


def _append_range(runs: list[tuple[int, int]], start: int, end: int) -> None:
    """Append a range to `runs`; a range that continues the last one is joined to it."""
    if start < end:
        first = runs.pop()[0] if runs and runs[-1][1] == start else start
        runs.append((first, end))


def _data_ranges(handle: int, size_bytes: int) -> Iterator[tuple[int, int]]:
    """The parts of a file, in whole blocks, that may hold data."""
    position = 0
    while position < size_bytes:
        start, hole = position, size_bytes
        if hasattr(os, "SEEK_DATA"):
            try:
                start = os.lseek(handle, position, os.SEEK_DATA)
                hole = os.lseek(handle, start, os.SEEK_HOLE)
            except OSError as error:
                if error.errno == errno.ENXIO:  # only a hole up to the end
                    return
                start, hole = position, size_bytes  # the file system does not report holes
        position = min(size_bytes, -(-hole // _BLOCK_BYTES) * _BLOCK_BYTES)
        yield start // _BLOCK_BYTES * _BLOCK_BYTES, position
