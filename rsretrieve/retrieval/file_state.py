"""Whether a tile's file is still the one that was embedded: by size and time, then by content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rsretrieve.tiles.records import Tile
from rsretrieve.tiles.sources import file_state

NO_FILE_BYTES = -1  # the size of what is no file of this system, such as a tile at a URL
_DIGEST_BYTES = 16  # against chance, not against forgers


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
        """The state of a file now; of what lies elsewhere, see `file_state`."""
        try:
            return cls(*file_state(path))
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
    """The BLAKE2b of a file's content, hexadecimal; empty where it cannot be read."""
    try:
        with Path(path).open("rb") as stream:
            return hashlib.file_digest(
                stream,
                lambda: hashlib.blake2b(digest_size=_DIGEST_BYTES),
            ).hexdigest()
    except (OSError, ValueError):
        return ""
