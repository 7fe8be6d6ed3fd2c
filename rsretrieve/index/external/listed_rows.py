"""The rows of vectors that have no ids of their own: those of a list, or numbers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pyarrow

from rsretrieve.data.tile import TileSet
from rsretrieve.errors import TableError
from rsretrieve.index.external.mapped_rows import BLOCK_ROWS, MappedRows
from rsretrieve.index.external.table_rows import date_arrays, numbered_ids, table_of
from rsretrieve.index.store.tile_table import TileTable

_TILES_AT_ONCE = 10_000


class ListedTiles(Protocol):
    """Tiles that are listed again and again, and never all in memory."""

    @property
    def name(self) -> str:
        """The source, for messages."""

    @property
    def count(self) -> int:
        """The number of tiles."""

    def sets(self, size: int) -> Iterator[TileSet]:
        """The tiles in sets of at most `size`."""


Listing = TileSet | ListedTiles


def numbered_rows(count: int) -> TileTable:
    """Rows whose ids are their numbers, from 0.

    Raises:
        OSError: the temporary folder is full.
    """
    rows = MappedRows(count)
    for start in range(0, count, BLOCK_ROWS):
        some = min(BLOCK_ROWS, count - start)
        rows.append(table_of({"id": numbered_ids(start, some)}, some).columns)
    return rows.table()


def listed_rows(path: Path, listing: Listing, count: int) -> TileTable:
    """The rows of vectors, in the order of a list.

    Args:
        path: the file of vectors, for messages.
        listing: the tiles.
        count: the number of vectors.

    Raises:
        TableError: there are more or fewer tiles.
        OSError: the temporary folder is full.
    """
    source, listed = (
        (listing.source, len(listing))
        if isinstance(listing, TileSet)
        else (listing.name, listing.count)
    )
    if listed != count:
        raise TableError(
            f"{path} has {count} rows, but {source} has {listed} tiles",
            hint="row i of the array is the vector of tile i of the list",
        )
    rows = MappedRows(count)
    for some in _sets(listing):
        rows.append(_columns(some))
    return rows.table()


def _sets(listing: Listing) -> Iterator[TileSet]:
    if not isinstance(listing, TileSet):
        yield from listing.sets(_TILES_AT_ONCE)
        return
    for start in range(0, len(listing), _TILES_AT_ONCE):
        yield listing.select(range(start, min(start + _TILES_AT_ONCE, len(listing))))


def _columns(tiles: TileSet) -> pyarrow.Table:
    read_px = [tile.window and tile.window.read_px for tile in tiles]
    columns = {
        "id": pyarrow.array([tile.id for tile in tiles]),
        "path": pyarrow.array([tile.location.absolute() for tile in tiles]),
        "label": pyarrow.array([tile.label for tile in tiles], pyarrow.string()),
        "read_px": pyarrow.array(read_px, pyarrow.int32()),
    }
    columns |= date_arrays([tile.taken for tile in tiles])
    return table_of(columns, len(tiles)).columns
