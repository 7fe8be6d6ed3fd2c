"""Read the rows of a table of embeddings as columns of the id table of an index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.compute as pc

from rsretrieve._core.paths import storable
from rsretrieve._core.tables.parquet_file import column_values, text_maker
from rsretrieve.data.dates.acquisition_time import AcquisitionTime
from rsretrieve.data.dates.given_dates import DATE_COLUMNS, GivenDates
from rsretrieve.data.file_state import NO_FILE_BYTES
from rsretrieve.data.labels.label_column import LabelColumn
from rsretrieve.index.external.embedding_columns import EmbeddingColumns
from rsretrieve.index.external.places.place_columns import BatchPlaces
from rsretrieve.index.store.date_columns import date_columns
from rsretrieve.index.store.tile_schema import SCHEMA
from rsretrieve.index.store.tile_table import TileTable

_PLAIN: dict[str, Any] = {"path": "", "content": "", "size_bytes": NO_FILE_BYTES, "mtime_ns": 0}
_PLAIN |= {"sidecars": "", "state": "", "datetime_source": ""}
_SECRET_MARKS = "[?@]"  # without these, a name is stored as it is: see `storable`


def table_of(columns: dict[str, Any], count: int) -> TileTable:
    """A table of these columns; the others get the values for 'unknown'."""
    arrays = []
    for entry in SCHEMA:
        if entry.name in columns:
            arrays.append(columns[entry.name])
        elif entry.name in _PLAIN:
            arrays.append(pyarrow.repeat(pyarrow.scalar(_PLAIN[entry.name], entry.type), count))
        else:
            arrays.append(pyarrow.nulls(count, entry.type))
    return TileTable(pyarrow.table(dict(zip(SCHEMA.names, arrays)), schema=SCHEMA))


def numbered_ids(start: int, count: int) -> pyarrow.Array:
    """The ids of rows that have none: their numbers, from 0."""
    return pyarrow.array(np.arange(start, start + count)).cast(pyarrow.string())


def date_arrays(times: Sequence[AcquisitionTime | None]) -> dict[str, pyarrow.Array]:
    """The columns of dates, by name."""
    found = date_columns(times).items()
    return {name: pyarrow.array(cells, SCHEMA.field(name).type) for name, cells in found}


@dataclass(frozen=True)
class RowReader:
    """Reads the rows of a table.

    Attributes:
        path: the table, for messages.
        columns: its columns.
        places: reads places.
        labels: reads labels.
        dates: reads dates.
    """

    path: Path
    columns: EmbeddingColumns
    places: BatchPlaces
    labels: LabelColumn
    dates: GivenDates

    def read(self, batch: pyarrow.RecordBatch, start: int) -> pyarrow.Table:
        """The rows of a batch as a table of `SCHEMA`.

        Args:
            batch: the rows.
            start: the number of its first row in the file.

        Raises:
            TableError, LabelsError, ValueError: a cell does not hold what it should.
        """
        ids = (
            numbered_ids(start, len(batch))
            if self.columns.id is None
            else self._texts(batch, self.columns.id)
        )
        listed = ids.to_pylist()
        found: dict[str, Any] = {"id": ids}
        if self.columns.path is not None:
            found["path"] = self._texts(batch, self.columns.path)
        if self.columns.label is not None:
            found["label"] = self._labels(batch, self.columns.label, listed)
        for name in ("size_bytes", "mtime_ns"):
            if name in batch.schema.names:
                values = batch.column(name).to_pylist()
                found[name] = pyarrow.array([_whole(v, _PLAIN[name]) for v in values])
        if "read_px" in batch.schema.names:
            sides = [_side(value) for value in batch.column("read_px").to_pylist()]
            found["read_px"] = pyarrow.array(sides, pyarrow.int32())
        for name in ("content", "sidecars", "state"):
            if name in batch.schema.names:
                texts = [str(value or "") for value in batch.column(name).to_pylist()]
                found[name] = pyarrow.array(texts, pyarrow.string())
        found |= self._dates(batch, listed)
        places = self.places.columns(listed, batch)
        found |= {name: places.column(name) for name in places.schema.names}
        return table_of(found, len(batch)).columns

    def _texts(self, batch: pyarrow.RecordBatch, name: str) -> pyarrow.Array:
        """Ids or paths, without secrets."""
        cells = batch.column(name)
        kind = cells.type
        if pyarrow.types.is_integer(kind) or pyarrow.types.is_string(kind):
            texts = pc.fill_null(cells.cast(pyarrow.string()), "")
            if not pc.any(pc.match_substring_regex(texts, _SECRET_MARKS), min_count=0).as_py():
                return texts
        text = text_maker(kind)
        return pyarrow.array(
            [storable(text(value)) for value in cells.to_pylist()], pyarrow.string()
        )

    def _dates(self, batch: pyarrow.RecordBatch, ids: Sequence[str]) -> dict[str, pyarrow.Array]:
        there = [name for name in DATE_COLUMNS if name in batch.schema.names]
        if not there:
            return {}
        columns = [column_values(batch.column(name)) for name in there]
        rows = (dict(zip(there, cells)) for cells in zip(*columns))
        times = [self.dates.read(row, repr(tile_id)) for row, tile_id in zip(rows, ids)]
        return date_arrays(times)

    def _labels(self, batch: pyarrow.RecordBatch, name: str, ids: Sequence[str]) -> pyarrow.Array:
        cells = batch.column(name)
        text = text_maker(cells.type)
        labels = (
            self.labels.label(text(value), repr(tile_id))
            for value, tile_id in zip(cells.to_pylist(), ids)
        )
        return pyarrow.array(labels, pyarrow.string())


def _side(value: object) -> int | None:
    """The side in pixels at which a window was read; None if the value is missing."""
    if value is None:
        return None
    if not isinstance(value, int) or not 0 < value < 1 << 31:
        raise ValueError(f"{value!r} is not a number of pixels (read_px)")
    return value


def _whole(value: object, otherwise: int) -> int:
    """A 64-bit integer; `otherwise` if the value is missing."""
    if value is None:
        return otherwise
    if not isinstance(value, int) or not -1 <= value < 1 << 63:
        raise ValueError(f"{value!r} is not a size or time of a file")
    return value
