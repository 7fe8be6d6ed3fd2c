"""Where tiles are kept from one command to the next, and how many bytes of them."""

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
"""A folder in which nothing can lie."""


@dataclass(frozen=True)
class CacheFolder:
    """Where tiles are kept, and how many bytes of them.

    Attributes:
        path: the folder; of ours alone.
        limit_bytes: what all files together may take; 0: nothing is kept.
    """

    path: Path
    limit_bytes: int

    @classmethod
    def of_environment(cls) -> CacheFolder:
        """By `RSRETRIEVE_CACHE` and `RSRETRIEVE_CACHE_SIZE`, else in the user's cache folder.

        Who has no home, as in some containers, keeps nothing.

        Raises:
            InvalidArgument: the limit is no size.
        """
        limit = os.environ.get(LIMIT_VARIABLE)
        limit_bytes = size_in_bytes(limit) if limit else DEFAULT_LIMIT_BYTES
        if limit_bytes is None:
            raise InvalidArgument(
                f"{LIMIT_VARIABLE} is {limit!r}, which is not a size; expected is one such as "
                "500MB or 2GB, or 0 to keep nothing"
            )
        path = cache_dir()
        return cls(_NOWHERE, 0) if path is None else cls(path / "tiles", limit_bytes)

    def files(self) -> list[tuple[int, int, Path]]:
        """Time of last use (ns), bytes and path of every file, the least lately used first."""
        found = []
        for path in self.path.glob("*/*.tiles"):
            with suppress(OSError):
                status = path.stat()
                found.append((status.st_mtime_ns, status.st_size, path))
        return sorted(found)

    def make_room(self, wanted_bytes: int) -> None:
        """Remove the least lately used files until there is room under the limit.

        And what killed processes left unfinished, when it is old enough to be nobody's.
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
        """Remove every file, those that a killed process left unfinished, too."""
        for path in [*self.path.glob("*/*.tiles"), *self.path.glob(_UNFINISHED)]:
            discard(path)
        for folder in self.path.glob("*"):
            with suppress(OSError):  # somebody writes into it
                folder.rmdir()


def discard(path: Path) -> None:
    """Remove a file, if it is there and may be removed."""
    with suppress(OSError):
        path.unlink()
