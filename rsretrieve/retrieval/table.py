"""The id table beside an index: row i says which tile vector i is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow
from pyarrow import parquet

from rsretrieve.errors import IndexDamaged
from rsretrieve.tiles.records import Place, Tile, absolute, split_window
from rsretrieve.tiles.sources import file_state

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
        ("read_px", pyarrow.int32()),  # of windows read coarser; absent where there are none
    ]
)


@dataclass(frozen=True)
class IndexedTile:
    """A row of the table.

    Attributes:
        id: the tile's id.
        path: the absolute path of its file.
        label: its label as given, or None.
        size_bytes, mtime_ns: of the file when it was embedded; −1 of what lies elsewhere.
        place: where it lies, or None.
        read_px: of its window, if it is one; see `Window`.
    """

    id: str
    path: str
    label: str | None
    size_bytes: int
    mtime_ns: int
    place: Place | None
    read_px: int | None = None

    @property
    def tile(self) -> Tile:
        """The tile, to be read again."""
        window = split_window(self.id)[1]
        window = window and replace(window, read_px=self.read_px)
        return Tile(self.id, self.path, self.label, window)

    @classmethod
    def of(cls, tile: Tile, place: Place | None) -> IndexedTile:
        """The row of a tile whose file is there."""
        path = absolute(tile.path)
        size_bytes, mtime_ns = file_state(path)
        read_px = None if tile.window is None else tile.window.read_px
        return cls(tile.id, path, tile.label, size_bytes, mtime_ns, place, read_px)

    def is_current(self, tile: Tile) -> bool:
        """Whether a tile's file is still the one that was embedded, by path, size and mtime."""
        try:
            now = file_state(tile.path)
        except OSError:
            return False
        same = self.path == absolute(tile.path) and self.tile.window == tile.window
        return same and now == (self.size_bytes, self.mtime_ns)


def write_table(path: Path, rows: Sequence[IndexedTile]) -> None:
    """Write the table as Parquet."""
    columns: dict[str, list[Any]] = {
        "id": [row.id for row in rows],
        "path": [row.path for row in rows],
        "label": [row.label for row in rows],
        "size_bytes": [row.size_bytes for row in rows],
        "mtime_ns": [row.mtime_ns for row in rows],
        "crs": [row.place and row.place.crs for row in rows],
        "bounds": [row.place and row.place.bounds for row in rows],
        "footprint": [row.place and row.place.footprint for row in rows],
        "read_px": [row.read_px for row in rows],
    }
    table = pyarrow.table(columns, schema=SCHEMA)
    if not any(columns["read_px"]):
        table = table.drop_columns("read_px")
    parquet.write_table(table, path)


def read_table(path: Path) -> list[IndexedTile]:
    """Read the table.

    Raises:
        IndexDamaged: it is missing or cannot be read.
    """
    try:
        return [_row(values) for values in parquet.read_table(path, schema=SCHEMA).to_pylist()]
    except (OSError, pyarrow.ArrowException, TypeError, KeyError) as error:
        raise IndexDamaged(f"{path} cannot be read ({error})") from error


def _row(values: Mapping[str, Any]) -> IndexedTile:
    place = None
    if values["crs"] is not None:
        footprint = tuple((lon, lat) for lon, lat in values["footprint"])
        place = Place(values["crs"], tuple(values["bounds"]), footprint)
    names = ("id", "path", "label", "size_bytes", "mtime_ns", "read_px")
    return IndexedTile(**{name: values[name] for name in names}, place=place)
