"""What can be asked: tiles, points, vectors, and sums of examples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import TileSet
from rsretrieve.errors import InputError, InvalidArgument
from rsretrieve.index.store.folder import IndexStore
from rsretrieve.network.model import Model
from rsretrieve.progress import Noticed
from rsretrieve.search.filters import Filters
from rsretrieve.search.query import QueryRequest
from rsretrieve.search.search import QueryResult, SearchContext, run_queries


def no_model(_: int) -> Model:
    raise AssertionError("no model is needed")


def ask(store: IndexStore, model: Model | None = None, **request: Any) -> list[QueryResult]:
    context = SearchContext(no_model if model is None else lambda _: model, RunContext())
    return run_queries(store, QueryRequest(**{"k": 18, **request}), context)


def by_loop(store: IndexStore, vector: np.ndarray) -> list[str]:
    """All ids by falling similarity to a vector."""
    vectors = np.asarray(store.vectors, np.float64)
    similarities = [float(np.dot(vector / np.linalg.norm(vector), v)) for v in vectors]
    order = sorted(range(len(vectors)), key=lambda row: (-similarities[row], row))
    return [store.rows[row].id for row in order]


def ids(result: QueryResult) -> list[str]:
    return [hit.found.id for hit in result.hits]


@pytest.fixture(scope="module")
def vectors(store: IndexStore) -> np.ndarray:
    return np.asarray(store.vectors, np.float64)


def test_a_tile_of_the_index_needs_no_model(store: IndexStore, vectors: np.ndarray) -> None:
    [result] = ask(store, tiles=(store.rows[4].id,))
    assert (result.query, result.picture) == (store.rows[4].id, store.rows[4].tile)
    assert ids(result) == by_loop(store, vectors[4])


def test_a_tile_that_is_not_there_is_refused(store: IndexStore) -> None:
    with pytest.raises(InputError, match="has no tile with the id 'nope'"):
        ask(store, tiles=("nope",))


def test_a_point_stands_for_its_tile(store: IndexStore) -> None:
    place = store.rows[7].place
    assert place is not None
    [result] = ask(store, points=(place.centre,))
    assert result.query == store.rows[7].id


@pytest.mark.medium
def test_many_are_answered_in_order(store: IndexStore, model: Model, tiles: TileSet) -> None:
    place = store.rows[3].place
    assert place is not None
    results = ask(
        store,
        model,
        images=(tiles[2].path,),
        tiles=(store.rows[1].id, store.rows[0].id),
        points=(place.centre,),
        likes=(store.rows[5].id,),
    )
    queries = [tiles[2].path, *(store.rows[row].id for row in (1, 0, 3))]
    assert [result.query for result in results] == [*queries, f"like {store.rows[5].id}"]


def test_one_bad_image_leaves_the_others_and_tiles_answered(
    store: IndexStore, model: Model
) -> None:
    [result] = ask(store, model, images=("absent.tif",), tiles=(store.rows[1].id,))
    assert result.query == store.rows[1].id


@pytest.mark.parametrize("shape", [(8,), (1, 8), (3, 8)])
def test_vectors_of_a_file_are_queries_whatever_their_length(
    store: IndexStore, tmp_path: Path, shape: tuple[int, ...]
) -> None:
    path = tmp_path / "v.npy"
    content = np.random.default_rng(1).normal(size=shape) * 50
    np.save(path, content)
    results = ask(store, images=(str(path),))
    rows = np.atleast_2d(content)
    names = [str(path)] if len(rows) == 1 else [f"{path}[{i}]" for i in range(len(rows))]
    assert [result.query for result in results] == names
    assert [result.picture for result in results] == [None] * len(rows)
    assert [ids(result) for result in results] == [by_loop(store, row) for row in rows]


@pytest.mark.parametrize("dtype", ["i1", "u1", "f4"])
@pytest.mark.parametrize("option", ["images", "likes"])
def test_a_query_of_whole_numbers_is_told_once(
    store: IndexStore, tmp_path: Path, dtype: str, option: str
) -> None:
    np.save(tmp_path / "v.npy", np.arange(1, 9).astype(dtype))
    events: list[Any] = []
    context = SearchContext(no_model, RunContext(listener=events.append))
    request = QueryRequest(k=3, **{option: (str(tmp_path / "v.npy"),)})
    run_queries(store, request, context)
    told = [one for one in events if isinstance(one, Noticed) and "whole numbers" in one.text]
    assert len(told) == (dtype != "f4")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (np.ones(7), r"has the shape \(7,\), but the index has 8 dimensions"),
        (np.ones((2, 2, 8)), "has the shape"),
        (np.empty((0, 8)), "has the shape"),
        (np.zeros(8), "a vector is zero or not finite"),
        (np.full(8, np.nan), "a vector is zero or not finite"),
        (np.array(["a"] * 8), "not numbers"),
    ],
)
def test_vectors_that_do_not_fit_are_refused(
    store: IndexStore, tmp_path: Path, content: np.ndarray, message: str
) -> None:
    np.save(tmp_path / "v.npy", content)
    with pytest.raises(InputError, match=message):
        ask(store, images=(str(tmp_path / "v.npy"),))


@pytest.mark.parametrize("content", [None, b"", b"\x93NUMPY no", b"PK\x03\x04"])
def test_files_that_hold_no_vectors_are_refused(
    store: IndexStore, tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "v.npy"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match="no such file" if content is None else "cannot be read"):
        ask(store, images=(str(path),))


def test_a_pickle_is_never_loaded(store: IndexStore, tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", np.array([{"a": 1}], object), allow_pickle=True)
    with pytest.raises(InputError, match="cannot be read as vectors"):
        ask(store, images=(str(tmp_path / "v.npy"),))


def test_examples_add_up_by_the_formula(
    store: IndexStore, model: Model, tiles: TileSet, tmp_path: Path, vectors: np.ndarray
) -> None:
    name = [row.id for row in store.rows]
    np.save(tmp_path / "v.npy", vectors[9].astype(np.float32) * 3)
    [result] = ask(
        store,
        model,
        likes=(f"{name[0]}@3", tiles[2].path, str(tmp_path / "v.npy")),
        unlikes=(name[11], f"{name[12]}@0.25"),
    )
    liked = (3 * vectors[0] + vectors[name.index(tiles[2].id)] + vectors[9]) / 3
    unliked = (0.5 * vectors[11] + 0.25 * vectors[12]) / 2
    query = (liked - unliked).astype(np.float64)
    expected = vectors @ (query / np.linalg.norm(query))
    found = {hit.found.id: hit.similarity for hit in result.hits}
    for row, tile_id in enumerate(name):
        assert found[tile_id] == pytest.approx(expected[row], abs=1e-5)
    assert result.query.startswith(f"like {name[0]}@3, ")
    assert f" unlike {name[11]}, {name[12]}@0.25" in result.query


def test_examples_are_no_hits_when_they_are_excluded(store: IndexStore) -> None:
    name = [row.id for row in store.rows]
    [result] = ask(
        store, likes=(name[0], name[1]), unlikes=(name[2],), filters=Filters(exclude_self=True)
    )
    assert sorted(ids(result)) == sorted(name[3:])


def test_an_example_that_is_nowhere_is_refused(store: IndexStore) -> None:
    for text in ("nowhere", "nowhere@2", f"{store.rows[0].id}@-1", "@2"):
        with pytest.raises(InputError, match="is neither a tile of"):
            ask(store, likes=(text,))


def test_a_file_of_several_vectors_is_no_example(store: IndexStore, tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", np.ones((2, 8)))
    with pytest.raises(InputError, match="holds 2 vectors; an example is one"):
        ask(store, likes=(str(tmp_path / "v.npy"),))


def test_examples_that_cancel_out_are_refused(store: IndexStore) -> None:
    tile = store.rows[0].id
    with pytest.raises(InputError, match="cancel out"):
        ask(store, likes=(tile,), unlikes=(f"{tile}@1",))


def test_nothing_asked_and_unlike_alone_are_wrong_usage() -> None:
    with pytest.raises(InvalidArgument, match="no query is given"):
        QueryRequest()
    with pytest.raises(InvalidArgument, match="needs at least one --like"):
        QueryRequest(unlikes=("a",))
