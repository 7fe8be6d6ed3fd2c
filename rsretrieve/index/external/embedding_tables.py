"""Open tables of embeddings: Parquet, and CSV."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow
from pyarrow import parquet

from rsretrieve._core.sealing import parsed
from rsretrieve._core.tables import refuse_bombs
from rsretrieve.index.external.geometry_columns import LON_LAT

CSV_SUFFIX = ".csv"
_ROWS = 10_000  # of a batch


@dataclass(frozen=True)
class EmbeddingTable:
    """An open table.

    Attributes:
        schema: Arrow's.
        count: the number of its rows.
        batches: reads the rows, with these columns.
        geometry_types: the CRS of the columns with Parquet's types GEOMETRY and GEOGRAPHY, by name.
    """

    schema: pyarrow.Schema
    count: int
    batches: Callable[[Sequence[str]], Iterator[pyarrow.RecordBatch]]
    geometry_types: Mapping[str, str] = field(default_factory=dict)


@contextmanager
def open_table(path: Path) -> Iterator[EmbeddingTable]:
    """Open a table of embeddings.

    Raises:
        OSError, ValueError, pyarrow.ArrowException: it cannot be read.
    """
    if path.suffix.lower() == CSV_SUFFIX:
        yield _csv(path)
        return
    with parquet.ParquetFile(path) as file:
        refuse_bombs(path, file)
        yield EmbeddingTable(
            file.schema_arrow,
            file.metadata.num_rows,
            lambda names: file.iter_batches(_ROWS, columns=list(names)),
            _geometry_types(file),
        )


def _csv(path: Path) -> EmbeddingTable:
    """Read a CSV as pyarrow does: numbers are found by their form, and empty cells are null."""
    from pyarrow import csv

    table = csv.read_csv(path)
    return EmbeddingTable(
        table.schema, table.num_rows, lambda names: iter(table.select(names).to_batches(_ROWS))
    )


def _geometry_types(file: parquet.ParquetFile) -> dict[str, str]:
    found = {}
    for i in range(len(file.schema.names)):
        column = file.schema.column(i)
        kind = str(getattr(column.logical_type, "type", ""))
        if kind not in ("GEOMETRY", "GEOGRAPHY"):
            continue
        told = parsed(column.logical_type.to_json())
        found[column.name] = str(told.get("crs") or LON_LAT)
    return found
