"""Read external embeddings, with their ids and footprints, from a table, an array or a raster."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rsretrieve._core.tables import PARQUET_SUFFIXES
from rsretrieve.data.embedding_rasters.quantization import quantization_of
from rsretrieve.data.run_context import RunContext
from rsretrieve.errors import NoUsableTiles, TableError
from rsretrieve.index.external.choices import EmbeddingChoices
from rsretrieve.index.external.embedding_raster import RASTER_SUFFIXES, read_raster
from rsretrieve.index.external.embedding_tables import CSV_SUFFIX, read_table_of_embeddings
from rsretrieve.index.external.listed_rows import Listing, listed_rows, numbered_rows
from rsretrieve.index.external.mapped_rows import kept_rows
from rsretrieve.index.external.places.scene_places import with_scene_places
from rsretrieve.index.external.query_vectors import mapped_array
from rsretrieve.index.external.raw_embeddings import (
    RawEmbeddings,
    normalised,
    report_without_id,
    rows_without_id,
)
from rsretrieve.index.external.stored_vectors import flags_for
from rsretrieve.index.store.columns import taken
from rsretrieve.index.store.folder import IndexContent

TABLE_SUFFIXES = (*PARQUET_SUFFIXES, CSV_SUFFIX)
SUFFIXES = (".npy", *TABLE_SUFFIXES, *RASTER_SUFFIXES)


@dataclass(frozen=True)
class EmbeddingChanges:
    """Embeddings, and the tiles whose row has none.

    Attributes:
        content: the tiles with an embedding; None if there are none.
        missing: ids of the rows without a vector.
        model_fingerprint: of the model that the file names; empty if it names none.
    """

    content: IndexContent | None
    missing: tuple[str, ...]
    model_fingerprint: str


def read_embeddings(
    path: Path,
    listing: Listing | None,
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
    return normalised(path, raw, context)


def read_changes(
    path: Path,
    listing: Listing | None,
    context: RunContext,
    choices: EmbeddingChoices = EmbeddingChoices(),
) -> EmbeddingChanges:
    """As `read_embeddings`, for a file in which a row without a vector means a removed tile.

    Raises:
        TableError, InvalidArgument: as in `read_embeddings`; or no row has an id.
        NoUsableTiles: the column of ids is empty.
    """
    raw = _read(path, listing, context, choices, may_lack=True)
    if raw.is_numbered:
        raise TableError(
            f"{path}: changes are matched by id, and its rows have no ids",
            hint="name the column of ids with --id-column, or give the list of tiles",
        )
    nameless = rows_without_id(raw.rows, 0, len(raw.rows))
    report_without_id(raw.rows, np.flatnonzero(nameless), context)
    removed, kept = raw.missing & ~nameless, ~raw.missing & ~nameless
    missing = tuple(taken(raw.rows.columns.column("id"), np.flatnonzero(removed)).to_pylist())
    if not kept.any():
        if not removed.any():
            raise NoUsableTiles(f"{path}: none of {len(raw.rows)} rows has an id")
        return EmbeddingChanges(None, missing, raw.model_fingerprint)
    rest = RawEmbeddings(kept_rows(raw.rows, kept), raw.vectors[kept], raw.provenance)
    return EmbeddingChanges(normalised(path, rest, context), missing, raw.model_fingerprint)


def _read(
    path: Path,
    listing: Listing | None,
    context: RunContext,
    choices: EmbeddingChoices,
    *,
    may_lack: bool = False,
) -> RawEmbeddings:
    """What a file holds; with `may_lack`, all vectors of a table may be missing."""
    suffix = path.suffix.lower()
    if suffix in (*TABLE_SUFFIXES, *RASTER_SUFFIXES) and listing is not None:
        raise TableError(f"{path} names its own tiles: leave out TILES")
    if suffix not in RASTER_SUFFIXES and choices.windows is not None:
        raise TableError(
            f"{path} is not a raster, so --window and --stride do not apply",
            hint="give them with a raster of embeddings, or leave them out",
        )
    if suffix in TABLE_SUFFIXES:
        return read_table_of_embeddings(path, context, choices, may_lack=may_lack)
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
    return RawEmbeddings(rows, vectors, {"embeddings": str(path.resolve())}, missing)


def _from_npy(
    path: Path, listing: Listing | None, context: RunContext, choices: EmbeddingChoices
) -> RawEmbeddings:
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
        rows = numbered_rows(len(raw))
    else:
        rows = with_scene_places(path.parent, listed_rows(path, listing, len(raw)), context)
    if notice := quantization_of((), raw.dtype).notice:
        context.notice(f"{path}: {notice}")
    raw = raw[:, : choices.cut(path, raw.shape[1])]
    missing = flags_for(len(raw), value=False)
    provenance = {"embeddings": str(path.resolve())}
    return RawEmbeddings(rows, raw, provenance, missing, is_numbered=listing is None)
