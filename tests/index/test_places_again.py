"""An update computes places that an earlier version wrote again, and embeds nothing for that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyproj import Transformer

from rsretrieve.data.discovery.find_tiles import find_tiles
from rsretrieve.data.geo.window_places import PLACES_VERSION
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import TileSet
from rsretrieve.data.windowing import SceneChoices, WindowChoices
from rsretrieve.index.build import index_tiles
from rsretrieve.index.store.folder import IndexContent, open_index
from rsretrieve.index.store.tile_table import IndexedTile
from rsretrieve.index.write import IndexBuildOptions, IndexingSummary, write_index
from rsretrieve.network.model import Model
from rsretrieve.progress import Event, Noticed
from rsretrieve.synthetic.scene import make_landscape
from tests.support.tiles.made_tiles import UTM, save_raster

pytestmark = pytest.mark.medium

PIXELS = make_landscape(6, 16, seed=1).pixels
DEGREES = Transformer.from_crs("EPSG:32618", "EPSG:4326", always_xy=True)


def corners_of(col: int, row: int, side: int) -> list[tuple[float, float]]:
    """Upper left, lower left, lower right, upper right of a square, by pyproj."""
    edges = [(col, row), (col, row + side), (col + side, row + side), (col + side, row)]
    return [DEGREES.transform(500_000 + 10 * x, 4_000_000 - 10 * y) for x, y in edges]


@pytest.fixture
def scene(tmp_path: Path) -> TileSet:
    """Nine windows of a scene."""
    path = save_raster(tmp_path / "scene.tif", PIXELS[:, :48, :48], **UTM)
    return find_tiles(path, scenes=SceneChoices(WindowChoices(16)))


@pytest.fixture
def files(tmp_path: Path) -> TileSet:
    """Three files of one place, and one without a place."""
    for name in "abc":
        save_raster(tmp_path / "files" / f"{name}.tif", PIXELS[:, :16, :16] + ord(name), **UTM)
    save_raster(tmp_path / "files" / "d.tif", PIXELS[:, 16:32, :16])
    return find_tiles(tmp_path / "files")


def indexed_before(model: Model, tiles: TileSet, folder: Path, change: Callable[..., Any]) -> None:
    """An index as an earlier version wrote it, with other places."""
    index_tiles(model, tiles, folder, RunContext())
    store = open_index(folder)
    rows: list[IndexedTile] = [replace(row, place=change(row.place)) for row in store.rows]
    kept = ("model", "model_fingerprint", "windows", "tile_scale")
    facts = {name: getattr(store.manifest, name) for name in kept}
    content = IndexContent(rows, np.array(store.vectors), facts)
    write_index(content, IndexBuildOptions(folder, overwrite=True), RunContext())


def updated(model: Model, tiles: TileSet, folder: Path) -> tuple[IndexingSummary, list[str]]:
    said: list[str] = []

    def listen(event: Event) -> None:
        said.extend([event.text] if isinstance(event, Noticed) else [])

    return index_tiles(model, tiles, folder, RunContext(listener=listen), update=True), said


def moved(place: Any) -> Any:
    """168 km to the east: such as the footprints of a MODIS tile beyond the edge of its map."""
    return place and replace(place, footprint=tuple((x + 2, y) for x, y in place.footprint))


@pytest.mark.parametrize("change", [moved, lambda _: None])
def test_windows_get_the_place_of_today_and_keep_their_vectors(
    model: Model, scene: TileSet, tmp_path: Path, change: Callable[..., Any]
) -> None:
    folder = tmp_path / "index"
    indexed_before(model, scene, folder, change)
    before = open_index(folder)
    assert before.manifest.places == 0
    summary, said = updated(model, scene, folder)
    after = open_index(folder)
    assert (summary.unchanged, summary.added, summary.tiles_per_second) == (9, 0, 0)
    np.testing.assert_array_equal(after.vectors, before.vectors)
    assert after.manifest.places == PLACES_VERSION
    assert sum("9 of 9 unchanged tiles have a corrected place" in text for text in said) == 1
    for row in after.rows:
        window = row.tile.window
        assert window is not None
        assert row.place is not None
        expected = corners_of(window.col, window.row, 16)
        np.testing.assert_allclose(row.place.footprint, expected, atol=1e-9)


def test_files_get_the_place_of_today_once(
    model: Model, files: TileSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "index"
    indexed_before(model, files, folder, moved)
    _, said = updated(model, files, folder)
    rows = {row.id: row.place for row in open_index(folder).rows}
    for name in "abc":
        place = rows[f"{name}.tif"]
        assert place is not None
        np.testing.assert_allclose(place.footprint, corners_of(0, 0, 16), atol=1e-9)
    assert rows["d.tif"] is None
    assert any("3 of 4 unchanged" in text for text in said)
    monkeypatch.setattr("rsretrieve.index.places_again.read_headers_in_order", None)
    assert updated(model, files, folder)[0].unchanged == 4


def test_files_that_cannot_be_listed_keep_their_place_until_they_can(
    model: Model, files: TileSet, tmp_path: Path
) -> None:
    folder = tmp_path / "index"
    indexed_before(model, files, folder, moved)
    unseen = replace(files, tiles=files.tiles[1:], unseen=("a.tif",))
    updated(model, unseen, folder)
    store = open_index(folder)
    assert store.manifest.places == 0
    places = {row.id: row.place for row in store.rows}
    assert places["a.tif"] is not None
    np.testing.assert_allclose(
        places["a.tif"].footprint, np.add(corners_of(0, 0, 16), (2, 0)), atol=1e-9
    )
    updated(model, files, folder)
    store = open_index(folder)
    assert store.manifest.places == PLACES_VERSION
    assert len({row.place for row in store.rows if row.place}) == 1


def test_a_new_index_has_the_version_of_today(model: Model, files: TileSet, tmp_path: Path) -> None:
    index_tiles(model, files, tmp_path / "index", RunContext())
    assert open_index(tmp_path / "index").manifest.places == PLACES_VERSION
