"""The id table beside an index: row i says which tile vector i is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, overload

import numpy as np
import pyarrow
from numpy.typing import NDArray
from pyarrow import parquet

from rsretrieve._core.tables import refuse_bombs
from rsretrieve.data.geo.place import Place
from rsretrieve.data.tile import Tile
from rsretrieve.data.window import split_window
from rsretrieve.errors import IndexDamaged
from rsretrieve.index.file_state import NO_FILE_BYTES, FileStates

_PAIR = pyarrow.list_(pyarrow.float64(), 2)
SCHEMA = pyarrow.schema(
    [
        ("id", pyarrow.string()),
        ("path", pyarrow.string()),  # absolute
        ("label", pyarrow.string()),
        ("size_bytes", pyarrow.int64()),
        ("mtime_ns", pyarrow.int64()),
        ("content", pyarrow.string()),  # a digest of the file's
        ("crs", pyarrow.string()),
        # Left, bottom, right, top, in `crs`. A list of any length: before 26 pyarrow cannot write,
        # or cannot read, rows of null among lists of a fixed length (indexes of before have them).
        ("bounds", pyarrow.list_(pyarrow.float64())),
        ("footprint", pyarrow.list_(_PAIR)),  # corners, lon and lat in degrees
        ("read_px", pyarrow.int32()),  # of windows read coarser; absent where there are none
    ]
)
_OPTIONAL = ("content", "read_px")  # of an index from before they were, or of no such windows


@dataclass(frozen=True)
class IndexedTile:
    """A row of the table.

    Attributes:
        id: the tile's id.
        path: the absolute path of its file.
        label: its label as given, or None.
        size_bytes, mtime_ns: of the file when it was embedded; −1 of what lies elsewhere.
        place: where it lies, or None.
        content: the digest of the file's content when it was embedded; empty when unknown.
        read_px: of its window, if it is one; see `Window`.
    """

    id: str
    path: str
    label: str | None
    size_bytes: int
    mtime_ns: int
    place: Place | None
    content: str = ""
    read_px: int | None = None

    @property
    def tile(self) -> Tile:
        """The tile, to be read again; an index vouches for no file."""
        window = split_window(self.id)[1]
        window = window and replace(window, read_px=self.read_px)
        return Tile(self.id, self.path, self.label, window)

    @classmethod
    def of(cls, tile: Tile, place: Place | None, files: FileStates | None = None) -> IndexedTile:
        """The row of a tile that was read, its file's state as it was before that."""
        state, content = (files or FileStates([tile])).of(tile.path)
        return cls(
            id=tile.id,
            path=tile.location.absolute(),
            label=tile.label,
            size_bytes=state.size_bytes,
            mtime_ns=state.mtime_ns,
            place=place,
            content=content,
            read_px=None if tile.window is None else tile.window.read_px,
        )

    def is_current(self, tile: Tile, files: FileStates | None = None) -> bool:
        """Whether a tile's file is still what was embedded.

        It is when its path, size and time of change are; and when only its path or its time
        changed, but not its content.
        """
        files = files or FileStates([tile])
        now = files.state(tile.path)
        if now.size_bytes != self.size_bytes or self.tile.window != tile.window:
            return False
        if now.mtime_ns == self.mtime_ns and self.path == tile.location.absolute():
            return True
        return self.content != "" and files.of(tile.path)[1] == self.content


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
            "content": [row.content for row in rows],
            "crs": [row.place and row.place.crs for row in rows],
            "bounds": [row.place and row.place.bounds for row in rows],
            "footprint": [row.place and row.place.footprint for row in rows],
            "read_px": [row.read_px for row in rows],
        }
        return cls(pyarrow.table(columns, schema=SCHEMA))

    def column(self, name: str) -> list[Any]:
        """One column as plain values."""
        values: list[Any] = self.columns.column(name).to_pylist()
        return values

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
    table = TileTable.of(rows).columns
    if table.column("read_px").null_count == table.num_rows:
        table = table.drop_columns("read_px")
    parquet.write_table(table, path)


