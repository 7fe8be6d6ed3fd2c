"""The folder of cached tiles, and the limit of its size."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rsretrieve._core.cache_dir import cache_dir
from rsretrieve._core.text import size_in_bytes
from rsretrieve.errors import InvalidArgument

LIMIT_VARIABLE = "RSRETRIEVE_CACHE_SIZE"
DEFAULT_LIMIT_BYTES = 2_000_000_000

_UNFINISHED = "*/.*.unfinished"
_ABANDONED_S = 3600.0
_NOWHERE = Path(os.devnull, "rsretrieve", "tiles")
"""A path at which no folder can exist."""


@dataclass(frozen=True)
class CacheFolder:
    """The folder of cached tiles, and the limit of its size.

    Attributes:
        path: the folder; only rsretrieve writes into it.
        limit_bytes: the limit for all files together; 0: nothing is kept.
    """

    path: Path
    limit_bytes: int

    @classmethod
    def of_environment(cls) -> CacheFolder:
        """The folder in `cache_dir()` with the limit of `RSRETRIEVE_CACHE_SIZE`.

        Without a home folder, as in some containers, nothing is kept.

        Raises:
            InvalidArgument: the limit is not a size.
        """
        limit = os.environ.get(LIMIT_VARIABLE)
        limit_bytes = size_in_bytes(limit) if limit else DEFAULT_LIMIT_BYTES
        if limit_bytes is None:
            raise InvalidArgument(
                f"{LIMIT_VARIABLE} is {limit!r}, which is not a size; expected: a size such as "
                "500MB or 2GB, or 0 to keep nothing"
            )
        path = cache_dir()
        return cls(_NOWHERE, 0) if path is None else cls(path / "tiles", limit_bytes)

    def files(self) -> list[tuple[int, int, Path]]:
        """Time of last use (ns), bytes and path of every file, least recently used first."""
        found = []
        for path in self.path.glob("*/*.tiles"):
            with suppress(OSError):
                status = path.stat()
                found.append((status.st_mtime_ns, status.st_size, path))
        return sorted(found)

    def make_room(self, wanted_bytes: int) -> None:
        """Remove the least recently used files until `wanted_bytes` more fit under the limit.

        Unfinished files that are old enough to belong to a killed process are removed, too.
        """
        for path in self.path.glob(_UNFINISHED):
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > _ABANDONED_S:
                    discard(path)
        files = self.files()
        total = wanted_bytes + sum(size for _, size, _ in files)
        for _, size, path in files:
            if total <= self.limit_bytes:
                return
            discard(path)
            total -= size

    def clear(self) -> None:
        """Remove every file, unfinished ones included."""
        for path in [*self.path.glob("*/*.tiles"), *self.path.glob(_UNFINISHED)]:
            discard(path)
        for folder in self.path.glob("*"):
            with suppress(OSError):  # another process writes into it
                folder.rmdir()


def discard(path: Path) -> None:
    """Remove a file; do nothing if that fails."""
    with suppress(OSError):
        path.unlink()
