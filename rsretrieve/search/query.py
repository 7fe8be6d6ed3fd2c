"""What is asked of an index: images, tiles of it, places, vectors, and sums of all these."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rsretrieve._core.paths import absolute
from rsretrieve.data.tile import Trust
from rsretrieve.data.window import split_window
from rsretrieve.errors import InputError, InvalidArgument
from rsretrieve.index.external.query_vectors import is_vector_file, read_vectors
from rsretrieve.index.store.columns import Footprints, rows_with
from rsretrieve.index.store.folder import IndexStore
from rsretrieve.search.composed_query import Question, Term, composed, image_of
from rsretrieve.search.filters import Filters


@dataclass(frozen=True)
class QueryRequest:
    """What a user asks, in the user's words. Every image, tile, point and vector is a query.

    Attributes:
        images: image files, windows of scenes (`FILE#COL,ROW,WIDTH,HEIGHT`), and `.npy`
            files of a vector (D,) or of several (Q, D).
        tiles: ids of tiles of the index.
        points: (lon, lat) in degrees; each stands for the tile that holds it.
        likes, unlikes: together one more query. Each is an id of the index, an image or a
            `.npy` file, and may end in `@WEIGHT`.
        k: how many hits each.
        filters: what a hit must be.
        trust: who vouches for the images.
        vector: (D,) float32, unit: one more query.
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

    def __post_init__(self) -> None:
        if self.k < 1:
            raise InvalidArgument(f"at least one hit must be asked for, not {self.k}")
        if self.unlikes and not self.likes:
            raise InvalidArgument(
                "--unlike says what hits should be unlike, and needs a --like beside it",
                hint="give the query itself with --like",
            )
        asked = self.images or self.tiles or self.points or self.likes
        if not asked and self.vector is None:
            raise InvalidArgument(
                "there is nothing to find the like of",
                hint="give an IMAGE, --tile ID, --at LON,LAT or --like ID",
            )


def questions_of(store: IndexStore, request: QueryRequest) -> list[Question]:
    """Find what a request names.

    Raises:
        InputError: a tile, a place or a file of vectors that is not there or does not fit.
    """
    return [
        *_of_files(store, request.images, request.trust),
        *(_of_row(store, _row_of_id(store, tile_id)) for tile_id in request.tiles),
        *(_of_points(store, request.points) if request.points else ()),
        *(_of_examples(store, request) if request.likes else ()),
        *_of_vector(request.vector),
    ]


def _of_vector(vector: NDArray[np.float32] | None) -> list[Question]:
    return [] if vector is None else [Question("a vector", (Term(vector=vector),), None)]


def _of_examples(store: IndexStore, request: QueryRequest) -> list[Question]:
    return [composed(store, request.likes, request.unlikes, request.trust)]


def _of_files(store: IndexStore, names: Sequence[str], trust: Trust) -> Iterator[Question]:
    for name in dict.fromkeys(names):
        if is_vector_file(name):
            yield from _of_vectors(store, Path(name))
        else:
            tile = image_of(store, name, trust)
            yield Question(name, (Term(image=tile),), tile)


def _of_vectors(store: IndexStore, path: Path) -> Iterator[Question]:
    vectors = read_vectors(path, store.manifest.dimensions)
    for i, vector in enumerate(vectors):
        name = str(path) if len(vectors) == 1 else f"{path}[{i}]"
        yield Question(name, (Term(vector=vector),), None)


def _of_row(store: IndexStore, row: int) -> Question:
    tile = store.rows[row].tile
    return Question(tile.id, (Term(row=row),), tile)


def _of_points(store: IndexStore, points: Sequence[tuple[float, float]]) -> Iterator[Question]:
    from rsretrieve.search.spatial import row_at

    footprints = Footprints.of(store.rows)
    for lon, lat in points:
        yield _of_row(store, row_at(footprints, lon, lat))


def _row_of_id(store: IndexStore, tile_id: str) -> int:
    rows = rows_with(store.rows, "id", tile_id)
    if not len(rows):
        raise InputError(
            f"{store.folder} has no tile with the id {tile_id!r}",
            hint=f"an id is a path below the tiles' folder, such as {store.rows[0].id!r}; for a "
            "file give its path without --tile",
        )
    return int(rows[0])


def own_rows(store: IndexStore, question: Question) -> set[int]:
    """The rows of the index that are of the same file and window as a part of a question."""
    own = {term.row for term in question.terms if term.row is not None}
    for term in question.terms:
        tile = term.image if term.row is None else store.rows[term.row].tile
        if tile is None or not tile.path:
            continue
        same_file = rows_with(store.rows, "path", absolute(tile.path))
        ids = store.rows.columns.column("id").take(same_file).to_pylist() if len(same_file) else []
        own |= {int(r) for r, i in zip(same_file, ids) if split_window(i)[1] == tile.window}
    return own
