"""Embeddings that somebody made elsewhere: a .npy array, or a Parquet table."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsretrieve.errors import InputError, InvalidArgument, TableError
from rsretrieve.tiles.labels import some_of
from rsretrieve.tiles.records import Tile, TileSet, split_window
from rsretrieve.tiles.tables import PARQUET_SUFFIXES

EMBEDDING_COLUMN = "embedding"


@dataclass(frozen=True)
class GivenEmbeddings:
    """Embeddings and the tiles they are of, row by row.

    Attributes:
        source: the file, for messages.
        tiles: N tiles.
        vectors: (N, D) of any float type, of any length; maybe memory-mapped.
    """

    source: str
    tiles: TileSet
    vectors: NDArray[Any]

    def rows_of(self, tiles: TileSet) -> NDArray[np.int64]:
        """The rows of these tiles, by their ids: (n,) int64.

        Raises:
            InputError: one of them has no embedding.
        """
        if len(tiles) == len(self.tiles) and all(a.id == b.id for a, b in zip(tiles, self.tiles)):
            return np.arange(len(tiles))
        row_of = {tile.id: row for row, tile in enumerate(self.tiles)}
        missing = [tile.id for tile in tiles if tile.id not in row_of]
        if missing:
            raise InputError(
                f"{self.source} has no embedding of {len(missing)} of {len(tiles)} tiles "
                f"({some_of(missing)})",
                hint="leave them out of the list, or embed them",
            )
        return np.array([row_of[tile.id] for tile in tiles], np.int64)


def read_embeddings(path: Path, tiles: TileSet | None) -> GivenEmbeddings:
    """Read embeddings.

    Args:
        path: a .npy of shape (N, D), whose rows are the tiles in their order; or a Parquet
            file with the columns `tile` and `embedding` (a list of D numbers), and, where no
            tiles are given, `label` and optionally `path`.
        tiles: the tiles; may be None with Parquet.

    Raises:
        InputError: a .npy that is none, or has not a row a tile.
        TableError: a Parquet file that is none, or lacks a column.
        InvalidArgument: neither of the two, or a .npy without tiles.
    """
    suffix = path.suffix.lower()
    if suffix in PARQUET_SUFFIXES:
        return _read_parquet(path, tiles)
    if suffix != ".npy":
        raise InvalidArgument(
            f"{path}: embeddings are read from .npy and {', '.join(PARQUET_SUFFIXES)}"
        )
    if tiles is None:
        raise InvalidArgument(
            f"{path} says nothing of tiles",
            hint="name them as TILES: a folder, or a list (tile,label) with a line for each row",
        )
    return GivenEmbeddings(str(path), tiles, _read_npy(path, tiles))


def _read_npy(path: Path, tiles: TileSet) -> NDArray[Any]:
    try:
        vectors: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path}: cannot be read as a .npy array ({error})") from error
    _require_matrix(path, vectors)
    if len(vectors) != len(tiles):
        raise InputError(
            f"{path} has {len(vectors)} rows, and {tiles.source} has {len(tiles)} tiles",
            hint="there must be one row for each tile, in the tiles' order (a folder's is by id)",
        )
    return vectors


def _require_matrix(path: Path, vectors: NDArray[Any]) -> None:
    if vectors.ndim != 2 or vectors.dtype.kind != "f" or 0 in vectors.shape:
        raise InputError(
            f"{path} holds {vectors.dtype} of shape {vectors.shape}, not floats of shape (N, D)"
        )


def _read_parquet(path: Path, tiles: TileSet | None) -> GivenEmbeddings:
    import pyarrow
    from pyarrow import parquet

    try:
        schema = parquet.read_schema(path)
        _require_columns(path, schema.names, tiles)
        wanted = ["tile", EMBEDDING_COLUMN, "label", "path"]
        table = parquet.read_table(path, columns=[name for name in wanted if name in schema.names])
    except FileNotFoundError as error:
        raise TableError(f"{path}: no such file") from error
    except (pyarrow.ArrowException, OSError) as error:
        raise TableError(f"{path}: cannot be read as a Parquet file ({error})") from error
    vectors = _matrix_of(path, table.column(EMBEDDING_COLUMN).combine_chunks())
    named = _tiles_of(path, table)
    given = GivenEmbeddings(str(path), named, vectors)
    return (
        given if tiles is None else GivenEmbeddings(str(path), tiles, vectors[given.rows_of(tiles)])
    )


def _require_columns(path: Path, names: list[str], tiles: TileSet | None) -> None:
    required = ["tile", EMBEDDING_COLUMN] + (["label"] if tiles is None else [])
    missing = [name for name in required if name not in names]
    if missing:
        hint = f"the columns are {', '.join(names)}"
        if missing == ["label"]:
            hint += "; or name labelled TILES, or give --labels"
        raise TableError(f"{path}: no column {missing[0]!r}", hint=hint)


def _matrix_of(path: Path, column: Any) -> NDArray[Any]:
    """A column of lists of numbers, all equally long, as (N, D)."""
    import pyarrow

    kind = column.type
    is_list = pyarrow.types.is_list(kind) or pyarrow.types.is_fixed_size_list(kind)
    if not is_list and not pyarrow.types.is_large_list(kind):
        raise TableError(f"{path}: the column {EMBEDDING_COLUMN!r} holds {kind}, not lists")
    flat = column.flatten().to_numpy(zero_copy_only=False)
    rows = len(column)
    if column.null_count or not rows or len(flat) % rows or flat.dtype.kind != "f":
        raise TableError(f"{path}: {_NOT_A_MATRIX}")
    if not pyarrow.types.is_fixed_size_list(kind):
        lengths = np.diff(column.offsets.to_numpy())
        if (lengths != lengths[0]).any():
            raise TableError(f"{path}: {_NOT_A_MATRIX}")
    vectors: NDArray[Any] = flat.reshape(rows, -1)
    _require_matrix(path, vectors)
    return vectors


_NOT_A_MATRIX = f"the column {EMBEDDING_COLUMN!r} does not hold equally many numbers in each row"


def _tiles_of(path: Path, table: Any) -> TileSet:
    ids = table.column("tile").to_pylist()
    nothing = [None] * len(ids)
    labels = table.column("label").to_pylist() if "label" in table.column_names else nothing
    paths = table.column("path").to_pylist() if "path" in table.column_names else nothing
    seen = len(set(ids))
    if seen != len(ids) or None in ids:
        raise TableError(
            f"{path}: {len(ids) - seen + ids.count(None)} tile ids are empty or repeated"
        )
    return TileSet(
        str(path),
        tuple(_tile(path, str(i), p, label) for i, p, label in zip(ids, paths, labels)),
    )


def _tile(source: Path, tile_id: str, path: str | None, label: str | None) -> Tile:
    file_part, window = split_window(tile_id)
    place = os.path.join(source.parent, path or file_part)  # noqa: PTH118 (a million times)
    return Tile(tile_id, place, label or None, window)
