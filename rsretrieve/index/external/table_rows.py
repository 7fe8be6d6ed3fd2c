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
from rsretrieve._core.tables.parquet_file import text_maker
from rsretrieve.data.file_state import NO_FILE_BYTES
from rsretrieve.data.labels.label_column import LabelColumn
from rsretrieve.index.external.embedding_columns import EmbeddingColumns
from rsretrieve.index.external.places.place_columns import BatchPlaces
from rsretrieve.index.store.tile_schema import SCHEMA
from rsretrieve.index.store.tile_table import TileTable

_PLAIN: dict[str, Any] = {"path": "", "content": "", "size_bytes": NO_FILE_BYTES, "mtime_ns": 0}
_PLAIN |= {"sidecars": "", "state": ""}
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


@dataclass(frozen=True)
class RowReader:
    """Reads the rows of a table.

    Attributes:
        path: the table, for messages.
        columns: its columns.
        places: reads places.
        labels: reads labels.
    """

    path: Path
    columns: EmbeddingColumns
    places: BatchPlaces
    labels: LabelColumn

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
        for name in ("content", "sidecars", "state"):
            if name in batch.schema.names:
                texts = [str(value or "") for value in batch.column(name).to_pylist()]
                found[name] = pyarrow.array(texts, pyarrow.string())
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

    def _labels(self, batch: pyarrow.RecordBatch, name: str, ids: Sequence[str]) -> pyarrow.Array:
        cells = batch.column(name)
        text = text_maker(cells.type)
        labels = (
            self.labels.label(text(value), repr(tile_id))
            for value, tile_id in zip(cells.to_pylist(), ids)
        )
        return pyarrow.array(labels, pyarrow.string())


def _whole(value: object, otherwise: int) -> int:
    """A 64-bit integer; `otherwise` if the value is missing."""
    if value is None:
        return otherwise
    if not isinstance(value, int) or not -1 <= value < 1 << 63:
        raise ValueError(f"{value!r} is not a size or time of a file")
    return value
