"""Embeddings made elsewhere, and which row of them is which tile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsretrieve.errors import InputError, InvalidArgument
from rsretrieve.retrieval.foreign import read_embeddings
from rsretrieve.retrieval.table import IndexedTile, TileTable
from rsretrieve.tiles.failures import FailureLog
from rsretrieve.tiles.labels import some_of
from rsretrieve.tiles.records import Tile, TileSet, split_window
from rsretrieve.tiles.sources import is_elsewhere
from rsretrieve.tiles.tables import PARQUET_SUFFIXES


@dataclass(frozen=True)
class GivenEmbeddings:
    """Embeddings and the tiles they are of.

    Attributes:
        source: the file, for messages.
        tiles: all of them, those whose embedding cannot be used too.
        ids: (M,) the tiles of the rows that can be used.
        vectors: (M, D) float32, unit rows; maybe memory-mapped.
        unusable: the tiles that have an embedding without a direction.
    """

    source: str
    tiles: TileSet
    ids: Sequence[str]
    vectors: NDArray[Any]
    unusable: frozenset[str]

    def of(self, tiles: TileSet) -> tuple[TileSet, NDArray[np.int64]]:
        """Those of these tiles that can be used, and their rows: (n,) int64.

        Raises:
            InputError: one of them has no embedding at all.
        """
        row_of = {tile_id: row for row, tile_id in enumerate(self.ids)}
        found = np.array([row_of.get(tile.id, -1) for tile in tiles], np.int64)
        absent = np.flatnonzero(found < 0).tolist()
        missing = [tiles[i].id for i in absent if tiles[i].id not in self.unusable]
        if missing:
            raise InputError(
                f"{self.source} has no embedding of {len(missing)} of {len(tiles)} tiles "
                f"({some_of(missing)})",
                hint="leave them out of the list, or embed them",
            )
        if not absent:
            return tiles, found
        kept = np.flatnonzero(found >= 0)
        return tiles.select(kept.tolist()), found[kept]


def given_embeddings(path: Path, tiles: TileSet | None, log: FailureLog) -> GivenEmbeddings:
    """Read embeddings of tiles.

    Args:
        path: a `.npy`, whose rows are the tiles in their order, or a Parquet file, which names
            its tiles; see `read_embeddings`.
        tiles: the tiles; None with a Parquet file: all that it names, with its labels.
        log: takes those whose embedding cannot be used.

    Raises:
        TableError, NoUsableTiles: see `read_embeddings`.
        InvalidArgument: a `.npy` without tiles.
    """
    names_its_tiles = path.suffix.lower() in PARQUET_SUFFIXES
    if tiles is None and path.suffix.lower() == ".npy":
        raise InvalidArgument(
            f"{path} says nothing of tiles",
            hint="name them as TILES: a folder, or a list (tile,label) with a line for each row",
        )
    failed_before = len(log.failures)
    content = read_embeddings(path, None if names_its_tiles else tiles, log)
    unusable = frozenset(failure.tile_id for failure in log.failures[failed_before:])
    ids = TileTable.of(content.rows).column("id")
    if tiles is None:
        tiles = TileSet(str(path), tuple(_tile(path.parent, row) for row in content.rows))
    return GivenEmbeddings(str(path), tiles, ids, content.vectors, unusable)


def _tile(folder: Path, row: IndexedTile) -> Tile:
    """A tile whose path, where the file tells none, is its id, as in a list of tiles."""
    named = row.path or split_window(row.id)[0]
    return replace(row.tile, path=named if is_elsewhere(named) else str(folder / named))
