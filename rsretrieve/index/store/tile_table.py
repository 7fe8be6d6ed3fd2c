"""The id table of an index: row i describes the tile of vector i."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, overload

import pyarrow
import pyarrow.compute as pc
from pyarrow import parquet

from rsretrieve._core.paths import storable
from rsretrieve._core.tables import refuse_bombs
from rsretrieve.data.dates.acquisition_time import AcquisitionTime
from rsretrieve.data.file_state import NO_FILE_BYTES, FileStates
from rsretrieve.data.geo.place import Place
from rsretrieve.data.tile import Tile
from rsretrieve.data.window import split_window
from rsretrieve.errors import IndexDamaged
from rsretrieve.index.store.date_columns import DATES, date_columns, records_of, taken_of
from rsretrieve.index.store.row_blocks import RowBlocks
from rsretrieve.index.store.tile_schema import SCHEMA, fitted

_OMITTED = ("sidecars", "state", "parts", "read_px", *DATES)  # where all are empty
_ROWS_AT_ONCE = 10_000
BLOCK_ROWS = 1 << 17
"""Rows that are decoded and checked at once."""
MOST_IN_MEMORY = 500_000
"""Up to this number rows are kept in memory."""
_CHANGED = "changed"  # the state of a file that changed while it was read


@dataclass(frozen=True)
class IndexedTile:
    """A row of the table.

    Attributes:
        id: the tile's id.
        path: the absolute path of its file.
        label: its label as given, or None.
        size_bytes, mtime_ns: of the file when it was embedded; −1 for a remote file.
        place: its georeference, or None.
        content: the digest of the file's content when it was embedded; empty if unknown.
        read_px: of its window, if the tile is a window; see `Window`.
        sidecars: the digest of its sidecars; empty if there were none, or in an older index.
        state: see `FileState.mark`; empty if unknown.
        taken: when it was taken, or None.
    """

    id: str
    path: str
    label: str | None
    size_bytes: int
    mtime_ns: int
    place: Place | None
    content: str = ""
    read_px: int | None = None
    sidecars: str = ""
    state: str = ""
    taken: AcquisitionTime | None = None

    @property
    def tile(self) -> Tile:
        """The tile, to read it again; its file is not trusted, whoever made the index."""
        window = split_window(self.id)[1]
        window = window and replace(window, read_px=self.read_px)
        taken = self.taken if self.taken is not None and self.taken.is_given else None
        return Tile(self.id, self.path, self.label, window, taken=taken)

    @classmethod
    def of(cls, tile: Tile, place: Place | None, files: FileStates | None = None) -> IndexedTile:
        """The row of a tile that was read, with the state of its file before reading.

        Args:
            tile: the tile.
            place: its georeference, or None.
            files: the states of files before reading; None reads the state now.
        """
        files = files or FileStates([tile])
        state, content = files.state(tile.path), files.content(tile.path)
        unread = not content.file and state.size_bytes != NO_FILE_BYTES
        return cls(
            id=tile.id,
            path=tile.location.absolute(),
            label=tile.label,
            size_bytes=state.size_bytes,
            mtime_ns=state.mtime_ns,
            place=place,
            content=content.file,
            read_px=None if tile.window is None else tile.window.read_px,
            sidecars=content.sidecars,
            state=_CHANGED if unread else state.mark,
            taken=tile.taken,
        )

    def is_current(self, tile: Tile, files: FileStates | None = None) -> bool:
        """Whether a tile's file and its sidecars are unchanged since it was embedded.

        The content decides. It is read unless path, size, times and inode are the same. Older
        indexes may lack the digest: there, path, size and modification time decide.

        Args:
            tile: the tile today.
            files: the states of files today; None reads the state now.
        """
        files = files or FileStates([tile])
        now = files.state(tile.path)
        if now.size_bytes != self.size_bytes or self.tile.window != tile.window:
            return False
        same_path = storable(self.path) == tile.location.absolute()
        if not tile.location.local_files or not (self.content or self.state):
            return same_path and now.mtime_ns == self.mtime_ns
        if same_path and now.mark and now.mark == self.state:
            return True
        content = files.content(tile.path)
        return "" != content.file == self.content and content.sidecars == self.sidecars


class TileTable(Sequence[IndexedTile]):
    """The rows of an index; each record is made when it is accessed.

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
            "parts": [row.place and row.place.parts for row in rows],
            "sidecars": [row.sidecars for row in rows],
            "state": [row.state for row in rows],
            "read_px": [row.read_px for row in rows],
            **date_columns([row.taken for row in rows]),
        }
        return cls(pyarrow.table(columns, schema=SCHEMA))

    def column(self, name: str) -> list[Any]:
        """One column as a list of Python values."""
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
        return _row(records_of(self.columns.slice(position % len(self), 1))[0])

    def __iter__(self) -> Iterator[IndexedTile]:
        for start in range(0, len(self), _ROWS_AT_ONCE):
            yield from map(_row, records_of(self.columns.slice(start, _ROWS_AT_ONCE)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]


def _is_empty(column: pyarrow.ChunkedArray) -> bool:
    if pyarrow.types.is_string(column.type):
        # Not `unique`: all of twenty million states are different.
        return not pc.any(pc.not_equal(column, ""), min_count=0).as_py()
    return bool(column.null_count == len(column))


def write_table(path: Path, rows: Sequence[IndexedTile]) -> None:
    """Write rows as a Parquet file; overwrites the file."""
    table = TileTable.of(rows).columns
    empty = [name for name in _OMITTED if _is_empty(table.column(name))]
    table = table.drop_columns(empty)
    parquet.write_table(table, path)


def read_table(path: Path, rows: int | None = None) -> TileTable:
    """Read and check an id table, block by block.

    Many rows are written to files in the temporary folder, which end with the process, and are
    memory-mapped.

    Args:
        path: the file.
        rows: the number of rows that it must have, if that is known.

    Raises:
        IndexDamaged: the file is missing, cannot be read, or holds values that rsretrieve does
            not write.
    """
    try:
        # Not `parquet.read_table`, whose imports take half a second.
        with parquet.ParquetFile(path, memory_map=True) as file:
            refuse_bombs(path, file, rows)
            blocks = RowBlocks(on_disk=file.metadata.num_rows > MOST_IN_MEMORY, may_stay=True)
            blocks.append(fitted(file.schema_arrow.empty_table()))  # checks its columns
            for batch in file.iter_batches(BLOCK_ROWS):
                blocks.append(fitted(pyarrow.Table.from_batches([batch])))
            return TileTable(blocks.table())
    except (OSError, pyarrow.ArrowException, TypeError, KeyError, ValueError) as error:
        raise IndexDamaged(f"{path} cannot be read ({error})") from error


def _row(values: Mapping[str, Any]) -> IndexedTile:
    place = None
    if values["crs"] is not None:
        place = Place.from_json(values)
    names = ("id", "path", "label", "size_bytes", "mtime_ns", "read_px")
    known = {name: values[name] for name in names}
    known |= {name: values[name] or "" for name in ("content", "sidecars", "state")}
    return IndexedTile(**known, place=place, taken=taken_of(values))
