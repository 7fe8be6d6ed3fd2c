"""Query by example: from images to the tiles most like them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rsretrieve.errors import InvalidArgument, ModelNotFound
from rsretrieve.learning.model import Model
from rsretrieve.learning.model_store import DESCRIPTION_FILE
from rsretrieve.progress import Listener, unheard
from rsretrieve.retrieval.embedding import embed_tiles
from rsretrieve.retrieval.index_store import IndexStore
from rsretrieve.retrieval.indexing import require_same_model
from rsretrieve.retrieval.table import IndexedTile
from rsretrieve.retrieval.vector_index import usable_gpu
from rsretrieve.tiles.records import Tile, TileSet, absolute
from rsretrieve.tiles.stream import FailureLog


@dataclass(frozen=True)
class Hit:
    """A tile of the index that answers a query.

    Attributes:
        rank: from 1.
        similarity: the cosine, −1…1, higher is closer.
        found: the tile.
    """

    rank: int
    similarity: float
    found: IndexedTile


@dataclass(frozen=True)
class QueryResult:
    """A query image and its hits, best first."""

    query: Tile
    hits: tuple[Hit, ...]


def model_folder_of(store: IndexStore) -> Path:
    """Where the index says its model lies.

    Raises:
        ModelNotFound: it is no longer there.
    """
    folder = Path(store.manifest.model)
    if not (folder / DESCRIPTION_FILE).is_file():
        raise ModelNotFound(
            f"the model of {store.folder} is no longer at {folder}",
            hint="say where it is now with --model DIR",
        )
    return folder


def query_images(
    store: IndexStore,
    model: Model,
    images: TileSet,
    k: int,
    log: FailureLog,
    listener: Listener = unheard,
    *,
    exclude_self: bool = False,
) -> list[QueryResult]:
    """Find the tiles most like each image.

    Args:
        store: the index.
        model: the one that it was built with.
        images: the queries.
        k: how many hits each.
        log: takes the images that cannot be read.
        listener: is told how the work goes.
        exclude_self: leave out hits that are the query's own file.

    Returns:
        One result an image that could be read, in their order.

    Raises:
        InvalidArgument: k below 1.
        ModelMismatch: another model than the index was built with.
        NoUsableTiles: not one image can be read.
    """
    if k < 1:
        raise InvalidArgument(f"at least one hit must be asked for, not {k}")
    require_same_model(store, model)
    embedded = embed_tiles(model, images, log, listener)
    own = _own_rows(store, embedded.tiles) if exclude_self else [set()] * len(embedded.tiles)
    most_own = max(map(len, own), default=0)
    vector_index = store.open_vector_index(usable_gpu(str(model.device)))
    similarities, rows = vector_index.search(embedded.vectors, k + most_own)
    return [
        QueryResult(tile, _hits(store, similarities[i], rows[i], own[i], k))
        for i, tile in enumerate(embedded.tiles)
    ]


def _own_rows(store: IndexStore, images: TileSet) -> list[set[int]]:
    """For every image, the rows of the index that are of the same file and window."""
    rows_of: dict[tuple[str, str], set[int]] = {}
    for number, row in enumerate(store.rows):
        rows_of.setdefault((row.path, str(row.tile.window)), set()).add(number)
    return [rows_of.get((absolute(tile.path), str(tile.window)), set()) for tile in images]


def _hits(
    store: IndexStore,
    similarities: NDArray[np.float32],
    rows: NDArray[np.int64],
    excluded: set[int],
    k: int,
) -> tuple[Hit, ...]:
    found = [(s, int(r)) for s, r in zip(similarities, rows) if r >= 0 and int(r) not in excluded]
    return tuple(
        Hit(rank, float(np.clip(similarity, -1, 1)), store.rows[row])
        for rank, (similarity, row) in enumerate(found[:k], start=1)
    )
