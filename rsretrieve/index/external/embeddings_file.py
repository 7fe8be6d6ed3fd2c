"""Read external embeddings, with their ids and footprints, from a Parquet or `.npy` file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
from numpy.typing import NDArray
from pyarrow import parquet

from rsretrieve._core.paths import storable
from rsretrieve._core.sealing import parsed
from rsretrieve._core.tables import PARQUET_SUFFIXES, refuse_bombs
from rsretrieve._core.tables.parquet_file import text_maker
from rsretrieve.data.failures import Failure
from rsretrieve.data.file_state import NO_FILE_BYTES
from rsretrieve.data.geo.place import Place
from rsretrieve.data.labels.labels import LabelColumn
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.errors import LabelsError, NoUsableTiles, TableError
from rsretrieve.index.external.embedding_columns import EmbeddingColumns, find_columns
from rsretrieve.index.external.geometry_columns import LON_LAT, PlaceReader
from rsretrieve.index.external.query_vectors import mapped_array
from rsretrieve.index.store.tile_table import SCHEMA, IndexedTile, TileTable
from rsretrieve.index.write import IndexContent

METADATA_KEY = b"rsretrieve"  # where the export writes the model of the embeddings
_BLOCK = 65_536
_CRS_HINT = "write the CRS of the geometries to the file, or write them in longitude and latitude"
_NO_EMBEDDINGS = (
    *(OSError, pyarrow.ArrowException, ValueError, TypeError, LookupError),
    *(AttributeError, OverflowError, RecursionError),
)
_UNIT = 1e-4  # tolerance of a unit norm


def read_embeddings(path: Path, listing: TileSet | None, context: RunContext) -> IndexContent:
    """Read external embeddings and L2-normalise them.

    A Parquet file has a column `id` (or `tile`), a column of lists of numbers with the vectors,
    and optionally `label`, `path` and a footprint: `geometry` (GeoParquet), or the columns that
    rsretrieve's own export writes. A `.npy` file holds an array (N, D); its tiles are those of
    `listing`, row by row, or are numbered from 0.

    Args:
        path: the file.
        listing: the tiles of a `.npy` file, or None.
        context: receives the rows whose vector is zero, missing or not finite.

    Returns:
        N tiles with their vectors, and entries for the manifest.

    Raises:
        TableError: the file cannot be read as embeddings, or does not fit `listing`.
        NoUsableTiles: no row can be used.
    """
    if path.suffix.lower() in PARQUET_SUFFIXES:
        if listing is not None:
            raise TableError(f"{path} names its own tiles: leave out TILES")
        return _from_parquet(path, context)
    if path.suffix.lower() == ".npy":
        return _from_npy(path, listing, context)
    raise TableError(
        f"{path} is neither a .npy nor a Parquet file",
        hint="give an array (N, D) as .npy, or a Parquet file with the columns id and embedding",
    )


def _from_npy(path: Path, listing: TileSet | None, context: RunContext) -> IndexContent:
    try:
        raw = mapped_array(path)
    except FileNotFoundError as error:
        raise TableError(f"{path}: no such file") from error
    except ValueError as error:
        raise TableError(f"{path} {error}", hint="expected: an array (N, D) as .npy") from error
    if raw.ndim != 2 or not raw.size:
        raise TableError(
            f"{path} holds {raw.dtype} {raw.shape}, not vectors of numbers",
            hint="expected: an array (N, D), one row per tile",
        )
    rows = _numbered(len(raw)) if listing is None else _listed(path, listing, len(raw))
    return _normalised(path, rows, raw, {"embeddings": str(path.resolve())}, context)


def _numbered(count: int) -> TileTable:
    ids = pyarrow.array(np.arange(count)).cast(pyarrow.string())
    return _table({"id": ids}, count)


def _listed(path: Path, listing: TileSet, count: int) -> TileTable:
    if len(listing) != count:
        raise TableError(
            f"{path} has {count} rows, but {listing.source} has {len(listing)} tiles",
            hint="row i of the array is the vector of tile i of the list",
        )
    columns = {
        "id": pyarrow.array([tile.id for tile in listing]),
        "path": pyarrow.array([tile.location.absolute() for tile in listing]),
        "label": pyarrow.array([tile.label for tile in listing], pyarrow.string()),
        "read_px": pyarrow.array([_read_px(tile) for tile in listing], pyarrow.int32()),
    }
    return _table(columns, count)


def _read_px(tile: Tile) -> int | None:
    return None if tile.window is None else tile.window.read_px


def _table(columns: dict[str, pyarrow.Array], count: int) -> TileTable:
    """A table of these columns; the others get the values for 'unknown'."""
    plain = {"path": "", "content": "", "size_bytes": NO_FILE_BYTES, "mtime_ns": 0}
    plain |= {"sidecars": "", "state": ""}
    arrays = []
    for entry in SCHEMA:
        if entry.name in columns:
            arrays.append(columns[entry.name])
        elif entry.name in plain:
            arrays.append(pyarrow.repeat(pyarrow.scalar(plain[entry.name], entry.type), count))
        else:
            arrays.append(pyarrow.nulls(count, entry.type))
    return TileTable(pyarrow.table(dict(zip(SCHEMA.names, arrays)), schema=SCHEMA))


def _from_parquet(path: Path, context: RunContext) -> IndexContent:
    try:
        with parquet.ParquetFile(path) as file:
            refuse_bombs(path, file)
            columns = find_columns(path, file)
            places = PlaceReader.of(file.schema_arrow, _geometry_types(file))
            count = file.metadata.num_rows
            raw = np.zeros((count, columns.dimensions), np.float32)
            rows: list[IndexedTile] = []
            labels = LabelColumn(path, rows="tile")
            told = {*columns.named, places.geometry, *SCHEMA.names}
            names = [name for name in file.schema_arrow.names if name in told]
            for batch in file.iter_batches(10_000, columns=names):
                raw[len(rows) : len(rows) + len(batch)] = _vectors_of(path, batch, columns)
                rows.extend(_rows_of(batch, columns, _Readers(path, places, labels, context)))
            provenance = _provenance(path, file.schema_arrow.metadata or {})
    except FileNotFoundError as error:
        raise TableError(f"{path}: no such file") from error
    except (TableError, LabelsError):
        raise
    except _NO_EMBEDDINGS as error:
        raise TableError(f"{path}: cannot be read as Parquet ({error})") from error
    for notice in labels.notices:
        context.notice(notice)
    if len({row.id for row in rows}) != len(rows):
        raise TableError(f"{path}: the column {columns.id!r} names a tile twice")
    return _normalised(path, TileTable.of(rows), raw, provenance, context)


def _vectors_of(
    path: Path, batch: pyarrow.RecordBatch, columns: EmbeddingColumns
) -> NDArray[np.float32]:
    """(B, D) float32, zero where a vector is missing."""
    listed = batch.column(batch.schema.get_field_index(columns.vector))
    vectors = np.zeros((len(batch), columns.dimensions), np.float32)
    valid = np.asarray(listed.is_valid())
    values = listed.drop_null().flatten().to_numpy(zero_copy_only=False)
    if len(values) != valid.sum() * columns.dimensions:
        raise TableError(f"{path}: not every vector has {columns.dimensions} dimensions")
    vectors[valid] = values.reshape(-1, columns.dimensions)
    return vectors


def _geometry_types(file: parquet.ParquetFile) -> dict[str, str]:
    """The CRS of the columns with Parquet's types GEOMETRY and GEOGRAPHY, by name."""
    found = {}
    for i in range(len(file.schema.names)):
        column = file.schema.column(i)
        kind = str(getattr(column.logical_type, "type", ""))
        if kind not in ("GEOMETRY", "GEOGRAPHY"):
            continue
        told = parsed(column.logical_type.to_json())
        found[column.name] = str(told.get("crs") or LON_LAT)
    return found


