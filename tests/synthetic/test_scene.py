"""The made-up landscape: what it holds, that it hangs on the seed alone, and its files."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray

from rsretrieve.data.reading.pillow_reader import read_raw
from rsretrieve.data.tile import Tile
from rsretrieve.errors import InvalidArgument, MissingPackage, OutputExists
from rsretrieve.synthetic.layout import CLASS_NAMES, DOMINANCE
from rsretrieve.synthetic.scene import (
    BANDS,
    Landscape,
    make_landscape,
    write_scene,
    write_tiles,
)

CELLS, CELL_PX = 12, 32
CELL_M = CELL_PX * 2.5


@pytest.fixture(scope="module")
def landscape() -> Landscape:
    return make_landscape(CELLS, CELL_PX, seed=3)


@pytest.fixture(scope="module")
def folder(landscape: Landscape, tmp_path_factory: pytest.TempPathFactory) -> Path:
    tiles = tmp_path_factory.mktemp("landscape") / "tiles"
    assert write_tiles(landscape, CELL_PX, tiles) == CELLS * CELLS
    return tiles


def cell_shares(landscape: Landscape, row: int, col: int) -> NDArray[np.float64]:
    """The share of every class in a cell, counted pixel by pixel."""
    cell = landscape.class_map[row * CELL_PX :, col * CELL_PX :][:CELL_PX, :CELL_PX]
    return np.bincount(cell.ravel(), minlength=len(CLASS_NAMES)) / cell.size


def rulers(landscape: Landscape) -> NDArray[np.intp]:
    """The dominating class of every cell."""
    return np.array(
        [
            [np.argmax(cell_shares(landscape, row, col)) for col in range(CELLS)]
            for row in range(CELLS)
        ]
    )


def row_and_col(path: Path) -> tuple[int, int]:
    row, col = path.stem.split("_")[-2:]
    return int(row), int(col)


def test_class_names_are_sorted_and_hold_what_was_promised() -> None:
    promised = {"beach", "bare_soil", "dense_houses", "fields", "forest", "road"}
    promised |= {"sparse_houses", "water"}
    assert list(CLASS_NAMES) == sorted(CLASS_NAMES)
    assert promised <= set(CLASS_NAMES)


def test_the_raster_is_six_bands_of_reflectance_without_nodata(landscape: Landscape) -> None:
    side = CELLS * CELL_PX
    assert landscape.pixels.shape == (6, side, side)
    assert landscape.pixels.dtype == np.uint16
    assert landscape.class_map.shape == (side, side)
    assert landscape.class_map.dtype == np.uint8
    assert landscape.pixels.min() >= 1
    assert landscape.pixels.max() <= 10_000
    assert (landscape.crs, landscape.pixel_m) == ("EPSG:32632", 2.5)


def test_every_class_rules_equally_many_cells(landscape: Landscape) -> None:
    counts = np.bincount(rulers(landscape).ravel(), minlength=len(CLASS_NAMES))
    assert counts.sum() == CELLS * CELLS
    assert counts.max() - counts.min() <= 1


@pytest.mark.parametrize(("cell_px", "seed"), [(16, 0), (16, 1), (32, 1), (48, 2)])
def test_every_cell_has_a_dominating_class(cell_px: int, seed: int) -> None:
    made = make_landscape(7, cell_px, seed).class_map
    cells = made.reshape(7, cell_px, 7, cell_px).swapaxes(1, 2).reshape(49, -1)
    least = min(np.bincount(cell).max() for cell in cells) / cell_px**2
    assert least >= DOMINANCE == 0.75


def test_borders_are_frayed(landscape: Landscape) -> None:
    whole = rulers(landscape).repeat(CELL_PX, axis=0).repeat(CELL_PX, axis=1)
    assert 0.06 < (landscape.class_map != whole).mean() < 0.25


def test_neighbouring_cells_often_share_a_class(landscape: Landscape) -> None:
    classes = rulers(landscape)
    alike = np.concatenate(
        [(classes[1:] == classes[:-1]).ravel(), (classes[:, 1:] == classes[:, :-1]).ravel()]
    )
    assert alike.mean() > 0.3  # a random layout: one in nine


@pytest.mark.parametrize("cells", [2, 3])
def test_the_smallest_landscapes_can_be_made(cells: int) -> None:
    made = make_landscape(cells, 16, seed=0)
    assert made.pixels.shape == (6, 16 * cells, 16 * cells)


def test_materials_look_as_they_do_from_orbit(landscape: Landscape) -> None:
    def mean(name: str, band: str) -> float:
        where = landscape.class_map == CLASS_NAMES.index(name)
        return float(landscape.pixels[BANDS.index(band)][where].mean())

    assert mean("forest", "nir") > 5 * mean("forest", "red")
    assert mean("water", "swir1") < 0.3 * mean("water", "blue") + 200
    assert mean("bare_soil", "swir1") > mean("bare_soil", "nir") > mean("bare_soil", "red")
    assert mean("beach", "red") > 3 * mean("water", "red")


def test_classes_vary_within(landscape: Landscape) -> None:
    """A tile's mean colour alone does not tell every tile's class."""
    tiles = landscape.pixels.reshape(6, CELLS, CELL_PX, CELLS, CELL_PX).mean(axis=(2, 4))
    colours = np.log(tiles.reshape(6, -1).T)
    classes = rulers(landscape).ravel()
    centres = np.stack([colours[classes == k].mean(axis=0) for k in range(len(CLASS_NAMES))])
    nearest = ((colours[:, None] - centres) ** 2).sum(axis=2).argmin(axis=1)
    assert 0.4 < (nearest == classes).mean() < 0.9


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    one, same, other = (make_landscape(4, 16, seed) for seed in (5, 5, 6))
    assert one.pixels.tobytes() == same.pixels.tobytes()
    assert one.class_map.tobytes() == same.class_map.tobytes()
    assert one.pixels.tobytes() != other.pixels.tobytes()
    assert one.class_map.tobytes() != other.class_map.tobytes()


@pytest.mark.parametrize(("cells", "cell_px", "seed"), [(1, 48, 0), (4, 15, 0), (4, 48, -1)])
def test_sizes_that_make_no_sense_are_refused(cells: int, cell_px: int, seed: int) -> None:
    with pytest.raises(InvalidArgument, match=f"{cells} × {cells} cells of {cell_px} px"):
        make_landscape(cells, cell_px, seed)


def test_tiles_lie_in_the_folder_of_their_cells_class(landscape: Landscape, folder: Path) -> None:
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*.tif")}
    expected = {
        f"{CLASS_NAMES[index]}/{CLASS_NAMES[index]}_{row}_{col}.tif"
        for (row, col), index in np.ndenumerate(rulers(landscape))
    }
    assert found == expected


@pytest.mark.medium
def test_tiles_read_back_with_their_pixels_and_place(landscape: Landscape, folder: Path) -> None:
    for path in folder.glob("*/*.tif"):
        row, col = row_and_col(path)
        raw = read_raw(Tile(path.name, str(path)))
        window = landscape.pixels[:, row * CELL_PX :, col * CELL_PX :][:, :CELL_PX, :CELL_PX]
        assert raw.values.dtype == np.uint16
        assert np.array_equal(raw.values, window)
        assert raw.valid is None
        assert raw.place is not None
        assert raw.place.crs == "EPSG:32632"
        left, top = landscape.left_m + col * CELL_M, landscape.top_m - row * CELL_M
        assert raw.place.bounds == (left, top - CELL_M, left + CELL_M, top)


def test_tiles_say_what_they_are(folder: Path) -> None:
    with rasterio.open(next(folder.glob("water/*.tif"))) as dataset:
        assert dataset.descriptions == ("blue", "green", "red", "nir", "swir1", "swir2")
        assert dataset.nodata == 0
        assert dataset.compression.name == "deflate"


def test_a_folder_is_replaced_only_when_asked(tmp_path: Path) -> None:
    made, tiles = make_landscape(2, 16, seed=1), tmp_path / "tiles"
    assert write_tiles(made, 16, tiles) == 4
    (tiles / "left.tif").touch()
    with pytest.raises(OutputExists, match="already exists"):
        write_tiles(made, 16, tiles)
    assert (tiles / "left.tif").exists()
    old = next(tiles.glob("*/*.tif"))
    for name in (f"{old}.aux.xml", old.with_name("mine.tif")):
        Path(name).touch()
    assert write_tiles(make_landscape(2, 16, seed=2), 16, tiles, overwrite=True) == 4
    left = {path.name for path in tiles.rglob("*.*") if not re.search(r"_0|_1", path.name)}
    assert left == {".landscape", "left.tif", "mine.tif"}
    assert len(list(tiles.glob("*/*_*.tif"))) == 4
    assert not list(tiles.rglob("*.xml"))


@pytest.mark.parametrize("name", ["forest/1.tif", "forest/water_1_1.tif", "a.tif"])
def test_a_folder_with_our_marker_and_other_files_is_never_replaced(
    tmp_path: Path, name: str
) -> None:
    mine = tmp_path / name
    mine.parent.mkdir(exist_ok=True)
    mine.touch()
    (tmp_path / ".landscape").touch()
    with pytest.raises(OutputExists, match="did not write"):
        write_tiles(make_landscape(2, 16, seed=1), 16, tmp_path, overwrite=True)
    assert mine.exists()


def test_a_folder_of_the_user_s_is_never_replaced(tmp_path: Path) -> None:
    tiles = tmp_path / "tiles"
    tiles.mkdir()
    (tiles / "mine.txt").write_text("precious")
    with pytest.raises(OutputExists, match="did not write"):
        write_tiles(make_landscape(2, 16, seed=1), 16, tiles, overwrite=True)
    assert [path.name for path in tmp_path.rglob("*")] == ["tiles", "mine.txt"]


@pytest.mark.parametrize("cell_px", [0, 15])
def test_cells_that_do_not_fill_the_landscape_are_refused(cell_px: int, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match=f"cells of {cell_px} px"):
        write_tiles(make_landscape(2, 16, seed=1), cell_px, tmp_path / "tiles")
    assert not list(tmp_path.iterdir())


def test_the_scene_is_one_tiled_raster(landscape: Landscape, tmp_path: Path) -> None:
    path = tmp_path / "scene.tif"
    write_scene(landscape, path)
    raw = read_raw(Tile("scene.tif", str(path)))
    side_m = CELLS * CELL_M
    assert np.array_equal(raw.values, landscape.pixels)
    assert raw.place is not None
    left, top = landscape.left_m, landscape.top_m
    assert raw.place.bounds == (left, top - side_m, left + side_m, top)
    with rasterio.open(path) as dataset:
        assert dataset.profile["tiled"]
        assert dataset.compression.name == "deflate"
    with pytest.raises(OutputExists):
        write_scene(replace(landscape, left_m=0.0), path)


def test_without_rasterio_the_message_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "rasterio", None)
    with pytest.raises(MissingPackage, match="rasterio"):
        write_tiles(make_landscape(2, 16, seed=1), 16, tmp_path / "tiles")
    assert not list(tmp_path.iterdir())
