"""Queries of an index: images, tiles of the index, places, vectors, and sums of these."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rsretrieve._core.paths import Location
from rsretrieve.data.discovery.image_areas import ImageSizes, may_be_whole
from rsretrieve.data.file_state import content_digest
from rsretrieve.data.tile import Tile, Trust
from rsretrieve.data.window import window_text
from rsretrieve.errors import InputError, InvalidArgument
from rsretrieve.index.external.query_vectors import (
    is_vector_file,
    notice_of_whole_numbers,
    read_vectors,
)
from rsretrieve.index.store.columns import Footprints, find_rows
from rsretrieve.index.store.folder import IndexStore
from rsretrieve.search.composed_query import Query, QueryTerm, compose_query, image_tile
from rsretrieve.search.filters import Filters


@dataclass(frozen=True)
class QueryRequest:
    """What the user asks for. Each image, tile, point and vector is a query of its own.

    Attributes:
        images: image files, windows of scenes (`FILE#COL,ROW,WIDTH,HEIGHT`), and `.npy` files
            of one vector (D,) or of several (Q, D).
        tiles: ids of tiles of the index.
        points: (lon, lat) in degrees; each stands for the tile that contains it.
        likes, unlikes: the positives and negatives of one more query. Each is a tile id, an image
            or a `.npy` file, and may end in `@WEIGHT`.
        k: number of hits per query, at least 1.
        filters: conditions on hits.
        trust: how far the images are trusted.
        vector: (D,) float32, unit length: one more query.
        expand: each query is expanded by its nearest hits, and searched again; see `expansion`.

    Raises:
        InvalidArgument: there is no query, `unlikes` has no `likes`, or `k` is below 1.
    """

    images: tuple[str, ...] = ()
    tiles: tuple[str, ...] = ()
    points: tuple[tuple[float, float], ...] = ()
    likes: tuple[str, ...] = ()
    unlikes: tuple[str, ...] = ()
    k: int = 10
    filters: Filters = field(default_factory=Filters)
    trust: Trust = Trust.NAMED
    vector: NDArray[np.float32] | None = field(default=None, compare=False)
    expand: bool = False

    def __post_init__(self) -> None:
        if self.k < 1:
            raise InvalidArgument(f"-k must be at least 1, not {self.k}")
        if self.unlikes and not self.likes:
            raise InvalidArgument(
                "--unlike gives negative examples and needs at least one --like",
                hint="give the query itself with --like",
            )
        asked = self.images or self.tiles or self.points or self.likes
        if not asked and self.vector is None:
            raise InvalidArgument(
                "no query is given", hint="give an IMAGE, --tile ID, --at LON,LAT or --like ID"
            )


def resolve_queries(store: IndexStore, request: QueryRequest) -> list[Query]:
    """Look up everything that a request names.

    Args:
        store: the index.
        request: the request.

    Returns:
        The queries, in the order images, tiles, points, composed query.

    Raises:
        InputError: a tile, a place or a file of vectors does not exist or does not fit the index.
    """
    queries = [
        *_image_queries(store, request.images, request.trust),
        *(_row_query(store, _row_of_id(store, tile_id)) for tile_id in request.tiles),
    ]
    if request.points:
        queries.extend(_point_queries(store, request.points))
    if request.likes:
        queries.append(compose_query(store, request.likes, request.unlikes, request.trust))
    if request.vector is not None:
        queries.append(Query("a vector", (QueryTerm(vector=request.vector),), None))
    return queries


def _image_queries(store: IndexStore, names: Sequence[str], trust: Trust) -> Iterator[Query]:
    for name in dict.fromkeys(names):
        if is_vector_file(name):
            yield from _vector_queries(store, Path(name))
        else:
            tile = image_tile(store, name, trust)
            yield Query(tile.id, (QueryTerm(image=tile),), tile)


def _vector_queries(store: IndexStore, path: Path) -> Iterator[Query]:
    vectors = read_vectors(path, store.manifest.dimensions)
    notice = notice_of_whole_numbers(path)
    for i, vector in enumerate(vectors):
        name = str(path) if len(vectors) == 1 else f"{path}[{i}]"
        yield Query(name, (QueryTerm(vector=vector, notice=notice),), None)


def _row_query(store: IndexStore, row: int) -> Query:
    tile = store.rows[row].tile
    return Query(tile.id, (QueryTerm(row=row),), tile)


def _point_queries(store: IndexStore, points: Sequence[tuple[float, float]]) -> Iterator[Query]:
    from rsretrieve.search.spatial import row_at  # loads Shapely

    footprints = Footprints.of(store.rows)
    for lon, lat in points:
        yield _row_query(store, row_at(footprints, lon, lat))


def _row_of_id(store: IndexStore, tile_id: str) -> int:
    rows = find_rows(store.rows, "id", tile_id)
    if not len(rows):
        raise InputError(
            f"{store.folder} has no tile with the id {tile_id!r}",
            hint="an id is a path relative to the tiles' folder, such as "
            f"{store.rows[0].id!r}; to query with a file, give its path without --tile",
        )
    return int(rows[0])


def rows_of_queries(store: IndexStore, queries: Sequence[Query]) -> list[set[int]]:
    """The rows of the index that show the same image and area as an example of each query.

    The content of the file decides, wherever it lies. Older indexes may not know it: there, the
    path does. A window that covers its whole file is the same as the file.

    Args:
        store: the index.
        queries: Q queries.

    Returns:
        Q sets of row numbers, the rows of the examples themselves included.
    """
    sizes = ImageSizes()
    found = [_rows_of_query(store, query, sizes) for query in queries]
    return [_rows_of_query(store, query, sizes) for query in queries] if sizes.read() else found


def _rows_of_query(store: IndexStore, query: Query, sizes: ImageSizes) -> set[int]:
    own: set[int] = set()
    content_of = cache(_content_of)
    rows = _ImageRows(store, sizes)
    for term in query.terms:
        if term.row is not None:
            row = store.rows[term.row]
            own |= {term.row, *rows.showing(row.tile, row.content)}
        elif term.image is not None:
            own |= rows.showing(term.image, content_of(term.image.location))
    if query.any_term and query.picture is not None:  # a scene, which may be a tile of the index
        own |= rows.showing(query.picture, content_of(query.picture.location))
    return own


def _content_of(place: Location) -> str:
    return content_digest(place.text) if place.local_files else ""


class _ImageRows:
    """Finds the rows of an index that show an image.

    Args:
        store: the index.
        sizes: of files; those that must be read are noted.
    """

    def __init__(self, store: IndexStore, sizes: ImageSizes) -> None:
        self._store, self._sizes = store, sizes
        # Thousands of windows may have one file.
        self._find = cache(partial(find_rows, store.rows))

    def showing(self, tile: Tile, content: str) -> set[int]:
        """The rows with this content and area; by path where a content is unknown."""
        contents = self._store.rows.columns.column("content")
        by_path = self._rows_with("path", tile.location.absolute() if tile.path else "", tile)
        unknown = [row for row in by_path if not content or not contents[row].as_py()]
        # Embeddings from elsewhere may give the path of a scene for each of its tiles.
        shared = len(unknown) > 1 and bool(self._store.manifest.provenance)
        return {*self._rows_with("content", content, tile), *(() if shared else unknown)}

    def _rows_with(self, column: str, text: str, tile: Tile) -> list[int]:
        ids, window = self._store.rows.columns.column("id"), window_text(tile.id)
        rows: list[int] = self._find(column, text).tolist() if text else []
        return [row for row in rows if self._is_same(window_text(ids[row].as_py()), window, tile)]

    def _is_same(self, one: str, other: str, tile: Tile) -> bool:
        """Whether two windows of a tile's file are the same, or cover it both."""
        if one == other:
            return True
        may_be = may_be_whole(one) and may_be_whole(other)
        return may_be and self._sizes.covers(one, tile) and self._sizes.covers(other, tile)
