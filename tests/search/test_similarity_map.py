"""Similarity maps against plain loops over the windows."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from rasterio import Affine

from rsretrieve.data.window import Window, split_window
from rsretrieve.errors import InputError
from rsretrieve.index.store.folder import IndexStore
from rsretrieve.index.store.tile_table import IndexedTile
from rsretrieve.search import similarity_map as similarity_maps
from rsretrieve.search.similarity_map import SimilarityMap, scenes_of, similarity_map
from tests.support.indexes.scene_indexes import grid, index_of, rows_of_scene
from tests.support.indexes.vectors import unit_rows
from tests.support.tiles.made_tiles import UTM

TURNED = {
    "crs": "EPSG:32618",
    "transform": Affine.translation(500_000, 4e6) @ Affine.rotation(20) @ Affine.scale(10, -10),
}


def cosines(store: IndexStore, queries: np.ndarray) -> list[float]:
    """The highest similarity of each tile to some vectors."""
    return [
        max(sum(float(a) * float(b) for a, b in zip(query, vector)) for query in queries)
        for vector in store.vectors
    ]


def map_of(store: IndexStore, queries: np.ndarray | None = None) -> SimilarityMap:
    [scene] = scenes_of(store)
    return similarity_map(store, scene, store.vectors[:1] if queries is None else queries)


def windows_of(store: IndexStore) -> list[Window]:
    windows = [split_window(name)[1] for name in store.rows.column("id")]
    return [window for window in windows if window is not None]


@pytest.mark.parametrize("profile", [UTM, TURNED], ids=["UTM", "turned"])
@pytest.mark.parametrize(("side", "stride", "start"), [(16, 16, 0), (16, 8, 40), (8, 20, 3)])
def test_each_window_is_a_pixel_whose_centre_is_its_own(
    tmp_path: Path, profile: dict[str, object], side: int, stride: int, start: int
) -> None:
    windows = grid(7, 5, side, stride, start)
    missing = windows[4:6]
    rows = rows_of_scene("/s.tif", [w for w in windows if w not in missing], **profile)
    store = index_of(tmp_path / "index", rows)
    queries = unit_rows(2, 8, seed=9)
    found = map_of(store, queries)
    assert found.values.shape == (5, 7)
    assert found.values.dtype == np.float32
    assert (found.is_regular, found.cell_px, found.crs) == (True, (stride, stride), "EPSG:32618")
    expected = np.full((5, 7), math.nan)
    for window, cosine in zip(windows_of(store), cosines(store, queries)):
        expected[(window.row - start) // stride, (window.col - start) // stride] = cosine
    assert np.isnan(found.values).sum() == 2
    assert found.values == pytest.approx(expected, abs=1e-6, nan_ok=True)
    scene = profile["transform"]
    for row, col in ((0, 0), (4, 6), (2, 3)):
        x, y = Affine(*found.transform) @ (col + 0.5, row + 0.5)
        middle = (start + col * stride + side / 2, start + row * stride + side / 2)
        assert (x, y) == pytest.approx(scene @ middle, abs=1e-4)


def test_without_a_georeference_the_map_is_in_pixels(tmp_path: Path) -> None:
    found = map_of(index_of(tmp_path / "index", rows_of_scene("/s.tif", grid(3, 2, 16, 8))))
    assert found.crs is None
    assert Affine(*found.transform) @ (0.5, 0.5) == (8, 8)
    assert Affine(*found.transform) @ (2.5, 1.5) == (24, 16)


@pytest.mark.parametrize("columns", [1, 4])
def test_windows_in_one_row_have_a_map(tmp_path: Path, columns: int) -> None:
    rows = rows_of_scene("/s.tif", grid(columns, 1, 16, 8, 24), **UTM)
    found = map_of(index_of(tmp_path / "index", rows))
    assert found.values.shape == (1, columns)
    step = 8 if columns > 1 else 16
    x, y = Affine(*found.transform) @ (0.5, 0.5)
    assert (x, y) == pytest.approx(UTM["transform"] @ (32, 32), abs=1e-3)
    assert found.transform.a == pytest.approx(10 * step, rel=1e-6)


def test_windows_with_rounded_starts_lie_on_a_grid(tmp_path: Path) -> None:
    starts = [round(i * 21.333) for i in range(20)]
    windows = [Window(col, row, 21, 21) for row in starts for col in starts]
    rows = rows_of_scene("/s.tif", windows, **UTM)
    choices = {
        **{"window_px": 64, "stride_px": None, "resolution_m": 3.33},
        **{"edges": "drop", "max_nodata": 0.5},
    }
    found = map_of(index_of(tmp_path / "index", rows, windows=choices))
    assert (found.is_regular, found.values.shape) == (True, (20, 20))
    assert found.cell_px == pytest.approx((21.333, 21.333), abs=0.05)
    assert not np.isnan(found.values).any()


def test_windows_on_no_grid_are_painted(tmp_path: Path) -> None:
    windows = [
        *(Window(0, 0, 32, 32), Window(20, 7, 32, 32), Window(100, 50, 48, 32)),
        Window(90, 60, 64, 64),
    ]
    store = index_of(tmp_path / "index", rows_of_scene("/s.tif", windows, **UTM))
    found = map_of(store)
    assert not found.is_regular
    assert found.cell_px == (8, 8)
    similarity = cosines(store, store.vectors[:1])
    for row in range(found.values.shape[0]):
        for col in range(found.values.shape[1]):
            x, y = col * 8 + 4, row * 8 + 4
            over = [
                similarity[i]
                for i, w in enumerate(windows)
                if w.col <= x < w.col + w.width and w.row <= y < w.row + w.height
            ]
            expected = max(over, default=math.nan)
            assert found.values[row, col] == pytest.approx(expected, abs=1e-6, nan_ok=True)
    assert Affine(*found.transform) @ (2, 1) == pytest.approx(UTM["transform"] @ (16, 8))


def test_scenes_are_told_apart_by_their_files(tmp_path: Path) -> None:
    rows = [
        *rows_of_scene("/b/s.tif", grid(2, 2, 16, 16)),
        IndexedTile("photo.jpg", "/photo.jpg", None, 1, 1, None),
        *rows_of_scene("/a/s.tif", grid(3, 1, 16, 16)),
    ]
    rows += [IndexedTile(f"u.tif#{16 * i},0,16,16", "", None, -1, -1, None) for i in range(2)]
    scenes = scenes_of(index_of(tmp_path / "index", rows))
    assert [scene.file for scene in scenes] == ["/a/s.tif", "/b/s.tif", "u.tif"]
    assert [scene.rows.tolist() for scene in scenes] == [[5, 6, 7], [0, 1, 2, 3], [8, 9]]
    assert [scene.name for scene in scenes] == ["s", "s", "u"]


def test_an_index_without_windows_has_no_grid(tmp_path: Path) -> None:
    store = index_of(tmp_path / "index", [IndexedTile("a.jpg", "/a.jpg", None, 1, 1, None)])
    with pytest.raises(InputError, match="no windows of a scene"):
        scenes_of(store)


def test_a_map_that_would_be_too_large_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    windows = [Window(0, 0, 8, 8), Window(8, 0, 8, 8), Window(0, 8, 8, 8), Window(800, 800, 8, 8)]
    store = index_of(tmp_path / "index", rows_of_scene("/s.tif", windows, **UTM))
    assert map_of(store).values.shape == (101, 101)
    monkeypatch.setattr(similarity_maps, "MOST_PIXELS", 10_000)
    with pytest.raises(InputError, match="101 × 101 pixels"):
        map_of(store)


def test_places_that_are_no_grid_are_refused(tmp_path: Path) -> None:
    windows = grid(3, 3, 16, 16)
    rows = rows_of_scene("/s.tif", windows, **UTM)
    moved = rows_of_scene("/s.tif", [Window(900, 900, 16, 16)], **UTM)[0].place
    rows[4] = IndexedTile(rows[4].id, "/s.tif", None, 1, 1, moved)
    with pytest.raises(InputError, match="do not lie on one grid"):
        map_of(index_of(tmp_path / "index", rows))
