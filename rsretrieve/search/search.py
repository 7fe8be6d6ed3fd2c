"""Query by example: from what a user asks to the tiles most like it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.errors import ModelNotFound, NoUsableTiles
from rsretrieve.index.compatibility import require_same_model
from rsretrieve.index.store.folder import IndexStore
from rsretrieve.index.store.tile_table import IndexedTile
from rsretrieve.index.vectors.vector_index import usable_gpu
from rsretrieve.search.composed_query import Question, question_vector
from rsretrieve.search.exact import Ranking
from rsretrieve.search.filters import chosen_rows
from rsretrieve.search.query import QueryRequest, own_rows, questions_of
from rsretrieve.search.ranking import FilteredSearch

if TYPE_CHECKING:
    from rsretrieve.data.run_context import RunContext
    from rsretrieve.network.runtime.graph import EmbeddingModel


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
    """A query and its hits.

    Attributes:
        query: what the user called it: a file, a window, a tile's id.
        picture: the tile that shows it, or None.
        hits: best first.
    """

    query: str
    picture: Tile | None
    hits: tuple[Hit, ...]


@dataclass(frozen=True)
class Means:
    """What answering may take beside the index.

    Attributes:
        open_model: loads the model that the index was built with, to embed so many images;
            called where there are some, and only then.
        context: takes the images that cannot be read.
        device: what searches where no model is opened; else the model's does.
    """

    open_model: Callable[[int], EmbeddingModel]
    context: RunContext
    device: str = "cpu"


def model_folder_of(store: IndexStore) -> Path:
    """Where the index says its model lies.

    Raises:
        ModelNotFound: it is no longer there, or there never was one.
    """
    from rsretrieve.network.metadata import DESCRIPTION_FILE

    if not store.manifest.model:
        raise ModelNotFound(
            f"{store.folder} was built of embeddings made elsewhere: no model is known that "
            "embeds an image as they were",
            hint="ask by --tile ID, by --at LON,LAT, or by a .npy of vectors of the same origin",
        )
    folder = Path(store.manifest.model)
    if not (folder / DESCRIPTION_FILE).is_file():
        raise ModelNotFound(
            f"the model of {store.folder} is no longer at {folder}",
            hint="say where it is now with --model DIR",
        )
    return folder


def answer(store: IndexStore, request: QueryRequest, means: Means) -> list[QueryResult]:
    """Find the tiles most like each query of a request.

    Args:
        store: the index.
        request: what is asked.
        means: what it may take.

    Returns:
        One result a query whose image could be read, in the request's order.

    Raises:
        InputError: what is asked for is not there, or does not fit.
        ModelMismatch: another model than the index was built with.
        NoUsableTiles: not one image can be read, and nothing else is asked.
    """
    questions = questions_of(store, request)
    rows = chosen_rows(store.rows, request.filters)
    if rows is not None and not len(rows):
        means.context.notice("no tile of the index passes the filters")
    embedded = _embed_images(store, questions, means)
    answered = [q for q in questions if all(image.id in embedded.vectors for image in q.images)]
    if not answered:
        raise embedded.none_usable
    vectors = np.stack([question_vector(q, store.vectors, embedded.vectors) for q in answered])
    excluded = request.filters.exclude_self
    own = [own_rows(store, q) if excluded else set() for q in answered]
    search = FilteredSearch(store, request.filters, rows, usable_gpu(embedded.device))
    rankings = search.rankings(vectors, own, request.k)
    return [
        QueryResult(question.name, question.picture, _hits(store, ranking))
        for question, ranking in zip(answered, rankings)
    ]


@dataclass(frozen=True)
class _Embedded:
    """The vectors of images by their tiles' ids, and what computed them."""

    vectors: dict[str, NDArray[np.float32]]
    device: str
    none_usable: NoUsableTiles


def _embed_images(store: IndexStore, questions: Sequence[Question], means: Means) -> _Embedded:
    images = {image.id: image for question in questions for image in question.images}
    if not images:
        return _Embedded({}, means.device, NoUsableTiles("the images: there are none"))
    from rsretrieve.index.embed_tiles import embed_readable_tiles, none_usable

    model = means.open_model(len(images))
    require_same_model(store.folder, store.manifest, model)
    tiles = TileSet("the images", tuple(images.values()))
    found = embed_readable_tiles(model, tiles, means.context)
    vectors = dict(zip((tile.id for tile in found.tiles), found.vectors))
    return _Embedded(vectors, model.device_name, none_usable(tiles, means.context))


def _hits(store: IndexStore, ranking: Ranking) -> tuple[Hit, ...]:
    return tuple(
        Hit(rank, float(np.clip(similarity, -1, 1)), store.rows[int(row)])
        for rank, (row, similarity) in enumerate(zip(ranking.rows, ranking.similarities), start=1)
    )