@dataclass(frozen=True)
class _Readers:
    """What reads the cells of a table.

    Attributes:
        path: the table, for messages.
        places: reads geometries.
        labels: reads labels.
        context: is told of places that are approximate or unknown.
    """

    path: Path
    places: PlaceReader
    labels: LabelColumn
    context: RunContext

    def place(self, tile_id: str, values: Mapping[str, Any]) -> Place | None:
        """Read the place of a row.

        Raises:
            TableError: its coordinates are of no known CRS.
        """
        try:
            placing = self.places.place(values)
        except ValueError as error:
            raise TableError(f"{self.path}: {error} (row {tile_id!r})", hint=_CRS_HINT) from error
        if placing.remark is not None:
            self.context.add_notes(tile_id, (placing.remark,))
        return placing.place


def _rows_of(
    batch: pyarrow.RecordBatch, columns: EmbeddingColumns, read: _Readers
) -> Iterator[IndexedTile]:
    wanted = [name for name in batch.schema.names if name != columns.vector]
    id_text, label_text, path_text = (
        text_maker(batch.schema.field(name).type if name else pyarrow.string())
        for name in (columns.id, columns.label, columns.path)
    )
    for values in batch.select(wanted).to_pylist():
        tile_id = id_text(values[columns.id])
        label = label_text(values[columns.label]) if columns.label else None
        yield IndexedTile(
            id=storable(tile_id),
            path=storable(path_text(values[columns.path])) if columns.path else "",
            label=read.labels.label(label, repr(tile_id)),
            size_bytes=_whole(values.get("size_bytes"), NO_FILE_BYTES),
            mtime_ns=_whole(values.get("mtime_ns"), 0),
            place=read.place(tile_id, values),
            content=str(values.get("content") or ""),
            sidecars=str(values.get("sidecars") or ""),
            state=str(values.get("state") or ""),
        )


