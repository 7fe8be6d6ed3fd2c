"""Long lists of tiles, which are read again and again, and never held in memory."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

from rsretrieve._core.tables import PARQUET_SUFFIXES, open_parquet
from rsretrieve._core.tables.parquet_file import parquet_errors
from rsretrieve._core.text import first_few, some_of
from rsretrieve.data.access import hosts_of
from rsretrieve.data.discovery.band_files import band_notices
from rsretrieve.data.discovery.tile_list import ids_in_list, sets_in_list
from rsretrieve.data.labels.class_names import spelling_notices
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.errors import TableError
from rsretrieve.index.external.mapped_rows import CountedIds, count_ids

LONG_LIST_BYTES, LONG_LIST_ROWS = 1 << 26, 1_000_000
"""A CSV of this size has about a million rows, whose tiles take a gigabyte of memory."""
_LIST_SUFFIXES = (*PARQUET_SUFFIXES, ".csv", ".tsv")
REPEATED = (
    "tiles are named twice, so all rows of the lists are kept in memory, about 1 kB each; keep one "
    "row for each tile to avoid that"
)
"""The notice for lists that are long, but cannot be read part by part."""
SAMPLED_TILES = 5_000
"""Tiles of the sample by which the model is chosen, and that are surveyed at once."""


def is_long_list(sources: Sequence[str]) -> bool:
    """Whether tiles are given as lists that are too long to be kept in memory."""
    paths = [Path(source) for source in sources]
    are_lists = all(path.suffix.lower() in _LIST_SUFFIXES and path.is_file() for path in paths)
    if not are_lists:
        return False
    is_large = sum(path.stat().st_size for path in paths) >= LONG_LIST_BYTES
    if not is_large and sum(map(_rows_of_parquet, paths)) < LONG_LIST_ROWS:
        return False
    named = "".join(os.path.abspath(source) for source in sources)  # noqa: PTH100
    return named.encode(errors="ignore").decode() == named  # else `find_tiles` leaves tiles out


def long_from(sources: Sequence[str], count: int) -> int | None:
    """The number of tiles from which lists like these are long; None if these are no lists.

    Args:
        sources: what names the tiles.
        count: the number of tiles that they name.
    """
    paths = [Path(source) for source in sources]
    are_parquet = all(path.suffix.lower() in PARQUET_SUFFIXES for path in paths)
    are_lists = all(path.suffix.lower() in _LIST_SUFFIXES and path.is_file() for path in paths)
    if not paths or not are_lists or not count:
        return None
    size = max(1, sum(path.stat().st_size for path in paths))
    of_size = -(-LONG_LIST_BYTES * count // size)
    return min(of_size, LONG_LIST_ROWS) if are_parquet else of_size


def _rows_of_parquet(path: Path) -> int:
    """The number of rows of a Parquet file: similar names take few bytes there. Else 0."""
    if path.suffix.lower() not in PARQUET_SUFFIXES:
        return 0
    try:
        with open_parquet(path) as file:
            return int(file.metadata.num_rows)
    except parquet_errors():  # `find_tiles` says what is wrong
        return 0


@dataclass(frozen=True)
class LongList:
    """One list, or several that follow each other, as the files of a Parquet dataset.

    Attributes:
        sources: the files.
        count: the number of tiles.
        sample: some of them, evenly spaced; with the notices about the lists.
        class_sizes: the number of tiles of each class.
    """

    sources: tuple[Path, ...]
    count: int
    sample: TileSet
    class_sizes: Counter[str] = field(default_factory=Counter)

    @property
    def name(self) -> str:
        """The files, for messages."""
        return first_few(map(str, self.sources), 3)

    def sets(self, size: int, notice: Callable[[str], None] = lambda _: None) -> Iterator[TileSet]:
        """The tiles in sets of at most `size`, read once more; a set is of one file."""
        for source in self.sources:
            yield from sets_in_list(source, size, notice)

    def paths(self) -> Iterator[str]:
        """The paths of all tiles, read once more."""
        for some in self.sets(SAMPLED_TILES):
            yield from (tile.path for tile in some)

    def counted_ids(self) -> CountedIds:
        """The number of rows, and an id that occurs twice."""
        return count_ids(lambda: chain.from_iterable(map(ids_in_list, self.sources)))

    def repeats_a_file(self) -> bool:
        """Whether two tiles are the same file, or the same window of it."""
        return count_ids(self._files).repeated is not None

    def _files(self) -> Iterator[str]:
        for some in self.sets(SAMPLED_TILES):
            yield from (f"{tile.location.absolute()}\0{tile.window}" for tile in some)

    def surveyed(self, count: int) -> LongList:
        """The same lists, with what must be known about them before any tile is read."""
        apart, number = -(-max(1, count) // SAMPLED_TILES), 0
        sample: list[Tile] = []
        notices: list[str] = []
        hosts: set[str] = set()
        sizes: Counter[str] = Counter()
        for some in self.sets(SAMPLED_TILES, notices.append):
            if not number:
                first = f"{self.name} (its first {len(some):,} rows)"
                notices += band_notices(replace(some, source=first))
            sample += some.tiles[-number % apart :: apart]
            number += len(some)
            hosts.update(hosts_of(some))
            sizes.update(tile.label for tile in some if tile.label is not None)
        if hosts:
            named = some_of(sorted(hosts))
            notices.append(f"{self.name} names tiles that are fetched from {named}")
        notices += spelling_notices(sizes)
        folders = tuple(dict.fromkeys(str(path.parent) for path in self.sources))
        found = TileSet(self.name, tuple(sample), tuple(notices), folders=folders)
        return replace(self, count=count, sample=found, class_sizes=sizes)


def long_list(sources: Sequence[str | Path], *, refuse_repeated: bool) -> LongList | None:
    """Count the tiles of long lists.

    Args:
        sources: the files.
        refuse_repeated: a tile that is named twice is an error. Otherwise the result is None then:
            which row counts, and under which id, `find_tiles` decides with all rows in memory.

    Raises:
        TableError: a list cannot be read, or a tile is named twice.
    """
    listed = LongList(tuple(map(Path, sources)), 0, TileSet("", ()))
    counted = listed.counted_ids()
    if counted.repeated is None:
        if refuse_repeated or len(sources) == 1 or not listed.repeats_a_file():
            return listed.surveyed(counted.count)
    elif refuse_repeated:
        raise TableError(
            f"{listed.name} names tile {counted.repeated!r} twice",
            hint="keep one row for each tile: repeated rows of long lists are not ignored",
        )
    return None
