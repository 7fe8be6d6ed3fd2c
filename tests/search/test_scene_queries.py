"""A scene as a query is searched by its windows; images of another scale are told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from rasterio import Affine

from rsretrieve.data.discovery.find_tiles import find_tiles
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.windowing import SceneChoices, WindowChoices
from rsretrieve.errors import InputError
from rsretrieve.index.build import index_tiles
from rsretrieve.index.embed_tiles import embed_tiles
from rsretrieve.index.store.folder import IndexStore, open_index
from rsretrieve.network.model import Model
from rsretrieve.progress import Event, Noticed
from rsretrieve.search import scene_queries
from rsretrieve.search.filters import Filters
from rsretrieve.search.query import QueryRequest
from rsretrieve.search.search import QueryResult, SearchContext, run_queries
from rsretrieve.synthetic.scene import make_landscape
from tests.support.tiles.made_tiles import UTM, save_raster, tiles_at


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pixels = make_landscape(6, 16, seed=3).pixels
    return save_raster(tmp_path_factory.mktemp("scenes") / "scene.tif", pixels, **UTM)


@pytest.fixture(scope="module")
def windows(scene: Path, model: Model, tmp_path_factory: pytest.TempPathFactory) -> IndexStore:
    """An index of a scene of 96 px, cut into 36 windows of 16 px."""
    tiles = find_tiles(scene, scenes=SceneChoices(WindowChoices(16)))
    folder = tmp_path_factory.mktemp("indexes") / "index"
    index_tiles(model, tiles, folder, RunContext())
    return open_index(folder)


def asked(
    store: IndexStore, model: Model, image: str, notices: list[str], **request: object
) -> QueryResult:
    def listen(event: Event) -> None:
        if isinstance(event, Noticed):
            notices.append(event.text)

    context = SearchContext(lambda _: model, RunContext(listener=listen))
    [result] = run_queries(store, QueryRequest(images=(image,), **request), context)
    return result


def part_of(scene: Path, folder: Path, side: int) -> Path:
    pixels = make_landscape(6, 16, seed=3).pixels[:, :side, :side]
    return save_raster(folder / f"part{side}.tif", pixels, **UTM)


@pytest.mark.medium
@pytest.mark.parametrize("side", [32, 48])
def test_hits_are_the_best_of_all_windows(
    windows: IndexStore, model: Model, scene: Path, tmp_path: Path, side: int
) -> None:
    notices: list[str] = []
    result = asked(windows, model, str(part_of(scene, tmp_path, side)), notices, k=36)
    names = [f"scene.tif#{c},{r},16,16" for r in range(0, side, 16) for c in range(0, side, 16)]
    ids = windows.rows.column("id")
    own = windows.vectors[[ids.index(name) for name in names]].astype(np.float64)
    best = (windows.vectors.astype(np.float64) @ own.T).max(axis=1)
    assert [hit.similarity for hit in result.hits] == pytest.approx(
        np.minimum(sorted(best, reverse=True), 1), abs=1e-5
    )
    assert any(f"{len(names)} windows" in text for text in notices)


@pytest.mark.medium
def test_filters_hold_for_the_merged_hits(windows: IndexStore, model: Model, scene: Path) -> None:
    request = {"k": 5, "filters": Filters(distinct_scene=True)}
    assert len(asked(windows, model, str(scene), [], **request).hits) == 1
    excluded = {"k": 5, "filters": Filters(exclude_self=True)}
    assert asked(windows, model, str(scene), [], **excluded).hits == ()


@pytest.mark.medium
def test_an_image_of_the_size_of_a_window_stays_one_tile(
    windows: IndexStore, model: Model, scene: Path, tmp_path: Path
) -> None:
    notices: list[str] = []
    result = asked(windows, model, str(part_of(scene, tmp_path, 16)), notices, k=1)
    assert result.hits[0].similarity == pytest.approx(1, abs=1e-4)
    assert not any("window" in text or "wide" in text for text in notices)


@pytest.mark.medium
@pytest.mark.parametrize("window", ["0,0,48,48", "0,0,8,8"])
def test_a_window_of_another_size_is_told(
    windows: IndexStore, model: Model, scene: Path, window: str
) -> None:
    notices: list[str] = []
    asked(windows, model, f"{scene}#{window}", notices)
    assert sum("scale" in text for text in notices) == 1


@pytest.mark.medium
def test_a_scene_of_too_many_windows_is_refused(
    windows: IndexStore, model: Model, scene: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scene_queries, "MOST_WINDOWS", 10)
    with pytest.raises(InputError, match="more than 10 windows"):
        asked(windows, model, str(scene), [])


PIXELS = make_landscape(6, 16, seed=3).pixels


def on_the_ground(path: Path, pixels: NDArray[Any], pixel_m: float, at: tuple[int, int]) -> Path:
    """A raster whose upper left corner is a column and a row of 10 m pixels from a common one."""
    transform = Affine(pixel_m, 0, 500_000 + 10 * at[0], 0, -pixel_m, 4_000_000 - 10 * at[1])
    return save_raster(path, pixels, crs="EPSG:32618", transform=transform)


@pytest.fixture(scope="module")
def files(model: Model, tmp_path_factory: pytest.TempPathFactory) -> IndexStore:
    """An index of 36 files of 16 px at 10 m."""
    folder = tmp_path_factory.mktemp("files")
    for row in range(0, 96, 16):
        for col in range(0, 96, 16):
            part = PIXELS[:, row : row + 16, col : col + 16]
            on_the_ground(folder / "tiles" / f"{row:02d}_{col:02d}.tif", part, 10, (col, row))
    index_tiles(model, find_tiles(folder / "tiles"), folder / "index", RunContext())
    return open_index(folder / "index")


def similarities(result: QueryResult) -> dict[str, float]:
    return {hit.found.id: hit.similarity for hit in result.hits}


@pytest.mark.medium
def test_an_index_of_files_is_searched_by_windows_of_their_size(
    files: IndexStore, model: Model, tmp_path: Path
) -> None:
    """Every window of the scene has the pixels of a tile."""
    scene = on_the_ground(tmp_path / "scene.tif", PIXELS, 10, (0, 0))
    notices: list[str] = []
    result = asked(files, model, str(scene), notices, k=36)
    assert set(similarities(result)) == set(files.rows.column("id"))
    assert list(similarities(result).values()) == pytest.approx([1] * 36, abs=1e-4)
    assert sum("36 windows of 16 px" in text for text in notices) == 1


@pytest.mark.medium
def test_windows_cover_all_of_a_scene_that_they_do_not_divide(
    files: IndexStore, model: Model, tmp_path: Path
) -> None:
    pixels = PIXELS[:, 20:60, 7:47]
    scene = on_the_ground(tmp_path / "scene.tif", pixels, 10, (7, 20))
    result = asked(files, model, str(scene), [], k=36)
    parts = [
        pixels[:, row : row + 16, col : col + 16] for row in (0, 12, 24) for col in (0, 12, 24)
    ]
    paths = [save_raster(tmp_path / "p" / f"{i}.tif", part) for i, part in enumerate(parts)]
    vectors = embed_tiles(model, tiles_at(*paths), RunContext()).vectors
    best = (files.vectors.astype(np.float64) @ vectors.T.astype(np.float64)).max(axis=1)
    expected = dict(zip(files.rows.column("id"), best))
    assert similarities(result) == pytest.approx(expected, abs=1e-4)


@pytest.mark.medium
def test_a_finer_scene_is_read_at_the_resolution_of_the_tiles(
    files: IndexStore, model: Model, tmp_path: Path
) -> None:
    """At 5 m, each pixel four times: its averages are the pixels of the tiles."""
    fine = PIXELS.repeat(2, axis=1).repeat(2, axis=2)
    scene = on_the_ground(tmp_path / "scene.tif", fine, 5, (0, 0))
    notices: list[str] = []
    result = asked(files, model, str(scene), notices, k=36)
    assert list(similarities(result).values()) == pytest.approx([1] * 36, abs=1e-4)
    assert any("36 windows of 32 px" in text for text in notices)
    assert not any("scale" in text for text in notices)


@pytest.mark.medium
def test_a_tile_in_more_detail_is_no_scene(files: IndexStore, model: Model, tmp_path: Path) -> None:
    fine = PIXELS[:, :16, :16].repeat(8, axis=1).repeat(8, axis=2)
    notices: list[str] = []
    tile = on_the_ground(tmp_path / "tile.tif", fine, 1.25, (0, 0))
    assert similarities(asked(files, model, str(tile), notices, k=1)) == pytest.approx(
        {"00_00.tif": 1}, abs=1e-3
    )
    assert notices == []


@pytest.mark.medium
def test_a_coarser_scene_has_the_ground_size_of_the_tiles_and_is_told(
    files: IndexStore, model: Model, tmp_path: Path
) -> None:
    scene = on_the_ground(tmp_path / "scene.tif", PIXELS[:, ::2, ::2], 20, (0, 0))
    notices: list[str] = []
    asked(files, model, str(scene), notices, k=1)
    assert any("36 windows of 8 px" in text for text in notices)
    assert any("across scales" in text for text in notices)


@pytest.mark.medium
@pytest.mark.parametrize(("side", "windows"), [(48, 0), (64, 16)])
def test_without_a_place_only_a_much_larger_image_is_a_scene(
    files: IndexStore, model: Model, tmp_path: Path, side: int, windows: int
) -> None:
    scene = save_raster(tmp_path / "scene.tif", PIXELS[:, :side, :side])
    notices: list[str] = []
    asked(files, model, str(scene), notices, k=1)
    said = [text for text in notices if "windows of" in text or "across scales" in text]
    assert len(said) == 1
    assert (f"{windows} windows" in said[0]) == bool(windows)


@pytest.mark.medium
def test_a_scene_is_one_image_if_the_user_says_so(
    files: IndexStore, model: Model, tmp_path: Path
) -> None:
    scene = on_the_ground(tmp_path / "scene.tif", PIXELS, 10, (0, 0))
    notices: list[str] = []
    asked(files, model, f"{scene}#0,0,96,96", notices, k=1)
    assert not any("windows of" in text for text in notices)
    assert any("across scales" in text for text in notices)


@pytest.mark.medium
def test_windows_of_nodata_are_left_out(files: IndexStore, model: Model, tmp_path: Path) -> None:
    pixels = PIXELS.copy()
    pixels[:, :48] = 0
    scene = on_the_ground(tmp_path / "scene.tif", pixels, 10, (0, 0))
    with rasterio.open(scene, "r+") as dataset:
        dataset.nodata = 0
    found = similarities(asked(files, model, str(scene), [], k=18))
    assert set(found) == {i for i in files.rows.column("id") if int(i[:2]) >= 48}


@pytest.mark.medium
def test_too_many_windows_of_a_tile_are_refused(
    files: IndexStore, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scene_queries, "MOST_WINDOWS", 10)
    scene = on_the_ground(tmp_path / "scene.tif", PIXELS, 10, (0, 0))
    with pytest.raises(InputError, match="more than 10 windows"):
        asked(files, model, str(scene), [])


@pytest.mark.medium
def test_a_scene_that_is_a_tile_of_the_index_is_not_its_own_hit(
    model: Model, tmp_path: Path
) -> None:
    for number in range(9):
        row, col = 16 * (number // 3), 16 * (number % 3)
        part = PIXELS[:, row : row + 16, col : col + 16]
        on_the_ground(tmp_path / "tiles" / f"{number}.tif", part, 10, (col, row))
    scene = on_the_ground(tmp_path / "tiles" / "scene.tif", PIXELS, 10, (0, 0))
    index_tiles(model, find_tiles(tmp_path / "tiles"), tmp_path / "index", RunContext())
    store = open_index(tmp_path / "index")
    result = asked(store, model, str(scene), [], k=10, filters=Filters(exclude_self=True))
    assert "scene.tif" not in similarities(result)
    assert len(result.hits) == 9
