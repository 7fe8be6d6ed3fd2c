"""Queries as sums: positives and negatives, each with its weight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rsretrieve.data.tile import Tile, Trust
from rsretrieve.data.windowing import WindowChoices
from rsretrieve.errors import InputError
from rsretrieve.index.external.query_vectors import is_vector_file, read_vectors
from rsretrieve.index.store.columns import rows_with
from rsretrieve.index.store.folder import IndexStore

LIKE_WEIGHT, UNLIKE_WEIGHT = 1.0, 0.5
_LEAST_NORM = 1e-6


@dataclass(frozen=True)
class Term:
    """A part of a query: one of a row of the index, a vector, or a tile still to be embedded.

    Attributes:
        weight: what its vector is multiplied by.
    """

    row: int | None = None
    vector: NDArray[np.float32] | None = None
    image: Tile | None = None
    weight: float = 1.0


@dataclass(frozen=True)
class Question:
    """One query.

    Attributes:
        name: what the user called it.
        terms: whose weighted vectors add up to the query's, which is then made unit.
        picture: the tile that shows it, or None.
    """

    name: str
    terms: tuple[Term, ...]
    picture: Tile | None

    @property
    def images(self) -> tuple[Tile, ...]:
        """The tiles among its terms that are still to be embedded."""
        return tuple(term.image for term in self.terms if term.image is not None)


def question_vector(
    question: Question, vectors: NDArray[np.float32], embedded: dict[str, NDArray[np.float32]]
) -> NDArray[np.float32]:
    """The unit vector of a question.

    Args:
        question: the question.
        vectors: (N, D) those of the index.
        embedded: those of the images, by the tile's id.

    Raises:
        InputError: its parts cancel out.
    """
    parts = [(term.weight, _vector_of(term, vectors, embedded)) for term in question.terms]
    if len(parts) == 1:
        return parts[0][1]
    total = np.sum([weight * vector.astype(np.float64) for weight, vector in parts], axis=0)
    norm = float(np.linalg.norm(total))
    if norm < _LEAST_NORM:
        raise InputError(f"{question.name}: what is liked and what is not cancel out")
    return np.asarray(total / norm, np.float32)


def _vector_of(
    term: Term, vectors: NDArray[np.float32], embedded: dict[str, NDArray[np.float32]]
) -> NDArray[np.float32]:
    if term.row is not None:
        return np.asarray(vectors[term.row])
    if term.image is not None:
        return embedded[term.image.id]
    assert term.vector is not None
    return term.vector


def image_of(store: IndexStore, name: str, trust: Trust = Trust.NAMED) -> Tile:
    """An image, or a window of a scene, read as coarse as those of the index were."""
    from rsretrieve.data.discovery.find_tiles import tiles_of_images  # it loads Pillow

    [tile] = tiles_of_images([name], trust)
    choices = WindowChoices.from_json(store.manifest.windows)
    if tile.window is None or choices is None:
        return tile
    return replace(tile, window=choices.as_coarse(tile.window))


def composed(
    store: IndexStore,
    likes: Sequence[str],
    unlikes: Sequence[str],
    trust: Trust = Trust.NAMED,
) -> Question:
    """Positives and negatives as one query.

        q = Σ wᵢ·vᵢ / P − Σ uⱼ·nⱼ / U,  then made unit

    over the P vectors v that are liked, and the U vectors n that are not; w is 1 and u is
    0.5 where nothing else is said. It is Rocchio's formula (in Salton, The SMART Retrieval
    System, 1971) with a weight for each example.
    """
    liked = [_term(store, text, LIKE_WEIGHT, len(likes), trust) for text in likes]
    unliked = [_term(store, text, -UNLIKE_WEIGHT, len(unlikes), trust) for text in unlikes]
    name = "like " + ", ".join(likes)
    if unlikes:
        name += " unlike " + ", ".join(unlikes)
    return Question(name, (*liked, *unliked), _picture(store, liked[0]))


def _picture(store: IndexStore, term: Term) -> Tile | None:
    return term.image if term.row is None else store.rows[term.row].tile


def _term(store: IndexStore, text: str, weight: float, count: int, trust: Trust) -> Term:
    """The term of an example; `weight` is its default, negative for what is not liked."""
    term = _example(store, text, trust)
    if term is None:
        name, _, number = text.rpartition("@")
        term = _example(store, name, trust) if _is_weight(number) else None
        weight = float(number) * (1 if weight > 0 else -1) if term is not None else weight
    if term is None:
        raise InputError(
            f"{text!r} is neither a tile of {store.folder} nor a file",
            hint="an example is the id of an indexed tile, an image, a window of a scene or a "
            ".npy file of a vector; it may end in @WEIGHT",
        )
    return Term(term.row, term.vector, term.image, weight / count)


def _is_weight(text: str) -> bool:
    try:
        return 0 < float(text) < 1e6
    except ValueError:
        return False


def _example(store: IndexStore, text: str, trust: Trust) -> Term | None:
    rows = rows_with(store.rows, "id", text)
    if len(rows):
        return Term(row=int(rows[0]))
    if not text:
        return None
    tile = image_of(store, text, trust)
    if tile.location.is_local and not Path(tile.path).exists():
        return None
    if not is_vector_file(text):
        return Term(image=tile)
    vectors = read_vectors(Path(text), store.manifest.dimensions)
    if len(vectors) > 1:
        raise InputError(
            f"{text} holds {len(vectors)} vectors, and an example is one",
            hint="write one vector of shape (D,) to the file",
        )
    return Term(vector=vectors[0])
