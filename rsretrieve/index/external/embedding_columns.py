"""Find the columns of a Parquet file of embeddings: ids, vectors, labels and paths."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow
from pyarrow import parquet

from rsretrieve._core.tables.header import require
from rsretrieve._core.tables.parquet_file import require_flat
from rsretrieve.errors import TableError

ID_COLUMNS = ("id", "tile")
VECTOR_COLUMNS = ("embedding", "vector", "embeddings")


@dataclass(frozen=True)
class EmbeddingColumns:
    """The columns of a Parquet file."""

    id: str
    vector: str
    dimensions: int
    label: str | None
    path: str | None

    @property
    def named(self) -> tuple[str, ...]:
        """The columns that there are."""
        names = (self.id, self.vector, self.label, self.path)
        return tuple(name for name in names if name is not None)


def find_columns(path: Path, file: parquet.ParquetFile) -> EmbeddingColumns:
    """Find the columns of an embeddings file.

    Raises:
        TableError: ids or vectors are missing, a column occurs twice, or ids, labels or paths are
            lists or records.
    """
    schema = file.schema_arrow
    by_name = {name.strip().lower(): name for name in schema.names}
    id_column = next((by_name[name] for name in ID_COLUMNS if name in by_name), None)
    lists = [entry.name for entry in schema if _is_vector(entry.type)]
    vector = next((by_name[n] for n in VECTOR_COLUMNS if by_name.get(n) in lists), None)
    if vector is None and len(lists) == 1:
        vector = lists[0]
    if id_column is None or vector is None:
        raise TableError(
            f"{path}: no column of {'ids' if id_column is None else 'vectors'} (its columns are: "
            f"{', '.join(schema.names)})",
            hint="expected: a column `id`, and a column `embedding` of lists of numbers",
        )
    names = [name.strip().lower() for name in schema.names]
    require(path, (), names)
    require_flat(path, names, schema, (id_column.strip().lower(), "label", "path"))
    label, files = by_name.get("label"), by_name.get("path")
    return EmbeddingColumns(id_column, vector, _dimensions(path, file, vector), label, files)


def _is_vector(kind: pyarrow.DataType) -> bool:
    types = pyarrow.types
    if not (types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)):
        return False
    return bool(types.is_floating(kind.value_type))


def _dimensions(path: Path, file: parquet.ParquetFile, vector: str) -> int:
    for batch in file.iter_batches(1_000, columns=[vector]):
        for value in batch.column(0):
            if value.is_valid and len(value):
                return len(value)
    raise TableError(f"{path}: the column {vector!r} holds no vector")
