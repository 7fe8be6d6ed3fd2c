"""Read external embeddings, with their ids and footprints, from a table, an array or a raster."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
from numpy.typing import NDArray

from rsretrieve._core.sealing import parsed
from rsretrieve._core.tables import PARQUET_SUFFIXES
from rsretrieve.data.dates.given_dates import DATE_COLUMNS, GivenDates
from rsretrieve.data.failures import Failure
from rsretrieve.data.labels.labels import LabelColumn
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.errors import InvalidArgument, LabelsError, NoUsableTiles, TableError
from rsretrieve.index.external.choices import EmbeddingChoices
from rsretrieve.index.external.embedding_columns import find_columns
from rsretrieve.index.external.embedding_raster import RASTER_SUFFIXES, read_raster
from rsretrieve.index.external.embedding_tables import CSV_SUFFIX, EmbeddingTable, open_table
from rsretrieve.index.external.geometry_columns import PlaceReader
from rsretrieve.index.external.place_columns import BatchPlaces
from rsretrieve.index.external.query_vectors import mapped_array
from rsretrieve.index.external.scene_places import with_scene_places
from rsretrieve.index.external.stored_vectors import VectorReader, emb_metadata
from rsretrieve.index.external.table_rows import RowReader, date_arrays, numbered_ids, table_of
from rsretrieve.index.store.tile_table import SCHEMA, TileTable
from rsretrieve.index.write import IndexContent

METADATA_KEY = b"rsretrieve"  # where the export writes the model of the embeddings
TABLE_SUFFIXES = (*PARQUET_SUFFIXES, CSV_SUFFIX)
SUFFIXES = (".npy", *TABLE_SUFFIXES, *RASTER_SUFFIXES)
_BLOCK = 65_536
_NO_EMBEDDINGS = (
    *(OSError, pyarrow.ArrowException, ValueError, TypeError, LookupError),
    *(AttributeError, OverflowError, RecursionError),
)
_UNIT = 1e-4  # tolerance of a unit norm


@dataclass(frozen=True)
class EmbeddingChanges:
    """Embeddings, and the tiles whose row has none.

    Attributes:
        content: the tiles with an embedding; None if there are none.
        missing: ids of the rows without a vector.
    """

    content: IndexContent | None
    missing: tuple[str, ...]


def read_embeddings(
    path: Path,
    listing: TileSet | None,
    context: RunContext,
    choices: EmbeddingChoices = EmbeddingChoices(),
) -> IndexContent:
    """Read external embeddings and L2-normalise them.

    A table (Parquet or CSV) has a column of ids (`id`, `tile`, `unique_id`, `tile_id`, `index`; its
    rows are numbered if there is none), and vectors: a column of lists of numbers (`embedding`,
    `vector`, `embeddings`), or a column a dimension (`A00`, `A01` …, `embedding_0` …). Optional are
    `label`, `path` and a place: `geometry`, `longitude` and `latitude`, or the columns that
    rsretrieve's own export writes. A `.npy` file holds an array (N, D); its tiles are those of
    `listing`, row by row, or are numbered from 0. A raster has a band a dimension; each pixel is
    a tile, or the mean of each window is one.

    A tile without a place whose id is a window (`scene.tif#col,row,width,height`) gets the place
    that this window has in the scene, if the scene lies beside the file.

    Args:
        path: the file.
        listing: the tiles of a `.npy` file, or None.
        context: receives the rows whose vector is zero, missing or not finite, and notices.
        choices: columns, dimensions and windows.

    Returns:
        N tiles with their vectors, and entries for the manifest.

    Raises:
        TableError: the file cannot be read as embeddings, or does not fit `listing`.
        InvalidArgument: more dimensions are wanted than there are, or too many pixels.
        NoUsableTiles: no row can be used.
    """
    raw = _read(path, listing, context, choices)
    return _normalised(path, raw, context)


def read_changes(
    path: Path,
    listing: TileSet | None,
    context: RunContext,
    choices: EmbeddingChoices = EmbeddingChoices(),
) -> EmbeddingChanges:
    """As `read_embeddings`, for a file in which a row without a vector means a removed tile.

    Raises:
        TableError, InvalidArgument: as in `read_embeddings`; or rows have no ids.
    """
    raw = _read(path, listing, context, choices, may_lack=True)
    if raw.is_numbered:
        raise TableError(
            f"{path}: changes are matched by id, and its rows have no ids",
            hint="name the column of ids with --id-column, or give the list of tiles",
        )
    missing = tuple(raw.rows.columns.column("id").take(np.flatnonzero(raw.missing)).to_pylist())
    kept = np.flatnonzero(~raw.missing)
    if not len(kept):
        return EmbeddingChanges(None, missing)
    rest = _Raw(TileTable(raw.rows.columns.take(kept)), raw.vectors[kept], raw.provenance)
    return EmbeddingChanges(_normalised(path, rest, context), missing)


@dataclass(frozen=True)
class _Raw:
    """What a file holds.

    Attributes:
        rows: N tiles.
        vectors: (N, D) numbers, zero where a vector is missing.
        provenance: the source of the vectors.
        missing: (N,) which rows have no vector.
        is_numbered: the rows have no ids of their own.
    """

    rows: TileTable
    vectors: NDArray[Any]
    provenance: dict[str, Any]
    missing: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))
    is_numbered: bool = False


def _read(
    path: Path,
    listing: TileSet | None,
    context: RunContext,
    choices: EmbeddingChoices,
    *,
    may_lack: bool = False,
) -> _Raw:
    """What a file holds; with `may_lack`, all vectors of a table may be missing."""
    suffix = path.suffix.lower()
    if suffix in (*TABLE_SUFFIXES, *RASTER_SUFFIXES) and listing is not None:
        raise TableError(f"{path} names its own tiles: leave out TILES")
    if suffix not in RASTER_SUFFIXES and choices.windows is not None:
        raise TableError(
            f"{path} is no raster, so --window and --stride do not apply",
            hint="give them with a raster of embeddings, or leave them out",
        )
    if suffix in TABLE_SUFFIXES:
        return _from_table(path, context, choices, may_lack=may_lack)
    if suffix not in SUFFIXES:
        raise TableError(
            f"{path} is neither a .npy nor a Parquet file, nor CSV or a raster",
            hint="give an array (N, D) as .npy, a table (Parquet or CSV) with ids and vectors, or "
            "a GeoTIFF with a band a dimension",
        )
    if choices.id_column or choices.vector_column:
        raise TableError(f"{path} has no columns: leave out --id-column and --vector-column")
    if suffix == ".npy":
        return _from_npy(path, listing, context, choices)
    rows, vectors = read_raster(path, choices, context)
    missing = np.zeros(len(rows), bool)
    return _Raw(rows, vectors, {"embeddings": str(path.resolve())}, missing)


def _from_npy(
    path: Path, listing: TileSet | None, context: RunContext, choices: EmbeddingChoices
) -> _Raw:
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
    if listing is None:
        rows = table_of({"id": numbered_ids(0, len(raw))}, len(raw))
    else:
        rows = with_scene_places(path.parent, _listed(path, listing, len(raw)), context)
    raw = raw[:, : choices.cut(path, raw.shape[1])]
    missing = np.zeros(len(raw), bool)
    provenance = {"embeddings": str(path.resolve())}
    return _Raw(rows, raw, provenance, missing, is_numbered=listing is None)


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
    columns |= date_arrays([tile.taken for tile in listing])
    return table_of(columns, count)


def _read_px(tile: Tile) -> int | None:
    return None if tile.window is None else tile.window.read_px


def _from_table(
    path: Path, context: RunContext, choices: EmbeddingChoices, *, may_lack: bool
) -> _Raw:
    try:
        with open_table(path) as table:
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
) -> _Raw:
    columns = find_columns(path, table.schema, choices)
    places = PlaceReader.of(table.schema, table.geometry_types)
    labels = LabelColumn(path, rows="tile")
    batch_places = BatchPlaces(path, places, columns.coordinates, context)
    dates = GivenDates(path)
    reader = RowReader(path, columns, batch_places, labels, dates)
    metadata = table.schema.metadata or {}
    emb = emb_metadata(metadata)
    vectors = VectorReader(path, columns, table.count, choices, emb, may_lack)
    told = {*columns.named, places.geometry, *SCHEMA.names, *DATE_COLUMNS}
    rows, start = [SCHEMA.empty_table()], 0
    for batch in table.batches([name for name in table.schema.names if name in told]):
        vectors.add(batch, start)
        rows.append(reader.read(batch, start))
        start += len(batch)
    for notice in (*labels.notices, *dates.notices):
        context.notice(notice)
    if columns.id is None:
        context.notice(f"{path} names no ids: its rows are numbered from 0")
    found = TileTable(pyarrow.concat_tables(rows).combine_chunks())
    if columns.id is not None and len(found.columns.column("id").unique()) != len(found):
        raise TableError(
            f"{path}: the column {columns.id!r} names a tile twice",
            hint="name another column of ids with --id-column",
        )
    raw, missing = vectors.result(context)
    found = with_scene_places(path.parent, found, context)
    provenance = _provenance(path, metadata)
    if raw.shape[1] < vectors.dimensions:
        provenance = _of_cut_vectors(provenance, vectors.dimensions, context)
    return _Raw(found, raw, provenance, missing, is_numbered=columns.id is None)


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


def _normalised(path: Path, raw: _Raw, context: RunContext) -> IndexContent:
    """Leave out unusable rows, and L2-normalise the others.

    An array that needs neither stays memory-mapped.
    """
    vectors, rows = raw.vectors, raw.rows
    norms = np.empty(len(vectors), np.float64)
    for start in range(0, len(vectors), _BLOCK):
        block = np.asarray(vectors[start : start + _BLOCK], np.float64)
        norms[start : start + len(block)] = np.linalg.norm(block, axis=1)
    usable = np.isfinite(norms) & (norms > 0)
    for i in np.flatnonzero(~usable).tolist():
        reason = (
            "its embedding is zero or missing" if norms[i] == 0 else "its embedding is not finite"
        )
        context.add_failure(Failure(rows[i].tile, reason))
    if not usable.any():
        raise NoUsableTiles(f"{path}: none of {len(vectors)} embeddings can be used")
    if vectors.dtype != np.float32 or not usable.all() or np.abs(norms - 1).max() > _UNIT:
        kept = np.flatnonzero(usable)
        unit = np.empty((len(kept), vectors.shape[1]), np.float32)
        for start in range(0, len(kept), _BLOCK):
            part = kept[start : start + _BLOCK]
            unit[start : start + len(part)] = vectors[part] / norms[part, None]
        vectors = unit
        rows = TileTable(rows.columns.take(kept)) if len(kept) < len(rows) else rows
    facts = {
        "model": str(raw.provenance.get("model") or ""),
        "model_fingerprint": str(raw.provenance.get("model_fingerprint") or ""),
        "provenance": raw.provenance,
    }
    return IndexContent(rows, vectors, facts)
