"""Embeddings made elsewhere, and which row of them is which tile."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsretrieve._core.paths import Location
from rsretrieve._core.tables import PARQUET_SUFFIXES
from rsretrieve.data.geo.place import Place
from rsretrieve.data.labels.labels import some_of
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.data.window import split_window
from rsretrieve.errors import InputError, InvalidArgument
from rsretrieve.index.external.embeddings_file import read_embeddings
from rsretrieve.index.store.tile_table import IndexedTile, TileTable


class TablePlaces(Mapping[str, Place]):
    """Where the tiles of a table lie, each made when it is asked for: there may be a million.

    Args:
        ids: of the rows, in their order.
        table: the rows; those without a place are no keys.
    """

    def __init__(self, ids: Sequence[str], table: TileTable) -> None:
        self._ids = ids
        self._columns = [table.columns.column(name) for name in ("crs", "bounds", "footprint")]

    @cached_property
    def _row_of(self) -> dict[str, int]:
        placed = np.flatnonzero(self._columns[0].is_valid().to_numpy())
        return {self._ids[row]: row for row in placed.tolist()}

    def __getitem__(self, tile_id: str) -> Place:
        row = self._row_of[tile_id]
        crs, bounds, footprint = (column[row].as_py() for column in self._columns)
        return Place(crs, tuple(bounds), tuple((lon, lat) for lon, lat in footprint))

    def __iter__(self) -> Iterator[str]:
        return iter(self._row_of)

    def __len__(self) -> int:
        return len(self._ids) - int(self._columns[0].null_count)


@dataclass(frozen=True)
class GivenEmbeddings:
    """Embeddings and the tiles they are of.

    Attributes:
        source: the file, for messages.
        tiles: all of them, those whose embedding cannot be used too.
        ids: (M,) the tiles of the rows that can be used.
        vectors: (M, D) float32, unit rows; maybe memory-mapped.
        unusable: the tiles that have an embedding without a direction.
        places: tile id → where it lies, of those rows of which the file says so.
    """

    source: str
    tiles: TileSet
    ids: Sequence[str]
    vectors: NDArray[Any]
    unusable: frozenset[str]
    places: Mapping[str, Place] = field(default_factory=dict)

    @property
    def has_pixels(self) -> bool:
        """The tiles can be read, as far as the first that can be used tells."""
        usable = (tile for tile in self.tiles if tile.id not in self.unusable)
        return any(Path(tile.path).is_file() for tile in islice(usable, 1))

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


def given_embeddings(path: Path, tiles: TileSet | None, context: RunContext) -> GivenEmbeddings:
    """Read embeddings of tiles.

    Args:
        path: a `.npy`, whose rows are the tiles in their order, or a Parquet file, which names
            its tiles; see `read_embeddings`.
        tiles: the tiles; None with a Parquet file: all that it names, with its labels.
        context: takes those whose embedding cannot be used.

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
    failed_before = len(context.failures)
    content = read_embeddings(path, None if names_its_tiles else tiles, context)
    unusable = frozenset(failure.tile_id for failure in context.failures[failed_before:])
    table = TileTable.of(content.rows)
    ids = table.column("id")
    if tiles is None:
        tiles = TileSet(str(path), tuple(_tile(path.parent, row) for row in content.rows))
    has_places = table.columns.column("crs").null_count < len(table)
    places = TablePlaces(ids, table) if has_places else {}
    return GivenEmbeddings(str(path), tiles, ids, content.vectors, unusable, places)


def _tile(folder: Path, row: IndexedTile) -> Tile:
    """A tile whose path, where the file tells none, is its id, as in a list of tiles."""
    named = row.path or split_window(row.id)[0]
    return replace(row.tile, path=str(folder / named) if Location.parse(named).is_local else named)
