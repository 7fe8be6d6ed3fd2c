"""The scales and offsets that a sample of files declares."""

from __future__ import annotations

import rasterio

from rsretrieve.data.pixels.expected import Expected
from rsretrieve.data.pixels.packing import Packing
from rsretrieve.data.profile.declared_packing import declared_packings
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.data.window import Window
from tests.support.tiles.made_tiles import noise, save_picture, save_raster, tiles_at


def packed(path, scale, offset, bands=2):
    save_raster(path, noise((bands, 16, 16), "uint16"))
    with rasterio.open(path, "r+") as dataset:
        dataset.scales, dataset.offsets = [scale] * bands, [offset] * bands
    return path


def test_the_most_frequent_comes_first_and_files_without_any_do_not_count(tmp_path):
    paths = [packed(tmp_path / f"{i}.tif", 1e-4, -0.1 if i else 0.0) for i in range(3)]
    paths += [save_raster(tmp_path / f"bare{i}.tif", noise((2, 16, 16), "uint16")) for i in "abcd"]
    found = declared_packings(tiles_at(*paths), Expected(2))
    assert found == [Packing((1e-4,) * 2, (-0.1,) * 2), Packing((1e-4,) * 2, (0.0,) * 2)]


def test_files_that_cannot_be_read_or_have_other_bands_do_not_count(tmp_path):
    (tmp_path / "broken.tif").write_bytes(b"II*\0 nothing")
    paths = [tmp_path / "broken.tif", tmp_path / "missing.tif", packed(tmp_path / "a.tif", 2, 1)]
    picture = save_picture(tmp_path / "a.jpg", noise((3, 16, 16)))
    assert declared_packings(tiles_at(*paths, picture), Expected(3)) == []
    assert declared_packings(tiles_at(*paths, picture), Expected(2)) == [Packing((2, 2), (1, 1))]


def test_blank_tiles_and_windows_of_one_scene_declare_it_once(tmp_path):
    path = save_raster(tmp_path / "blank.tif", noise((1, 32, 32), "int16") * 0)
    with rasterio.open(path, "r+") as dataset:
        dataset.scales, dataset.offsets = [0.001], [285.0]
    windows = [Window(col, 0, 16, 16) for col in (0, 16)]
    tiles = tuple(Tile(f"blank.tif{w}", str(path), None, w) for w in windows)
    assert declared_packings(TileSet("scene", tiles), Expected(1)) == [Packing((0.001,), (285.0,))]