def _whole(value: object, otherwise: int) -> int:
    """A 64-bit integer; `otherwise` if the value is missing."""
    if value is None:
        return otherwise
    if not isinstance(value, int) or not -1 <= value < 1 << 63:
        raise ValueError(f"{value!r} is not a size or time of a file")
    return value


def _provenance(path: Path, metadata: dict[bytes, bytes]) -> dict[str, Any]:
    """The source of the vectors, with the model that rsretrieve's own export names."""
    found: dict[str, Any] = {"embeddings": str(path.resolve())}
    try:
        told = parsed(metadata.get(METADATA_KEY, b"{}").decode())
    except (ValueError, RecursionError):  # another program's entry under this key
        return found
    return {**found, **told} if isinstance(told, dict) else found


def _normalised(
    path: Path,
    rows: TileTable,
    raw: NDArray[Any],
    provenance: dict[str, Any],
    context: RunContext,
) -> IndexContent:
    """Leave out unusable rows, and L2-normalise the others.

    An array that needs neither stays memory-mapped.
    """
    norms = np.empty(len(raw), np.float64)
    for start in range(0, len(raw), _BLOCK):
        block = np.asarray(raw[start : start + _BLOCK], np.float64)
        norms[start : start + len(block)] = np.linalg.norm(block, axis=1)
    usable = np.isfinite(norms) & (norms > 0)
    for i in np.flatnonzero(~usable).tolist():
        reason = (
            "its embedding is zero or missing" if norms[i] == 0 else "its embedding is not finite"
        )
        context.add_failure(Failure(rows[i].tile, reason))
    if not usable.any():
        raise NoUsableTiles(f"{path}: none of {len(raw)} embeddings can be used")
    if raw.dtype != np.float32 or not usable.all() or np.abs(norms - 1).max() > _UNIT:
        kept = np.flatnonzero(usable)
        unit = np.empty((len(kept), raw.shape[1]), np.float32)
        for start in range(0, len(kept), _BLOCK):
            part = kept[start : start + _BLOCK]
            unit[start : start + len(part)] = raw[part] / norms[part, None]
        raw = unit
        rows = TileTable(rows.columns.take(kept)) if len(kept) < len(rows) else rows
    facts = {
        "model": str(provenance.get("model") or ""),
        "model_fingerprint": str(provenance.get("model_fingerprint") or ""),
        "provenance": provenance,
    }
    return IndexContent(rows, raw, facts)
