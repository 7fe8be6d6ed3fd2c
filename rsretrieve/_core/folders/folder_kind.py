"""What a kind of folder is, so that only folders of this kind are replaced."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

NO_FILES: frozenset[str] = frozenset()


@dataclass(frozen=True)
class FolderKind:
    """A kind of folder that rsretrieve writes, and replaces as a whole.

    Attributes:
        name: what it is, for messages.
        marker: the file that identifies such a folder.
        own_files: returns the files in such a folder that rsretrieve wrote, as paths in it with
            `/`; empty if it is not such a folder. Damaged folders count, too.
        writes: the files that such a folder may get, as far as their names are fixed.
    """

    name: str
    marker: str
    own_files: Callable[[Path], frozenset[str]]
    writes: frozenset[str] = NO_FILES

    def is_own(self, folder: Path) -> bool:
        """Whether rsretrieve wrote a folder of this kind there."""
        return bool(self.own_files(folder))


def with_sidecars(rasters: Iterable[str]) -> frozenset[str]:
    """Rasters and the files that GDAL writes beside them: statistics, overviews, masks."""
    suffixes = ("", ".aux.xml", ".ovr", ".msk")
    return frozenset(f"{name}{suffix}" for name in rasters for suffix in suffixes)
