"""Query by example: from the user's request to the most similar tiles of an index."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rsretrieve.data.geo.place import Place
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.data.windowing import ANY_WINDOWS, WindowChoices
from rsretrieve.errors import ModelNotFound, NoUsableTiles
from rsretrieve.index.compatibility import collapse_warnings, require_same_model
from rsretrieve.index.store.folder import IndexStore
from rsretrieve.index.store.tile_table import IndexedTile
from rsretrieve.index.vectors.faiss_loader import usable_gpu
from rsretrieve.search.composed_query import Query, QueryTerm, query_vectors
from rsretrieve.search.date_filter import date_notices
from rsretrieve.search.exact import Ranking
from rsretrieve.search.filters import passing_rows
from rsretrieve.search.overlaps import extents_of_query, overlap_notices
from rsretrieve.search.query import QueryRequest, resolve_queries, rows_of_queries
from rsretrieve.search.ranking import Asked, FilteredSearch
from rsretrieve.search.scene_queries import (
    Facts,
    facts_of_queries,
    report_other_scale,
    with_windows,
)

if TYPE_CHECKING:
    from rsretrieve.data.run_context import RunContext
    from rsretrieve.network.runtime.graph import EmbeddingModel


def _nothing() -> NDArray[np.float32]:
    return np.empty((0, 0), np.float32)


@dataclass(frozen=True)
class Hit:
    """A tile of the index that a query found.

    Attributes:
        rank: 1 for the most similar.
        similarity: cosine similarity, −1…1; higher is closer.
        found: the tile.
    """

    rank: int
    similarity: float
    found: IndexedTile


@dataclass(frozen=True)
class QueryResult:
    """A query and its hits.

    Attributes:
        query: its name: an image file, a window, the id of a tile.
        picture: the tile that illustrates the query, or None.
        hits: the most similar first.
        place: the place of the picture, or None.
        expanded: the query was expanded by its nearest hits; similarities are to the result.
        vectors: (P, D) float32, unit rows: what was searched with. A tile has the highest of its
            similarities to them. Empty if that is not known.
    """

    query: str
    picture: Tile | None
    hits: tuple[Hit, ...]
    place: Place | None = None
    expanded: bool = False
    vectors: NDArray[np.float32] = field(default_factory=_nothing, compare=False, repr=False)


@dataclass(frozen=True)
class SearchContext:
    """What a search needs besides the index.

    Attributes:
        open_model: loads the model of the index to embed the given number of images; not called
            if no query is an image.
        run_context: receives the images that cannot be read, notices and progress.
        device: the device that searches if no model is loaded; otherwise the model's device does.
    """

    open_model: Callable[[int], EmbeddingModel]
    run_context: RunContext
    device: str = "cpu"


def model_folder_of(store: IndexStore) -> Path:
    """The folder of the model that an index was built with.

    Raises:
        ModelNotFound: the folder was moved or deleted, or the index holds external embeddings.
    """
    from rsretrieve.network.metadata import DESCRIPTION_FILE

    folder = store.manifest.model_path(store.folder)
    if folder is None:
        raise ModelNotFound(
            f"{store.folder} holds external embeddings: no known model can embed an image for it",
            hint="query it with --tile ID, --at LON,LAT, or a .npy file of vectors from the same "
            "source",
        )
    if not (folder / DESCRIPTION_FILE).is_file():
        raise ModelNotFound(
            f"the model of {store.folder} is no longer at {folder}",
            hint="give the path of the model with --model DIR",
        )
    return folder


def run_queries(
    store: IndexStore, request: QueryRequest, context: SearchContext
) -> list[QueryResult]:
    """Find the tiles that are most similar to each query of a request.

    Args:
        store: the index.
        request: the queries, the number of hits and the filters.
        context: the model, the device, and where failures are recorded.

    Returns:
        One result per query, in the order of the request; queries whose image cannot be read are
        left out.

    Raises:
        InputError: a tile, place or file of the request does not exist or does not fit the index.
        ModelMismatch: the model is not the one that the index was built with.
        NoUsableTiles: every query is an image, and none can be read.
    """
    asked = resolve_queries(store, request)
    facts = facts_of_queries(store, asked)
    queries = [with_windows(store, query, facts, context.run_context) for query in asked]
    rows = passing_rows(store.rows, request.filters)
    if rows is not None and not len(rows):
        context.run_context.notice("no tile of the index passes the filters")
    for text in date_notices(store.rows) if request.filters.taken is not None else ():
        context.run_context.notice(text)
    embedded = _embed_images(store, queries, facts, context)
    usable = [q for q in map(embedded.usable_part, queries) if q is not None]
    if not usable:
        raise embedded.no_usable_tiles
    search = FilteredSearch(store, request.filters, rows, usable_gpu(embedded.device))
    searched = _asked(store, usable, request, search, embedded)
    results = [
        _result(store, query, asked, ranking, embedded.places, expanded=request.expand)
        for query, asked, ranking in zip(usable, searched, search.rankings(searched, request.k))
    ]
    if request.filters.no_overlap:
        found = [[hit.found for hit in result.hits] for result in results]
        for text in overlap_notices([q.extents for q in searched], found, request.k):
            context.run_context.notice(text)
    return results


def embed_examples(
    store: IndexStore, terms: Sequence[QueryTerm], context: SearchContext
) -> list[NDArray[np.float32]]:
    """The vector (D,) of each example; images are embedded.

    Args:
        store: the index.
        terms: the examples.
        context: the model, the device, and where failures are recorded.

    Raises:
        ModelMismatch: the model is not the one that the index was built with.
        NoUsableTiles: an image cannot be read.
    """
    query = Query("the examples", tuple(terms), None)
    facts = facts_of_queries(store, [query])
    embedded = _embed_images(store, [query], facts, context)
    if embedded.usable_part(query) is None:
        raise embedded.no_usable_tiles
    alone = [replace(query, terms=(term,)) for term in terms]
    return [query_vectors(each, store.vectors, embedded.vectors)[0] for each in alone]


def _asked(
    store: IndexStore,
    queries: Sequence[Query],
    request: QueryRequest,
    search: FilteredSearch,
    embedded: _EmbeddedImages,
) -> list[Asked]:
    """The queries as they are searched."""
    excludes, expands = request.filters.exclude_self, request.expand
    needs_own = excludes or expands
    own = rows_of_queries(store, queries) if needs_own else [set[int]() for _ in queries]
    asked = [
        Asked(
            query_vectors(query, store.vectors, embedded.vectors),
            frozenset(rows),
            extents_of_query(store, query, embedded.places) if request.filters.no_overlap else (),
        )
        for query, rows in zip(queries, own)
    ]
    if expands:
        vectors = search.expanded(asked)
        asked = [replace(query, vectors=found) for query, found in zip(asked, vectors)]
    return asked if excludes else [replace(query, own=frozenset()) for query in asked]


def _result(
    store: IndexStore,
    query: Query,
    asked: Asked,
    ranking: Ranking,
    places: Mapping[str, Place | None],
    *,
    expanded: bool,
) -> QueryResult:
    picture = query.picture
    if query.any_term and len(ranking):  # the scene may be too large to show
        nearest = int(np.argmax(asked.vectors @ store.vectors[ranking.rows[0]]))
        picture = query.terms[nearest].image
    elif query.any_term:
        picture = query.terms[0].image
    row = query.terms[0].row
    place = store.rows[row].place if row is not None else places.get(picture.id if picture else "")
    return QueryResult(query.name, picture, _hits(store, ranking), place, expanded, asked.vectors)


@dataclass(frozen=True)
class _EmbeddedImages:
    """Vectors and places of the images by tile id, the device, and the error if there are none.

    The error is made in advance: only the embedding knows why no image can be read.
    """

    vectors: dict[str, NDArray[np.float32]]
    places: dict[str, Place | None]
    device: str
    no_usable_tiles: NoUsableTiles

    def usable_part(self, query: Query) -> Query | None:
        """The query without windows that cannot be used; None if it cannot be answered."""
        terms = query.terms
        if query.any_term:
            terms = tuple(t for t in terms if t.image is None or t.image.id in self.vectors)
        whole = all(term.image is None or term.image.id in self.vectors for term in terms)
        return replace(query, terms=terms) if terms and whole else None


def _embed_images(
    store: IndexStore, queries: Sequence[Query], facts: Facts, context: SearchContext
) -> _EmbeddedImages:
    for text in dict.fromkeys(term.notice for query in queries for term in query.terms):
        if text:
            context.run_context.notice(text)
    plain, windows = (
        {i.id: i for query in queries if query.any_term is cut for i in query.images}
        for cut in (False, True)
    )
    if not plain and not windows:
        return _EmbeddedImages({}, {}, context.device, NoUsableTiles("the request has no images"))
    from rsretrieve.index.common_packing import packing_of_index
    from rsretrieve.index.embed_tiles import embed_readable_tiles, no_usable_tiles

    model = context.open_model(len(plain) + len(windows))
    require_same_model(store.folder, store.manifest, model)
    for text in collapse_warnings(model.description, store.vectors):
        context.run_context.notice(text)
    packing = packing_of_index(store, model)
    vectors: dict[str, NDArray[np.float32]] = {}
    places: dict[str, Place | None] = {}
    choices = WindowChoices.from_json(store.manifest.windows) or ANY_WINDOWS
    images = TileSet("the images", tuple(plain.values()))
    for tiles in (images, TileSet("the images", tuple(windows.values()), windows=choices)):
        if len(tiles):
            found = embed_readable_tiles(model, tiles, context.run_context, packing=packing)
            ids = [tile.id for tile in found.tiles]
            vectors |= zip(ids, found.vectors)
            places |= zip(ids, found.places)
            if tiles is images:
                placed = found.tiles, found.places
                report_other_scale(store, *placed, facts, context.run_context)
    error = no_usable_tiles(images if len(images) else tiles, context.run_context)
    return _EmbeddedImages(vectors, places, model.device_name, error)


def _hits(store: IndexStore, ranking: Ranking) -> tuple[Hit, ...]:
    return tuple(
        Hit(rank, float(np.clip(similarity, -1, 1)), store.rows[int(row)])
        for rank, (row, similarity) in enumerate(zip(ranking.rows, ranking.similarities), start=1)
    )
