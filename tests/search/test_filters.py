"""Filters against a plain loop over all vectors: the same tiles in the same order."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rsretrieve.data.run_context import RunContext
from rsretrieve.errors import InputError, InvalidArgument, LabelsError
from rsretrieve.index.store.tile_table import IndexedTile, TileTable
from rsretrieve.progress import Noticed
from rsretrieve.search import ranking
from rsretrieve.search.filters import Filters, passing_rows
from rsretrieve.search.query import QueryRequest
from rsretrieve.search.search import SearchContext, run_queries
from tests.support.indexes.planet import LABELS, TILES, Planet, make_planet, plain_loop

COMBINATIONS = 150
# A hexagon over the Atlantic, and one over the Pacific, cut at the antimeridian.
ATLANTIC = [[(-40, -30), (20, -60), (60, 0), (30, 60), (-30, 50), (-60, 10), (-40, -30)]]
PACIFIC = [
    [[(150, -70), (180, -70), (180, 70), (140, 60), (150, -70)]],
    [[(-180, -70), (-150, 0), (-160, 70), (-180, 70), (-180, -70)]],
]


@pytest.fixture(scope="module")
def planet(tmp_path_factory: pytest.TempPathFactory) -> Planet:
    return make_planet(tmp_path_factory.mktemp("planet") / "index")


@pytest.fixture(scope="module")
def areas(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("areas")
    shapes = {"Polygon": ATLANTIC, "MultiPolygon": PACIFIC}
    for kind, coordinates in shapes.items():
        geometry = {"type": kind, "coordinates": coordinates}
        (folder / f"{kind}.geojson").write_text(json.dumps(geometry))
    return sorted(folder.iterdir())


def no_model(_: int) -> object:
    raise AssertionError("no model is needed")


MEANS = SearchContext(no_model, RunContext())  # type: ignore[arg-type]


def hit_ids(planet: Planet, request: QueryRequest) -> list[list[str]]:
    return [[hit.found.id for hit in r.hits] for r in run_queries(planet.store, request, MEANS)]


def random_filters(rng: np.random.Generator, areas: list[Path]) -> Filters:
    west, east = rng.uniform(-180, 180, 2)
    south, north = np.sort(rng.uniform(-90, 90, 2))
    labels = [label for label in LABELS if label is not None and rng.random() < 0.4]
    return Filters(
        labels=tuple(labels) if rng.random() < 0.5 else (),
        bbox=(west, south, east, north) if rng.random() < 0.4 else None,
        within=areas[rng.integers(len(areas))] if rng.random() < 0.3 else None,
        min_similarity=float(rng.uniform(-0.5, 1)) if rng.random() < 0.3 else None,
        exclude_self=bool(rng.random() < 0.5),
        distinct_scene=bool(rng.random() < 0.4),
        duplicate_similarity=float(rng.choice([0.999, 0.9, 0.3])) if rng.random() < 0.4 else None,
    )


@pytest.mark.slow
def test_any_filters_give_what_a_plain_loop_gives(planet: Planet, areas: list[Path]) -> None:
    rng = np.random.default_rng(0)
    full = 0
    for number in range(COMBINATIONS):
        filters, k = random_filters(rng, areas), int(rng.choice([1, 3, 10, 100, 2 * TILES]))
        row = int(rng.integers(TILES))
        request = QueryRequest(tiles=(planet.store.rows[row].id,), k=k, filters=filters)
        expected = plain_loop(planet, planet.store.vectors[row], {row}, filters, k)
        [found] = hit_ids(planet, request)
        assert found == [planet.store.rows[i].id for i in expected], (number, filters, k)
        full += len(found) == k
    assert COMBINATIONS // 4 < full < COMBINATIONS  # both kinds were there


@pytest.mark.parametrize("block", [1, 7, 64])
@pytest.mark.medium
def test_blocks_and_batches_change_nothing(
    planet: Planet, areas: list[Path], monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    tiles = tuple(planet.store.rows[row].id for row in range(0, 30, 3))
    filters = Filters(within=areas[0], distinct_scene=True, exclude_self=True)
    whole = hit_ids(planet, QueryRequest(tiles=tiles, k=9, filters=filters))
    monkeypatch.setattr("rsretrieve.search.exact.BLOCK_ROWS", block)
    monkeypatch.setattr("rsretrieve.search.exact.QUERIES_AT_ONCE", 4)
    assert hit_ids(planet, QueryRequest(tiles=tiles, k=9, filters=filters)) == whole
    one_by_one = [hit_ids(planet, QueryRequest(tiles=(t,), k=9, filters=filters))[0] for t in tiles]
    assert one_by_one == whole


def test_fewer_hits_are_the_first_of_more(planet: Planet) -> None:
    tile = planet.store.rows[3].id
    [more] = hit_ids(planet, QueryRequest(tiles=(tile,), k=40))
    for k in range(1, 40):
        assert hit_ids(planet, QueryRequest(tiles=(tile,), k=k)) == [more[:k]]


def test_an_approximate_index_with_filters_is_searched_exactly(
    planet: Planet, tmp_path: Path
) -> None:
    coarse = make_planet(tmp_path / "coarse", "IVF32,Flat")
    filters = Filters(labels=("water",))
    for row in range(0, TILES, 50):
        request = QueryRequest(tiles=(planet.store.rows[row].id,), k=80, filters=filters)
        assert hit_ids(coarse, request) == hit_ids(planet, request)


def test_an_approximate_index_without_filters_gives_k_hits_ranked_by_the_stored_vectors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranking, "FEW_NUMBERS", 0)  # else they are looked at one by one
    coarse = make_planet(tmp_path / "coarse", "IVF32,PQ4x4np")
    vectors = coarse.store.vectors
    for k in (4, 10, TILES):
        request = QueryRequest(tiles=(coarse.store.rows[5].id,), k=k)
        [result] = run_queries(coarse.store, request, MEANS)
        similarities = [hit.similarity for hit in result.hits]
        assert len(similarities) == k
        assert similarities == sorted(similarities, reverse=True)
        ids = [row.id for row in coarse.store.rows]
        for hit in result.hits:
            exact = math.fsum(vectors[5].astype(float) * vectors[ids.index(hit.found.id)])
            assert hit.similarity == pytest.approx(min(exact, 1.0), abs=1e-12)


@pytest.mark.parametrize("typed", ["Fore\u0302t", "For\u00eat", " For\u00eat"])
def test_a_label_is_found_in_every_unicode_form(typed: str) -> None:
    names = ["For\u00eat", "Fore\u0302t", "forest"]  # an earlier version kept both forms
    rows = [IndexedTile(str(i), "", name, -1, 0, None) for i, name in enumerate(names)]
    found = passing_rows(TileTable.of(rows), Filters(labels=(typed,)))
    assert found is not None
    assert found.tolist() == [0, 1]


def test_a_label_that_no_tile_has_is_refused_with_the_nearest(planet: Planet) -> None:
    request = QueryRequest(tiles=("x",), filters=Filters(labels=("forrest",)))
    request = replace(request, tiles=(planet.store.rows[0].id,))
    with pytest.raises(
        LabelsError, match=r"^no tile of the index has the label 'forrest'$"
    ) as error:
        run_queries(planet.store, request, MEANS)
    assert error.value.hint == "Did you mean forest?"


def test_filters_that_nothing_passes_give_no_hits_and_a_notice(planet: Planet) -> None:
    heard: list[object] = []
    filters = Filters(bbox=(0, 89, 1, 90))
    request = QueryRequest(tiles=(planet.store.rows[0].id,), filters=filters)
    [result] = run_queries(
        planet.store, request, SearchContext(no_model, RunContext(listener=heard.append))
    )  # type: ignore[arg-type]
    assert result.hits == ()
    assert heard == [Noticed("no tile of the index passes the filters")]


@pytest.mark.parametrize("similarity", [1.5, -1.01, math.nan])
def test_similarities_out_of_range_are_refused(similarity: float) -> None:
    with pytest.raises(InvalidArgument, match="a similarity must lie in -1…1"):
        Filters(min_similarity=similarity)
    with pytest.raises(InvalidArgument, match="a similarity must lie in -1…1"):
        Filters(duplicate_similarity=similarity)


def test_a_place_in_an_index_without_any_is_refused(tmp_path: Path) -> None:
    from rsretrieve.index.store.tile_table import IndexedTile, TileTable
    from rsretrieve.search.filters import passing_rows

    table = TileTable.of([IndexedTile("a", "/a", None, 1, 1, None)])
    with pytest.raises(InputError, match="no tile of the index has a georeference"):
        passing_rows(table, Filters(bbox=(0, 0, 1, 1)))
