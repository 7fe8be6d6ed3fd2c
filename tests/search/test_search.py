"""Query by example: hits, their order, and models that do not fit."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rsretrieve.data.discovery.find_tiles import find_tiles, tiles_of_images
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import TileSet
from rsretrieve.data.windowing import SceneChoices, WindowChoices
from rsretrieve.errors import InvalidArgument, ModelMismatch, ModelNotFound, NoUsableTiles
from rsretrieve.index.build import index_tiles
from rsretrieve.index.embed_tiles import embed_tiles
from rsretrieve.index.store.folder import IndexStore, open_index
from rsretrieve.network.model import Model
from rsretrieve.network.model_folder import load_model
from rsretrieve.search import ranking, search
from rsretrieve.search.filters import Filters
from rsretrieve.search.query import QueryRequest
from rsretrieve.search.search import QueryResult, SearchContext, model_folder_of, run_queries
from tests.support.indexes.resealed import forget_digests


def query(
    store: IndexStore, model: Model, images: TileSet, k: int, *, exclude_self: bool = False
) -> list[QueryResult]:
    paths = tuple(tile.path for tile in images)
    return asked(store, model, images=paths, k=k, filters=Filters(exclude_self=exclude_self))


def asked(
    store: IndexStore, model: Model, context: RunContext | None = None, **request: Any
) -> list[QueryResult]:
    context = SearchContext(lambda _: model, context or RunContext())
    return run_queries(store, QueryRequest(**request), context)


def found(result: QueryResult) -> list[str]:
    return [hit.found.id for hit in result.hits]


@pytest.mark.medium
def test_hits_are_the_nearest_by_cosine(store: IndexStore, model: Model, tiles: TileSet) -> None:
    vectors = embed_tiles(model, tiles, RunContext()).vectors
    for row, result in enumerate(query(store, model, tiles, 5)):
        cosines = [sum(float(a) * float(b) for a, b in zip(vectors[row], v)) for v in vectors]
        best = sorted(cosines, reverse=True)[:5]
        assert [hit.similarity for hit in result.hits] == pytest.approx(best, abs=1e-5)
        for hit in result.hits:
            position = [tile.id for tile in tiles].index(hit.found.id)
            assert hit.similarity == pytest.approx(cosines[position], abs=1e-5)


def test_results_stand_in_the_order_of_queries_and_ranks_rise_from_one(
    store: IndexStore, model: Model, tiles: TileSet
) -> None:
    images = tiles.select([7, 2])
    results = query(store, model, images, 4)
    assert [result.query for result in results] == [tile.path for tile in images]
    assert [[hit.rank for hit in result.hits] for result in results] == [[1, 2, 3, 4]] * 2


def test_an_image_of_the_index_finds_itself_first(
    store: IndexStore, model: Model, tiles: TileSet
) -> None:
    [result] = query(store, model, tiles.select([3]), 1)
    assert found(result) == [tiles[3].id]
    assert result.hits[0].similarity == pytest.approx(1, abs=1e-5)


def test_similarities_never_leave_their_range(
    store: IndexStore, model: Model, tiles: TileSet
) -> None:
    for result in query(store, model, tiles, 18):
        assert all(-1 <= hit.similarity <= 1 for hit in result.hits)


def test_excluding_itself_an_image_finds_the_others(
    store: IndexStore, model: Model, tiles: TileSet
) -> None:
    whole = query(store, model, tiles, 18)
    for tile, result, without in zip(
        tiles, whole, query(store, model, tiles, 18, exclude_self=True)
    ):
        assert found(without) == [tile_id for tile_id in found(result) if tile_id != tile.id]
        assert [hit.rank for hit in without.hits] == list(range(1, 18))


def test_excluding_itself_still_gives_as_many_hits_as_asked_for(
    store: IndexStore, model: Model, tiles: TileSet
) -> None:
    [result] = query(store, model, tiles.select([3]), 4, exclude_self=True)
    assert len(result.hits) == 4
    assert tiles[3].id not in found(result)


def test_itself_is_the_file_however_it_is_named(
    store: IndexStore, model: Model, tiles: TileSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(tiles[3].path)
    monkeypatch.chdir(path.parent)
    [result] = query(store, model, tiles_of_images([path.name]), 18, exclude_self=True)
    assert len(result.hits) == 17
    assert tiles[3].id not in found(result)


@pytest.mark.medium
def test_a_file_that_is_indexed_twice_is_excluded_twice(
    model: Model, tiles: TileSet, tmp_path: Path
) -> None:
    twice = TileSet("here", (*tiles.select(range(4)), replace(tiles[0], id="again")))
    index_tiles(model, twice, tmp_path / "index", RunContext())
    [result] = query(open_index(tmp_path / "index"), model, tiles.select([0]), 9, exclude_self=True)
    assert sorted(found(result)) == sorted(tile.id for tile in tiles.select([1, 2, 3]))


@pytest.mark.parametrize("how", ["copy", "hard link", "link", "moved folder"])
def test_itself_is_its_content_wherever_it_lies(
    model: Model, tiles: TileSet, tmp_path: Path, how: str
) -> None:
    folder = tmp_path / "tiles"
    folder.mkdir()
    for number, tile in enumerate(tiles):
        shutil.copy(tile.path, folder / f"{number}.tif")
    index_tiles(model, find_tiles(folder), tmp_path / "index", RunContext())
    store, asked = open_index(tmp_path / "index"), tmp_path / "asked.tif"
    if how == "copy":
        shutil.copy(folder / "3.tif", asked)
    elif how == "hard link":
        asked.hardlink_to(folder / "3.tif")
    elif how == "link":
        asked.symlink_to(folder / "3.tif")
    else:
        asked = folder.rename(tmp_path / "moved") / "3.tif"
    [plain] = query(store, model, tiles_of_images([str(asked)]), 18)
    [result] = query(store, model, tiles_of_images([str(asked)]), 18, exclude_self=True)
    assert found(plain)[0] == "3.tif"
    assert found(result) == found(plain)[1:]


@pytest.mark.medium
def test_a_window_that_covers_its_file_is_the_same_image_as_the_file(
    model: Model, tiles: TileSet, tmp_path: Path
) -> None:
    folder = tmp_path / "tiles"
    folder.mkdir()
    for number, tile in enumerate(tiles.select(range(4))):
        shutil.copy(tile.path, folder / f"{number}.tif")
    whole = find_tiles(folder)
    cut = find_tiles(folder, scenes=SceneChoices(WindowChoices(16)))
    for name, indexed in (("whole", whole), ("cut", cut), ("both", TileSet("", (*whole, *cut)))):
        index_tiles(model, indexed, tmp_path / name, RunContext())
        store, itself = open_index(tmp_path / name), Filters(exclude_self=True)
        images = tuple(f"{folder}/{end}" for end in ("1.tif", "2.tif#0,0,16,16"))
        one, other = asked(store, model, images=images, filters=itself)
        assert sorted({tile_id[0] for tile_id in found(one)}) == ["0", "2", "3"]
        assert sorted({tile_id[0] for tile_id in found(other)}) == ["0", "1", "3"]
        [part] = asked(store, model, images=(f"{folder}/1.tif#0,0,16,8",), filters=itself)
        assert len(part.hits) == len(indexed)
        [row] = asked(store, model, tiles=(store.rows[0].id,), filters=itself)
        assert sorted({tile_id[0] for tile_id in found(row)}) == ["1", "2", "3"]


def test_another_image_at_the_path_of_before_is_not_itself(
    model: Model, tiles: TileSet, tmp_path: Path
) -> None:
    path = tmp_path / "a.tif"
    shutil.copy(tiles[0].path, path)
    there = TileSet("here", (replace(tiles[0], path=str(path)), *tiles.select([1, 2])))
    index_tiles(model, there, tmp_path / "index", RunContext())
    shutil.copy(tiles[5].path, path)
    [result] = query(
        open_index(tmp_path / "index"), model, tiles_of_images([str(path)]), 9, exclude_self=True
    )
    assert len(result.hits) == 3


@pytest.mark.parametrize("tile_id", ["again", "first"])
def test_a_tile_of_the_index_is_excluded_with_its_copies(
    model: Model, tiles: TileSet, tmp_path: Path, tile_id: str
) -> None:
    copy = shutil.copy(tiles[0].path, tmp_path / "copy.tif")
    first = replace(tiles[0], id="first")
    twice = TileSet("here", (first, tiles[1], replace(first, id="again", path=str(copy))))
    index_tiles(model, twice, tmp_path / "index", RunContext())
    [result] = asked(
        open_index(tmp_path / "index"), model, tiles=(tile_id,), filters=Filters(exclude_self=True)
    )
    assert found(result) == [tiles[1].id]


def test_in_an_index_without_digests_itself_is_its_path(
    model: Model, tiles: TileSet, tmp_path: Path
) -> None:
    index_tiles(model, tiles.select([0, 1, 2]), tmp_path / "index", RunContext())
    forget_digests(tmp_path / "index")
    store = open_index(tmp_path / "index")
    [result] = query(store, model, tiles.select([0]), 9, exclude_self=True)
    assert sorted(found(result)) == sorted(tile.id for tile in tiles.select([1, 2]))
    copy = shutil.copy(tiles[0].path, tmp_path / "copy.tif")
    [result] = query(store, model, tiles_of_images([str(copy)]), 9, exclude_self=True)
    assert found(result)[0] == tiles[0].id


def test_more_hits_than_the_index_has_are_all_of_them(
    store: IndexStore, model: Model, tiles: TileSet
) -> None:
    [result] = query(store, model, tiles.select([0]), 1000)
    assert sorted(found(result)) == sorted(tile.id for tile in tiles)


def test_what_an_approximate_index_does_not_find_is_searched_for(
    store: IndexStore, model: Model, tiles: TileSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Sparse:
        def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
            rows = np.array([[2, 5, *[-1] * (k - 2)]])
            return np.array([[0.9, 0.5, *[-3e38] * (k - 2)]], np.float32), rows

    whole = found(query(store, model, tiles.select([0]), 6)[0])
    approximate = replace(store, manifest=replace(store.manifest, faiss_key="HNSW16"))
    monkeypatch.setattr(IndexStore, "open_vector_index", lambda *_: Sparse())
    # So few tiles are looked at one by one, and the index is left closed.
    assert found(query(approximate, model, tiles.select([0]), 6)[0]) == whole
    monkeypatch.setattr(ranking, "FEW_NUMBERS", 0)
    [result] = query(approximate, model, tiles.select([0]), 2)
    assert set(found(result)) == {tiles[2].id, tiles[5].id}
    assert found(query(approximate, model, tiles.select([0]), 6)[0]) == whole


def test_bad_images_are_logged_and_the_others_answered(
    store: IndexStore, model: Model, tiles: TileSet
) -> None:
    context = RunContext()
    results = asked(store, model, context, images=("nowhere.tif", tiles[1].path), k=1)
    assert [found(result) for result in results] == [[tiles[1].id]]
    assert [failure.tile_id for failure in context.failures] == ["nowhere.tif"]


def test_images_of_which_none_can_be_read_are_refused(store: IndexStore, model: Model) -> None:
    with pytest.raises(NoUsableTiles, match=r"^the images: none of 1 tiles can be used"):
        query(store, model, tiles_of_images(["nowhere.tif"]), 1)


@pytest.mark.parametrize("k", [0, -3])
def test_at_least_one_hit_must_be_asked_for(
    store: IndexStore, model: Model, tiles: TileSet, k: int
) -> None:
    with pytest.raises(InvalidArgument, match=f"at least 1, not {k}$"):
        query(store, model, tiles, k)


def test_the_gpu_of_the_model_searches(
    store: IndexStore, model: Model, tiles: TileSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    devices: list[str] = []
    monkeypatch.setattr(search, "usable_gpu", devices.append)
    query(store, model, tiles.select([0]), 1)
    context = SearchContext(lambda _: model, RunContext(), "cuda:3")
    run_queries(store, QueryRequest(tiles=(tiles[0].id,)), context)
    assert devices == ["cpu", "cuda:3"]


# Models


def test_another_model_is_refused_by_both_fingerprints(
    store: IndexStore, model: Model, other_model: Model, tiles: TileSet
) -> None:
    message = re.escape(
        f"{store.folder} was built with the model {model.description.fingerprint[:12]}, and "
        f"{other_model.folder} is {other_model.description.fingerprint[:12]}: their vectors "
        "cannot be compared"
    )
    with pytest.raises(ModelMismatch, match=f"^{message}$") as caught:
        query(store, other_model, tiles, 1)
    assert str(model.folder.resolve()) in caught.value.hint


def test_the_same_model_with_another_preprocessing_is_refused(
    store: IndexStore, model: Model, tiles: TileSet
) -> None:
    preprocessing = replace(model.description.preprocessing, size_px=64)
    other = replace(model, description=replace(model.description, preprocessing=preprocessing))
    with pytest.raises(ModelMismatch, match=r"their vectors cannot be compared"):
        query(store, other, tiles, 1)


def test_a_moved_model_is_still_the_same_model(
    store: IndexStore, model: Model, tiles: TileSet, tmp_path: Path
) -> None:
    moved = load_model(Path(shutil.copytree(model.folder, tmp_path / "moved")), model.device)
    assert len(query(store, moved, tiles.select([0]), 3)[0].hits) == 3


def test_the_index_knows_where_its_model_lies(store: IndexStore, model: Model) -> None:
    assert model_folder_of(store) == model.folder.resolve()


def test_a_model_that_moved_away_must_be_named(store: IndexStore) -> None:
    lost = replace(store, manifest=replace(store.manifest, model="/gone/model"))
    message = re.escape(f"the model of {store.folder} is no longer at /gone/model")
    with pytest.raises(ModelNotFound, match=f"^{message}$") as caught:
        model_folder_of(lost)
    assert "--model DIR" in caught.value.hint
