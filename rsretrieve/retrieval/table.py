"""The id table beside an index: row i says which tile vector i is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import pyarrow
from pyarrow import parquet

from rsretrieve.errors import IndexDamaged
from rsretrieve.tiles.records import Place, Tile, absolute, split_window

_PAIR = pyarrow.list_(pyarrow.float64(), 2)
SCHEMA = pyarrow.schema(
    [
        ("id", pyarrow.string()),
        ("path", pyarrow.string()),  # absolute
        ("label", pyarrow.string()),
        ("size_bytes", pyarrow.int64()),
        ("mtime_ns", pyarrow.int64()),
        ("crs", pyarrow.string()),
        ("bounds", pyarrow.list_(pyarrow.float64(), 4)),  # left, bottom, right, top, in `crs`
        ("footprint", pyarrow.list_(_PAIR)),  # corners, lon and lat in degrees
    ]
)


@dataclass(frozen=True)
class IndexedTile:
    """A row of the table.

    Attributes:
        id: the tile's id.
        path: the absolute path of its file.
        label: its label as given, or None.
        size_bytes, mtime_ns: of the file when it was embedded.
        place: where it lies, or None.
    """

    id: str
    path: str
    label: str | None
    size_bytes: int
    mtime_ns: int
    place: Place | None

    @property
    def tile(self) -> Tile:
        """The tile, to be read again."""
        return Tile(self.id, self.path, self.label, split_window(self.id)[1])

    @classmethod
    def of(cls, tile: Tile, place: Place | None) -> IndexedTile:
        """The row of a tile whose file is there."""
        path = absolute(tile.path)
        status = Path(path).stat()
        return cls(tile.id, path, tile.label, status.st_size, status.st_mtime_ns, place)

    def is_current(self, tile: Tile) -> bool:
        """Whether a tile's file is still the one that was embedded, by path, size and mtime."""
        try:
            now = Path(tile.path).stat()
        except OSError:
            return False
        same_file = self.path == absolute(tile.path)
        return same_file and (now.st_size, now.st_mtime_ns) == (self.size_bytes, self.mtime_ns)


class TileTable(Sequence[IndexedTile]):
    """The rows of an index, made one by one as they are asked for.

    Args:
        columns: a table of `SCHEMA`.
    """

    def __init__(self, columns: pyarrow.Table) -> None:
        self.columns = columns

    @classmethod
    def of(cls, rows: Sequence[IndexedTile]) -> TileTable:
        """The table of these rows."""
        if isinstance(rows, TileTable):
            return rows
        columns: dict[str, list[Any]] = {
            "id": [row.id for row in rows],
            "path": [row.path for row in rows],
            "label": [row.label for row in rows],
            "size_bytes": [row.size_bytes for row in rows],
            "mtime_ns": [row.mtime_ns for row in rows],
            "crs": [row.place and row.place.crs for row in rows],
            "bounds": [row.place and row.place.bounds for row in rows],
            "footprint": [row.place and row.place.footprint for row in rows],
        }
        return cls(pyarrow.table(columns, schema=SCHEMA))

    def __len__(self) -> int:
        return int(self.columns.num_rows)

    @overload
    def __getitem__(self, position: int) -> IndexedTile: ...
    @overload
    def __getitem__(self, position: slice) -> list[IndexedTile]: ...
    def __getitem__(self, position: int | slice) -> IndexedTile | list[IndexedTile]:
        if isinstance(position, slice):
            return [self[i] for i in range(*position.indices(len(self)))]
        if not -len(self) <= position < len(self):
            raise IndexError(position)
        return _row(self.columns.slice(position % len(self), 1).to_pylist()[0])

    def __iter__(self) -> Iterator[IndexedTile]:
        for batch in self.columns.to_batches(max_chunksize=10_000):
            yield from map(_row, batch.to_pylist())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]


def write_table(path: Path, rows: Sequence[IndexedTile]) -> None:
    """Write the table as Parquet."""
    parquet.write_table(TileTable.of(rows).columns, path)


def read_table(path: Path) -> TileTable:
    """Read the table.

    Raises:
        IndexDamaged: it is missing or cannot be read.
    """
    try:
        # Not `parquet.read_table`: that takes half a second to import what it needs.
        with parquet.ParquetFile(path, memory_map=True) as file:
            found = file.read(SCHEMA.names)
        places = {found.column(name).null_count for name in ("crs", "bounds", "footprint")}
        if len(places) != 1:
            raise TypeError("a tile has half a place")
        return TileTable(found if found.schema.equals(SCHEMA) else found.cast(SCHEMA))
    except (OSError, pyarrow.ArrowException, TypeError, KeyError) as error:
        raise IndexDamaged(f"{path} cannot be read ({error})") from error


def _row(values: Mapping[str, Any]) -> IndexedTile:
    place = None
    if values["crs"] is not None:
        footprint = tuple((lon, lat) for lon, lat in values["footprint"])
        place = Place(values["crs"], tuple(values["bounds"]), footprint)
    plain = {key: values[key] for key in ("id", "path", "label", "size_bytes", "mtime_ns")}
    return IndexedTile(**plain, place=place)
