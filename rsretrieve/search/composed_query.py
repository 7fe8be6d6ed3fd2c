"""Queries as weighted sums of positive and negative examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rsretrieve.data.tile import Tile, Trust
from rsretrieve.data.windowing import WindowChoices
from rsretrieve.errors import InputError
from rsretrieve.index.external.query_vectors import (
    is_vector_file,
    notice_of_whole_numbers,
    read_vectors,
)
from rsretrieve.index.store.columns import find_rows
from rsretrieve.index.store.folder import IndexStore

LIKE_WEIGHT, UNLIKE_WEIGHT = 1.0, 0.5
_LEAST_NORM = 1e-6


@dataclass(frozen=True)
class QueryTerm:
    """One example of a query: a row of the index, a vector, or an image. Exactly one is set.

    Attributes:
        row: a row of the index.
        vector: (D,) float32, of unit length.
        image: a tile that is not embedded yet.
        weight: factor of its vector in the query; negative for a negative example.
        notice: what the user should know about the vector; empty for nothing.
    """

    row: int | None = None
    vector: NDArray[np.float32] | None = None
    image: Tile | None = None
    weight: float = 1.0
    notice: str = ""


@dataclass(frozen=True)
class Query:
    """One query.

    Attributes:
        name: what the user called it.
        terms: its examples; the query is their weighted sum, L2-normalised.
        picture: the tile that illustrates it, or None.
        any_term: each example is searched alone, and the best of their hits are the hits.
    """

    name: str
    terms: tuple[QueryTerm, ...]
    picture: Tile | None
    any_term: bool = False

    @property
    def images(self) -> tuple[Tile, ...]:
        """The tiles among its terms that are not embedded yet."""
        return tuple(term.image for term in self.terms if term.image is not None)


def query_vectors(
    query: Query, vectors: NDArray[np.float32], embedded: dict[str, NDArray[np.float32]]
) -> NDArray[np.float32]:
    """Compute the vectors (P, D) that a query is searched with: one, or one for each window."""
    if not query.any_term:
        return query_vector(query, vectors, embedded)[None]
    return np.stack([_term_vector(term, vectors, embedded) for term in query.terms])


def query_vector(
    query: Query, vectors: NDArray[np.float32], embedded: dict[str, NDArray[np.float32]]
) -> NDArray[np.float32]:
    """Compute the vector of a query.

    Args:
        query: the query.
        vectors: (N, D) float32, the vectors of the index.
        embedded: (D,) float32, the vectors of the query's images by tile id.

    Returns:
        (D,) float32, of unit length.

    Raises:
        InputError: the positives and the negatives cancel each other out.
    """
    parts = [(term.weight, _term_vector(term, vectors, embedded)) for term in query.terms]
    if len(parts) == 1:
        return parts[0][1]
    total = np.sum([weight * vector.astype(np.float64) for weight, vector in parts], axis=0)
    norm = float(np.linalg.norm(total))
    if norm < _LEAST_NORM:
        raise InputError(f"{query.name}: the positives and the negatives cancel out")
    return np.asarray(total / norm, np.float32)


def _term_vector(
    term: QueryTerm, vectors: NDArray[np.float32], embedded: dict[str, NDArray[np.float32]]
) -> NDArray[np.float32]:
    if term.vector is not None:
        return term.vector
    if term.image is not None:
        return embedded[term.image.id]
    return np.asarray(vectors[term.row])


def image_tile(store: IndexStore, name: str, trust: Trust = Trust.NAMED) -> Tile:
    """The tile of an image file, or of a window of a scene.

    A window is read at the resolution of the index's windows.

    Args:
        store: the index.
        name: a path, or `FILE#COL,ROW,WIDTH,HEIGHT`.
        trust: how far the file is trusted.
    """
    from rsretrieve.data.discovery.find_tiles import tiles_of_images  # loads Pillow

    [tile] = tiles_of_images([name], trust)
    choices = WindowChoices.from_json(store.manifest.windows)
    if tile.window is None or choices is None:
        return tile
    return replace(tile, window=choices.as_coarse(tile.window))


def compose_query(
    store: IndexStore,
    likes: Sequence[str],
    unlikes: Sequence[str],
    trust: Trust = Trust.NAMED,
) -> Query:
    """Combine positive and negative examples into one query.

    The query is the weighted mean of the positives minus that of the negatives, L2-normalised:

        q = Σ wᵢ·vᵢ / P − Σ uⱼ·nⱼ / U

    for P positives v and U negatives n. The default weights are w = 1 and u = 0.5. This is
    Rocchio's formula (in Salton, The SMART Retrieval System, 1971) with one weight per example.

    Args:
        store: the index.
        likes: P ≥ 1 positives; each is a tile id, an image or a `.npy` file, optionally followed
            by `@WEIGHT`.
        unlikes: U negatives.
        trust: how far the files are trusted.

    Raises:
        InputError: an example is neither a tile of the index nor a file.
    """
    positives = [_term(store, text, LIKE_WEIGHT, len(likes), trust) for text in likes]
    negatives = [_term(store, text, -UNLIKE_WEIGHT, len(unlikes), trust) for text in unlikes]
    name = "like " + ", ".join(likes)
    if unlikes:
        name += " unlike " + ", ".join(unlikes)
    return Query(name, (*positives, *negatives), _picture(store, positives[0]))


def terms_of(
    store: IndexStore, examples: Sequence[str], trust: Trust = Trust.NAMED
) -> list[QueryTerm]:
    """Look up examples, each as a term of its own; see `compose_query`.

    Raises:
        InputError: an example is neither a tile of the index nor a file.
    """
    return [_term(store, text, LIKE_WEIGHT, 1, trust) for text in examples]


def _picture(store: IndexStore, term: QueryTerm) -> Tile | None:
    return term.image if term.row is None else store.rows[term.row].tile


def _term(store: IndexStore, text: str, weight: float, count: int, trust: Trust) -> QueryTerm:
    """The term of one of `count` examples; `weight` is the default, negative for negatives."""
    term = _example(store, text, trust)
    if term is None:
        name, _, number = text.rpartition("@")
        term = _example(store, name, trust) if _is_weight(number) else None
        weight = float(number) * (1 if weight > 0 else -1) if term is not None else weight
    if term is None:
        raise InputError(
            f"{text!r} is neither a tile of {store.folder} nor a file",
            hint="an example is the id of an indexed tile, an image, a window of a scene, or a "
            ".npy file of one vector; it may end in @WEIGHT",
        )
    return replace(term, weight=weight / count)


def _is_weight(text: str) -> bool:
    try:
        return 0 < float(text) < 1e6
    except ValueError:
        return False


def _example(store: IndexStore, text: str, trust: Trust) -> QueryTerm | None:
    rows = find_rows(store.rows, "id", text)
    if len(rows):
        return QueryTerm(row=int(rows[0]))
    if not text:
        return None
    tile = image_tile(store, text, trust)
    if tile.location.is_local and not all(Path(file).exists() for file in tile.location.files):
        return None
    if not is_vector_file(text):
        return QueryTerm(image=tile)
    vectors = read_vectors(Path(text), store.manifest.dimensions)
    if len(vectors) > 1:
        raise InputError(
            f"{text} holds {len(vectors)} vectors; an example is one vector",
            hint="write one vector of shape (D,) to the file",
        )
    return QueryTerm(vector=vectors[0], notice=notice_of_whole_numbers(Path(text)))
