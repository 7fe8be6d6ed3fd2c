"""Read external embeddings from tables: Parquet, and CSV."""

from __future__ import annotations

import csv as python_csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow
from pyarrow import parquet

from rsretrieve._core.sealing import json_object, parsed
from rsretrieve._core.tables import open_parquet, refuse_bombs
from rsretrieve.data.dates.given_dates import DATE_COLUMNS, GivenDates
from rsretrieve.data.labels.label_column import LabelColumn
from rsretrieve.data.run_context import RunContext
from rsretrieve.errors import InvalidArgument, LabelsError, TableError
from rsretrieve.index.external.choices import EmbeddingChoices
from rsretrieve.index.external.embedding_columns import ID_COLUMNS, find_columns
from rsretrieve.index.external.mapped_rows import MappedRows, first_repeated
from rsretrieve.index.external.places.geometry_columns import PlaceReader
from rsretrieve.index.external.places.geometry_crs import LON_LAT
from rsretrieve.index.external.places.place_columns import BatchPlaces
from rsretrieve.index.external.places.scene_places import with_scene_places
from rsretrieve.index.external.raw_embeddings import RawEmbeddings
from rsretrieve.index.external.reading_facts import with_checked_reading
from rsretrieve.index.external.stored_vectors import VectorReader
from rsretrieve.index.external.table_rows import RowReader
from rsretrieve.index.store.tile_schema import SCHEMA

CSV_SUFFIX = ".csv"
LONG_CSV_BYTES, CSV_BLOCK_BYTES = 1 << 26, 1 << 20
METADATA_KEY = b"rsretrieve"  # where the export writes the model of the embeddings
_NO_EMBEDDINGS = (
    *(OSError, pyarrow.ArrowException, ValueError, TypeError, LookupError),
    *(AttributeError, OverflowError, RecursionError),
)
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
def open_table(path: Path, id_column: str | None = None) -> Iterator[EmbeddingTable]:
    """Open a table of embeddings.

    Args:
        path: the table.
        id_column: the column of ids that the user named.

    Raises:
        OSError, ValueError, pyarrow.ArrowException: it cannot be read.
    """
    if path.suffix.lower() == CSV_SUFFIX:
        yield _csv(path, _text_columns(path, id_column))
        return
    with open_parquet(path) as file:
        refuse_bombs(path, file)
        yield EmbeddingTable(
            file.schema_arrow,
            file.metadata.num_rows,
            lambda names: file.iter_batches(_ROWS, columns=list(names)),
            _geometry_types(file),
        )


def _text_columns(path: Path, id_column: str | None) -> dict[str, pyarrow.DataType]:
    """The columns of a CSV that hold texts, also where all look like numbers, as `0001` does."""
    texts = {*ID_COLUMNS, "label", "path", (id_column or "").strip().lower()}
    names: list[str] = []
    with (
        path.open(encoding="utf-8-sig", errors="replace", newline="") as stream,
        suppress(python_csv.Error),  # pyarrow says what is wrong
    ):
        names = next(python_csv.reader(stream), [])
    return {name: pyarrow.string() for name in names if name.strip().lower() in texts}


def _csv(path: Path, texts: Mapping[str, pyarrow.DataType]) -> EmbeddingTable:
    """Read a CSV as pyarrow does: numbers are found by their form, and empty cells are null.

    Ids, labels and paths are read as they are written. A long one is read block by block. The
    types of its first block are those of the whole file if all other values fit them, because
    pyarrow takes the first of its types that fits all values.
    """
    from pyarrow import csv

    if path.stat().st_size >= LONG_CSV_BYTES:
        with suppress(pyarrow.ArrowInvalid):
            return _long_csv(path, texts)
    table = csv.read_csv(path, convert_options=csv.ConvertOptions(column_types=texts))
    return EmbeddingTable(
        table.schema, table.num_rows, lambda names: iter(table.select(names).to_batches(_ROWS))
    )


