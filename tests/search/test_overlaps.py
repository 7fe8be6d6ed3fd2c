"""`--no-overlap` against plain loops: by pixels in a scene, on the ground between files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import shapely
from numpy.typing import NDArray

from rsretrieve.data.geo.place import Place
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.window import Window, split_window
from rsretrieve.index.store.folder import IndexStore
from rsretrieve.index.store.tile_table import IndexedTile
from rsretrieve.progress import Event, Noticed
from rsretrieve.search.filters import Filters
from rsretrieve.search.overlaps import Extents
from rsretrieve.search.query import QueryRequest
from rsretrieve.search.search import QueryResult, SearchContext, run_queries
from tests.support.indexes.planet import Planet, make_planet, parts, passes
from tests.support.indexes.scene_indexes import grid, index_of, rows_of_scene
from tests.support.tiles.made_tiles import UTM


def no_model(_: int) -> object:
    raise AssertionError("no model is needed")


def asked(store: IndexStore, **request: object) -> tuple[list[QueryResult], list[str]]:
    notices: list[str] = []

    def listen(event: Event) -> None:
        if isinstance(event, Noticed):
            notices.append(event.text)

    searching = SearchContext(no_model, RunContext(listener=listen))  # type: ignore[arg-type]
    results = run_queries(store, QueryRequest(**request), searching)  # type: ignore[arg-type]
    return results, notices


def windows_meet(a: Window, b: Window) -> bool:
    """Whether two rectangles share a pixel, an edge or a corner."""
    across = max(a.col, b.col) <= min(a.col + a.width, b.col + b.width)
    return across and max(a.row, b.row) <= min(a.row + a.height, b.row + b.height)


def similarities(store: IndexStore, query: NDArray[np.float32]) -> list[float]:
    return [float(np.dot(query.astype(float), v.astype(float))) for v in store.vectors]


@pytest.fixture(scope="module")
def planet(tmp_path_factory: pytest.TempPathFactory) -> Planet:
    return make_planet(tmp_path_factory.mktemp("planet") / "index")


def tiles_meet(planet: Planet, one: int, other: int) -> bool:
    (scene, a), (scene_too, b) = (split_window(planet.store.rows[i].id) for i in (one, other))
    if scene == scene_too:
        assert a is not None
        assert b is not None
        return windows_meet(a, b)
    here, there = planet.rectangles[one], planet.rectangles[other]
    if here is None or there is None:
        return False
    return any(p.intersects(q) for p in parts(here) for q in parts(there))


@pytest.mark.slow
@pytest.mark.parametrize(
    "k",
    [
        1,
        10,
        pytest.param(60, marks=pytest.mark.exhaustive),
        pytest.param(700, marks=pytest.mark.exhaustive),
    ],
)
def test_hits_are_those_of_a_plain_loop(planet: Planet, k: int) -> None:
    rng = np.random.default_rng(k)
    for number in range(2):
        row = int(rng.integers(700))
        filters = Filters(labels=("forest",) if number == 0 else (), no_overlap=True)
        scores = similarities(planet.store, planet.store.vectors[row])
        kept: list[int] = []
        for other in sorted(range(700), key=lambda i: (-scores[i], i)):
            meets = any(tiles_meet(planet, other, i) for i in (row, *kept))
            if len(kept) < k and passes(planet, other, filters) and not meets:
                kept.append(other)
        tile = planet.store.rows[row].id
        [result], notices = asked(planet.store, tiles=(tile,), k=k, filters=filters)
        assert [hit.found.id for hit in result.hits] == [planet.store.rows[i].id for i in kept]
        assert any(f"fewer than {k} hits" in text for text in notices) == (len(kept) < k)


@pytest.mark.parametrize(
    ("stride", "apart"), [(16, 2), (17, 1), (8, 3), (5, 4)], ids=["touch", "gap", "half", "odd"]
)
def test_windows_of_a_scene_are_compared_exactly(tmp_path: Path, stride: int, apart: int) -> None:
    store = index_of(tmp_path / "index", rows_of_scene("/s.tif", grid(9, 9, 16, stride), **UTM))
    name = f"s.tif#{4 * stride},{4 * stride},16,16"
    filters = Filters(no_overlap=True)
    [result], notices = asked(store, tiles=(name,), k=5, filters=filters)
    windows = [split_window(hit.found.id)[1] for hit in result.hits]
    places = [(w.col // stride, w.row // stride) for w in windows if w is not None]
    for number, (col, row) in enumerate(places):
        for other_col, other_row in ((4, 4), *places[:number]):
            assert max(abs(col - other_col), abs(row - other_row)) >= apart
    assert (len(places), notices) == (5, [])


@pytest.mark.parametrize(
    "profile",
    [
        UTM,
        {"crs": "EPSG:4326", "transform": (1e-4, 0, 179.99, 0, -1e-4, -16)},
        {"crs": "EPSG:3413", "transform": (40, 0, -1e4, 0, -40, 1e4)},
    ],
    ids=["UTM", "antimeridian", "pole"],
)
def test_files_that_touch_on_the_ground_count_as_touching(
    tmp_path: Path, profile: dict[str, object]
) -> None:
    from rasterio import Affine

    transform = profile["transform"]
    profile = {**profile, "transform": Affine(*tuple(transform)[:6])}  # type: ignore[arg-type]
    cells = grid(12, 12, 40, 40)
    rows = [
        IndexedTile(f"{w.col}_{w.row}.tif", f"/{w.col}_{w.row}.tif", None, 1, 1, row.place)
        for w in cells
        for row in rows_of_scene("/s.tif", [w], **profile)
    ]
    extents = Extents(index_of(tmp_path / "index", rows), np.arange(len(rows)))
    for number in range(0, len(rows), 7):
        one = cells[number]
        wanted = [windows_meet(one, other) for other in cells]
        assert extents.touching(extents[number]).tolist() == wanted


def test_a_small_gap_on_the_ground_is_no_contact(tmp_path: Path) -> None:
    windows = [Window(0, 0, 100, 100), Window(101, 0, 100, 100), Window(0, 101, 100, 100)]
    rows = [
        IndexedTile(f"{i}.tif", f"/{i}.tif", None, 1, 1, row.place)
        for i, row in enumerate(rows_of_scene("/s.tif", windows, **UTM))
    ]
    extents = Extents(index_of(tmp_path / "index", rows), np.arange(3))
    assert extents.touching(extents[0]).tolist() == [True, False, False]


def test_windows_of_a_copy_of_a_scene_are_windows_of_that_scene(tmp_path: Path) -> None:
    one = rows_of_scene("/a.tif", grid(4, 4, 16, 16), content="c1")
    copy = rows_of_scene("/b/a2.tif", grid(4, 4, 16, 16), content="c1")
    other = rows_of_scene("/c.tif", grid(4, 4, 16, 16), content="c2")
    store = index_of(tmp_path / "index", [*one, *copy, *other])
    extents = Extents(store, np.arange(48))
    meets = [windows_meet(grid(4, 4, 16, 16)[3], window) for window in grid(4, 4, 16, 16)]
    assert extents.touching(extents[3]).tolist() == [*meets, *meets, *[False] * 16]


def test_without_places_only_copies_are_left_out_and_that_is_said(tmp_path: Path) -> None:
    contents = ["a", "b", "a", "", "", "b", "c"]
    rows = [
        IndexedTile(f"{i}.jpg", f"/{i}.jpg", None, 1, 1, None, content)
        for i, content in enumerate(contents)
    ]
    store = index_of(tmp_path / "index", rows)
    [result], notices = asked(store, tiles=("0.jpg",), k=9, filters=Filters(no_overlap=True))
    found = {hit.found.id for hit in result.hits}
    assert {"3.jpg", "4.jpg", "6.jpg"} < found
    assert len(found) == 4
    assert len({"1.jpg", "5.jpg"} & found) == 1
    assert any("4 of 4 hits and 1 of 1 queries" in text for text in notices)
    assert any("1 of 1 queries have fewer than 9 hits" in text for text in notices)


def test_a_vector_has_no_place_and_its_hits_do_not_overlap(tmp_path: Path) -> None:
    store = index_of(tmp_path / "index", rows_of_scene("/s.tif", grid(9, 9, 16, 8), **UTM))
    vector = store.vectors[3]
    [result], notices = asked(store, vector=vector, k=6, filters=Filters(no_overlap=True))
    windows = [split_window(hit.found.id)[1] for hit in result.hits]
    pairs = [(a, b) for i, a in enumerate(windows) for b in windows[:i] if a and b]
    assert len(pairs) == 15
    assert not any(windows_meet(a, b) for a, b in pairs)
    assert result.hits[0].similarity == pytest.approx(1)
    assert [text for text in notices if "1 of 1 queries" in text and "judged" in text]


def test_points_of_elsewhere_meet_where_they_are_equal(tmp_path: Path) -> None:
    points = [(10.0, 50.0), (10.0, 50.0), (10.001, 50.0), (11.0, 50.0)]
    rows = [
        IndexedTile(str(i), "", None, -1, -1, Place("EPSG:4326", (*p, *p), (p,)))
        for i, p in enumerate(points)
    ]
    area = shapely.box(9.9995, 49.9995, 10.0005, 50.0005)
    corners = tuple(area.exterior.coords)[:4]
    rows.append(IndexedTile("area", "", None, -1, -1, Place("EPSG:4326", area.bounds, corners)))
    store = index_of(tmp_path / "index", rows, provenance={"source": "elsewhere"})
    extents = Extents(store, np.arange(5))
    assert extents.touching(extents[0]).tolist() == [True, True, False, False, True]
    assert extents.touching(extents[4]).tolist() == [True, True, False, False, True]


def test_tiles_of_elsewhere_may_share_the_path_of_their_scene(tmp_path: Path) -> None:
    windows = [Window(0, 0, 16, 16), Window(32, 0, 16, 16)]
    rows = [
        IndexedTile(f"tile{i}", "/s.tif", None, -1, -1, row.place)
        for i, row in enumerate(rows_of_scene("/s.tif", windows, **UTM))
    ]
    store = index_of(tmp_path / "index", rows, provenance={"source": "elsewhere"})
    extents = Extents(store, np.arange(2))
    assert extents.touching(extents[0]).tolist() == [True, False]
    whole = index_of(tmp_path / "other", rows)  # of our own tiles, a path is a file
    assert Extents(whole, np.arange(2)).touching(extents[0]).tolist() == [True, True]