def read_table(path: Path, rows: int | None = None) -> TileTable:
    """Read the table.

    Args:
        path: the file.
        rows: how many it must have, if that is known.

    Raises:
        IndexDamaged: it is missing or cannot be read.
    """
    try:
        # Not `parquet.read_table`: that takes half a second to import what it needs.
        with parquet.ParquetFile(path, memory_map=True) as file:
            refuse_bombs(path, file, rows)
            found = file.read()
        for name in _OPTIONAL:
            if name not in found.column_names:
                values = pyarrow.nulls(found.num_rows, SCHEMA.field(name).type)
                found = found.append_column(name, values)
        found = found.select(SCHEMA.names)
        _check_types(found)
        found.validate(full=True)  # texts that are no UTF-8, offsets that lead out of a column
        table = found if found.schema.equals(SCHEMA) else found.cast(SCHEMA)
        _check_values(table)
        return TileTable(table)
    except (OSError, pyarrow.ArrowException, TypeError, KeyError, ValueError) as error:
        raise IndexDamaged(f"{path} cannot be read ({error})") from error


def _check_types(found: pyarrow.Table) -> None:
    """Raise `TypeError` where a cast would make something else of a value."""
    for entry in SCHEMA:
        kind = found.schema.field(entry.name).type
        if pyarrow.types.is_null(kind) or kind.equals(entry.type):
            continue
        if pyarrow.types.is_string(entry.type) and not pyarrow.types.is_large_string(kind):
            raise TypeError(f"{entry.name} holds {kind}")


def _check_values(table: pyarrow.Table) -> None:
    """Raise `TypeError` or `ValueError` for values that no table of ours has."""
    for name in ("id", "path", "size_bytes", "mtime_ns"):
        if table.column(name).null_count:
            raise TypeError(f"a tile has no {name}")
    for chunk in table.column("size_bytes").chunks:
        if len(chunk) and _plain(chunk, np.int64).min() < NO_FILE_BYTES:
            raise ValueError("a file has a negative size")
    columns = (table.column(name).combine_chunks() for name in ("crs", "bounds", "footprint"))
    _check_places(*columns)


def _check_places(crs: Any, bounds: Any, footprint: Any) -> None:
    """As `_check_values`, of columns without chunks.

    By their buffers: what `pyarrow.compute` would do takes longer to import than a query takes.
    """
    placed = _validity(crs)
    if (placed != _validity(bounds)).any() or (placed != _validity(footprint)).any():
        raise TypeError("a tile has half a place")
    if (_lengths(bounds)[placed] != 4).any():
        raise TypeError("the bounds of a tile are not four numbers")
    if (_lengths(footprint)[placed] == 0).any():
        raise ValueError("a footprint has no corners")
    corners = footprint.flatten()
    for numbers in (bounds.flatten(), corners.flatten()):
        if numbers.null_count or not np.isfinite(_plain(numbers, np.float64)).all():
            raise ValueError("bounds or footprint are not numbers")
    if corners.null_count:
        raise ValueError("a footprint has no corners")


def _plain(values: Any, kind: type[np.generic]) -> NDArray[Any]:
    """The numbers of an array; those of absent ones are whatever lies there."""
    content = values.buffers()[1]
    if content is None or not len(values):
        return np.empty(0, kind)
    return np.frombuffer(content, kind)[values.offset : values.offset + len(values)]


def _lengths(lists: Any) -> NDArray[np.int32]:
    """How many entries each list has."""
    content = lists.buffers()[1]
    if content is None or not len(lists):
        return np.zeros(len(lists), np.int32)
    return np.diff(np.frombuffer(content, np.int32)[lists.offset : lists.offset + len(lists) + 1])


def _validity(values: Any) -> NDArray[np.bool_]:
    """Which entries are there."""
    bits = values.buffers()[0]
    if bits is None:
        return np.ones(len(values), bool)
    all_bits = np.unpackbits(np.frombuffer(bits, np.uint8), bitorder="little")
    return all_bits[values.offset : values.offset + len(values)].astype(bool)


def _row(values: Mapping[str, Any]) -> IndexedTile:
    place = None
    if values["crs"] is not None:
        footprint = tuple((lon, lat) for lon, lat in values["footprint"])
        place = Place(values["crs"], tuple(values["bounds"]), footprint)
    names = ("id", "path", "label", "size_bytes", "mtime_ns", "read_px")
    known = {name: values[name] for name in names}
    return IndexedTile(**known, content=values["content"] or "", place=place)