def _long_csv(path: Path, texts: Mapping[str, pyarrow.DataType]) -> EmbeddingTable:
    """A CSV that is read twice, block by block.

    Raises:
        pyarrow.ArrowInvalid: values do not fit the types of the first block.
    """
    from pyarrow import csv

    reading = csv.ReadOptions(block_size=CSV_BLOCK_BYTES)
    inferred = csv.ConvertOptions(column_types=texts)
    with csv.open_csv(path, reading, convert_options=inferred) as first:
        schema, count = first.schema, sum(map(len, first))

    def batches(names: Sequence[str]) -> Iterator[pyarrow.RecordBatch]:
        chosen = csv.ConvertOptions(column_types=schema, include_columns=list(names))
        with csv.open_csv(path, reading, convert_options=chosen) as file:
            for block in file:
                for start in range(0, len(block), _ROWS):
                    yield block.slice(start, _ROWS)

    return EmbeddingTable(schema, count, batches)


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


def read_table_of_embeddings(
    path: Path, context: RunContext, choices: EmbeddingChoices, *, may_lack: bool
) -> RawEmbeddings:
    """Read external embeddings from a table; with `may_lack`, all vectors may be missing.

    Raises:
        TableError, LabelsError, InvalidArgument: as in `read_embeddings`.
    """
    try:
        with open_table(path, choices.id_column) as table:
            return _from_open_table(path, table, context, choices, may_lack=may_lack)
    except FileNotFoundError as error:
        raise TableError(f"{path}: no such file") from error
    except (TableError, LabelsError, InvalidArgument):
        raise
    except _NO_EMBEDDINGS as error:
        kind = "CSV" if path.suffix.lower() == CSV_SUFFIX else "Parquet"
        raise TableError(f"{path}: cannot be read as {kind} ({error})") from error


def _from_open_table(
    path: Path,
    table: EmbeddingTable,
    context: RunContext,
    choices: EmbeddingChoices,
    *,
    may_lack: bool,
) -> RawEmbeddings:
    columns = find_columns(path, table.schema, choices)
    places = PlaceReader.of(table.schema, table.geometry_types)
    labels = LabelColumn(path, rows="tile")
    batch_places = BatchPlaces(path, places, columns.coordinates, context)
    dates = GivenDates(path)
    reader = RowReader(path, columns, batch_places, labels, dates)
    metadata = table.schema.metadata or {}
    emb = json_object(metadata.get(b"emb", b""))
    vectors = VectorReader(path, columns, table.count, choices, emb, may_lack)
    told = {*columns.named, places.geometry, *SCHEMA.names, *DATE_COLUMNS}
    rows, start = MappedRows(table.count), 0
    for batch in table.batches([name for name in table.schema.names if name in told]):
        vectors.add(batch, start)
        rows.append(reader.read(batch, start))
        start += len(batch)
    for notice in (*labels.notices, *dates.notices):
        context.notice(notice)
    if columns.id is None:
        context.notice(f"{path} names no ids: its rows are numbered from 0")
    found = rows.table()
    ids = found.columns.column("id")
    repeated = None if columns.id is None else first_repeated(ids, empty_too=False)
    if repeated is not None:
        raise TableError(
            f"{path}: the column {columns.id!r} names a tile twice: {repeated!r}",
            hint="name another column of ids with --id-column",
        )
    raw, missing = vectors.result(context)
    found = with_scene_places(path.parent, found, context)
    provenance = _provenance(path, metadata)
    provenance = with_checked_reading(path, provenance, table.schema.names, found, context)
    if raw.shape[1] < vectors.dimensions:
        provenance = _of_cut_vectors(provenance, vectors.dimensions, context)
    return RawEmbeddings(found, raw, provenance, missing, is_numbered=columns.id is None)


def _of_cut_vectors(
    provenance: dict[str, Any], dimensions: int, context: RunContext
) -> dict[str, Any]:
    """The provenance of vectors that are no longer those of their model."""
    rest = {key: value for key, value in provenance.items() if not key.startswith("model")}
    if len(rest) < len(provenance):
        context.notice(
            "the vectors were cut, so the index does not fit their model: query it by tiles, "
            "places and vectors, not by images"
        )
    return {**rest, "cut_from_dimensions": dimensions}


def _provenance(path: Path, metadata: dict[bytes, bytes]) -> dict[str, Any]:
    """The source of the vectors, with the model that rsretrieve's own export names."""
    found: dict[str, Any] = {"embeddings": str(path.resolve())}
    try:
        told = parsed(metadata.get(METADATA_KEY, b"{}").decode())
    except (ValueError, RecursionError):  # another program's entry under this key
        return found
    return {**found, **told} if isinstance(told, dict) else found
