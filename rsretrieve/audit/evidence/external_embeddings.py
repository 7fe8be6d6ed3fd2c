"""Embeddings made by another program, matched to tiles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsretrieve._core.paths import Location
from rsretrieve._core.text import some_of
from rsretrieve.data.geo.place import Place
from rsretrieve.data.labels.labels import by_tile_id
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.data.window import split_window
from rsretrieve.errors import InputError, InvalidArgument, ModelError
from rsretrieve.index.external.embeddings_file import TABLE_SUFFIXES, read_embeddings
from rsretrieve.index.store.folder import IndexStore, open_index
from rsretrieve.index.store.tile_table import IndexedTile, TileTable
from rsretrieve.network.metadata import read_description

_PLACE = ("crs", "bounds", "footprint", "parts")


class TablePlaces(Mapping[str, Place]):
    """Maps tile ids to places. Each place is made on access, since there may be a million.

    Args:
        ids: ids of the rows, in their order.
        table: the rows; those without a place are not in the mapping.
    """

    def __init__(self, ids: Sequence[str], table: TileTable) -> None:
        self._ids = ids
        self._columns = [table.columns.column(name) for name in _PLACE]

    @cached_property
    def _row_of(self) -> dict[str, int]:
        placed = np.flatnonzero(self._columns[0].is_valid().to_numpy())
        return {self._ids[row]: row for row in placed.tolist()}

    def __getitem__(self, tile_id: str) -> Place:
        row = self._row_of[tile_id]
        values = [column[row].as_py() for column in self._columns]
        return Place.from_json(dict(zip(_PLACE, values)))

    def __iter__(self) -> Iterator[str]:
        return iter(self._row_of)

    def __len__(self) -> int:
        return len(self._ids) - int(self._columns[0].null_count)


@dataclass(frozen=True)
class ExternalEmbeddings:
    """Embeddings and their tiles.

    Attributes:
        source: the file, for messages.
        tiles: all tiles, including those whose embedding cannot be used.
        ids: (M,) ids of the tiles whose embedding can be used.
        vectors: (M, D) float32, unit rows; may be memory-mapped.
        unusable: ids of the tiles whose embedding is zero, missing or not finite.
        places: tile id → where the tile lies, for rows with a place in the file.
    """

    source: str
    tiles: TileSet
    ids: Sequence[str]
    vectors: NDArray[Any]
    unusable: frozenset[str]
    places: Mapping[str, Place] = field(default_factory=dict)

    @property
    def has_pixels(self) -> bool:
        """Whether the tiles are files that can be read; the first usable tile decides."""
        usable = (tile for tile in self.tiles if tile.id not in self.unusable)
        return any(Path(tile.path).is_file() for tile in islice(usable, 1))

    def rows_for(self, tiles: TileSet) -> tuple[TileSet, NDArray[np.int64]]:
        """Match tiles to rows.

        Args:
            tiles: any tiles.

        Returns:
            The n tiles whose embedding can be used, and (n,) int64 their rows in `vectors`.

        Raises:
            InputError: the file has no embedding of some tile.
        """
        rows = {tile_id: row for row, tile_id in enumerate(self.ids)}
        row_of = by_tile_id(rows, {tile.id for tile in tiles}, Path(self.source))
        found = np.array([row_of.get(tile.id, -1) for tile in tiles], np.int64)
        absent = np.flatnonzero(found < 0).tolist()
        missing = [tiles[i].id for i in absent if tiles[i].id not in self.unusable]
        if missing:
            raise InputError(
                f"{self.source} has no embedding of {len(missing)} of {len(tiles)} tiles "
                f"({some_of(missing)})",
                hint="remove them from the list of tiles, or add their embeddings",
            )
        if not absent:
            return tiles, found
        kept = np.flatnonzero(found >= 0)
        return tiles.select(kept.tolist()), found[kept]


def read_external_embeddings(
    path: Path, tiles: TileSet | None, context: RunContext
) -> ExternalEmbeddings:
    """Read embeddings and match them to tiles.

    Args:
        path: a `.npy` file whose rows are the tiles in their order, a Parquet file that names
            its tiles (see `read_embeddings`), or an index folder.
        tiles: the tiles; None for all that a Parquet file or an index names, with its labels.
        context: receives the tiles whose embedding cannot be used.

    Raises:
        TableError, NoUsableTiles: see `read_embeddings`.
        IndexNotFound, IndexDamaged: see `open_index`.
        InvalidArgument: a `.npy` file, and no tiles.
    """
    if path.is_dir():
        return _of_index(open_index(path), tiles, context)
    names_its_tiles = path.suffix.lower() in TABLE_SUFFIXES
    if tiles is None and path.suffix.lower() == ".npy":
        raise InvalidArgument(
            f"{path} does not name its tiles",
            hint="give TILES: a folder, or a list (tile,label) with one line per row of the array",
        )
    failed_before = len(context.failures)
    content = read_embeddings(path, None if names_its_tiles else tiles, context)
    unusable = frozenset(failure.tile_id for failure in context.failures[failed_before:])
    table = TileTable.of(content.rows)
    if tiles is None:
        named = tuple(_tile(path.parent, row) for row in content.rows)
        tiles = TileSet(str(path), named, labels_file=path)
    places = _places(table)
    return ExternalEmbeddings(
        str(path), tiles, table.column("id"), content.vectors, unusable, places
    )


def _of_index(store: IndexStore, tiles: TileSet | None, context: RunContext) -> ExternalEmbeddings:
    """The stored vectors of an index, which stay memory-mapped."""
    if text := _may_know_labels(store):
        context.notice(text)
    if tiles is None:
        tiles = TileSet(str(store.folder), tuple(row.tile for row in store.rows))
    ids, places = store.rows.column("id"), _places(store.rows)
    return ExternalEmbeddings(str(store.folder), tiles, ids, store.vectors, frozenset(), places)


def _may_know_labels(store: IndexStore) -> str:
    """A warning, if the embeddings come from a model that learned classes; empty if not."""
    folder = store.manifest.model_path(store.folder)
    if folder is None:
        return ""
    with suppress(ModelError):
        if not read_description(folder).class_names:
            return ""
    return (
        f"{store.folder}: its embeddings come from {folder}, which may have learned these labels: "
        "wrong labels that it learned are not found. If it was trained on these tiles, give them "
        "with --model instead of --embeddings"
    )


def _places(table: TileTable) -> Mapping[str, Place]:
    has_places = table.columns.column("crs").null_count < len(table)
    return TablePlaces(table.column("id"), table) if has_places else {}


def _tile(folder: Path, row: IndexedTile) -> Tile:
    """The tile of a row; without a path, its id is the path, as in a list of tiles."""
    named = row.path or split_window(row.id)[0]
    return replace(row.tile, path=Location.parse(named).below(str(folder)))
