"""Bands that a file declares as red, green and blue are read in this order."""

from __future__ import annotations

from contextlib import closing
from itertools import permutations

import numpy as np
import pytest
import rasterio
from rasterio.enums import ColorInterp

from rsretrieve._core.paths import stack_path
from rsretrieve.data.notes import Note
from rsretrieve.data.pixels.expected import Expected
from rsretrieve.data.preprocessing.band_statistics import measure_preprocessing
from rsretrieve.data.reading.open_rasters import OpenRasters
from rsretrieve.data.reading.pillow_reader import read_raw
from rsretrieve.data.reading.preview import preview_of
from rsretrieve.data.reading.raster_reader import read_raster, read_windows
from rsretrieve.data.tile import Tile
from rsretrieve.data.window import Window
from tests.support.tiles.made_tiles import noise, save_raster, tile_at, tiles_at

RGB = ("red", "green", "blue")
PICTURE = noise((3, 40, 32), seed=5)


def declared(path, colours, values, **profile):
    save_raster(path, values, photometric="MINISBLACK", **profile)
    with rasterio.open(path, "r+") as dataset:
        dataset.colorinterp = [ColorInterp[colour] for colour in colours]
    with rasterio.open(path) as dataset:
        assert [colour.name for colour in dataset.colorinterp] == [*colours]
    return path


def in_order(colours, picture=PICTURE):
    """The picture as a file of this order stores it."""
    return np.stack([picture[RGB.index(colour)] for colour in colours])


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("colours", [*permutations(RGB)])
def test_a_picture_has_the_same_pixels_in_every_order(tmp_path, colours, dtype):
    picture = PICTURE.astype(dtype)
    path = declared(tmp_path / "a.tif", colours, in_order(colours, picture))
    windows = [Tile(str(n), str(path), window=Window(n, n, 16, 16)) for n in range(2)]
    coarse = read_raster(Tile("c", str(path), window=Window(0, 0, 32, 40, 16)))
    plain = declared(tmp_path / "rgb.tif", RGB, picture)
    same = read_raster(Tile("c", str(plain), window=Window(0, 0, 32, 40, 16)))
    raw = read_raw(tile_at(path))
    with closing(OpenRasters()) as rasters:
        parts = read_windows(rasters, windows)
    assert np.array_equal(raw.values, picture)
    assert np.array_equal(coarse.values, same.values)
    for n, part in enumerate(parts):
        assert np.array_equal(part.values, picture[:, n : n + 16, n : n + 16])
    notes = () if colours == RGB else (Note.COLOURS_REORDERED,)
    assert [one.notes for one in (raw, coarse, *parts)] == [notes] * 4


def test_transparency_and_nodata_belong_to_the_same_bands(tmp_path):
    alpha = np.full((1, 40, 32), 255, np.uint8)
    alpha[:, :20] = 0
    stored = np.concatenate([in_order(RGB[::-1]), alpha])
    raw = read_raw(tile_at(declared(tmp_path / "a.tif", (*RGB[::-1], "alpha"), stored)))
    assert np.array_equal(raw.values, PICTURE)
    assert np.array_equal(raw.valid, np.broadcast_to(alpha > 0, PICTURE.shape))
    picture = np.maximum(PICTURE, 1)
    picture[0, :5], picture[2, 7:] = 0, 0
    path = declared(tmp_path / "n.tif", RGB[::-1], picture[::-1], nodata=0)
    assert np.array_equal(read_raw(tile_at(path)).valid, picture > 0)


def test_scales_go_with_their_bands(tmp_path):
    path = declared(tmp_path / "a.tif", RGB[::-1], PICTURE[::-1].astype(np.uint16))
    with rasterio.open(path, "r+") as dataset:
        dataset.scales = (0.1, 0.2, 0.3)
    assert read_raw(tile_at(path)).packing.scales == (0.3, 0.2, 0.1)


@pytest.mark.parametrize(
    "colours",
    [("red", "green", "undefined"), ("blue", "green", "red", "undefined"), ("gray", "red", "red")],
)
def test_other_bands_stay_as_they_are_stored(tmp_path, colours):
    stored = noise((len(colours), 16, 16), seed=1)
    raw = read_raw(tile_at(declared(tmp_path / "a.tif", colours, stored)))
    assert np.array_equal(raw.values, stored)
    assert raw.notes == ()


def test_bands_of_a_stack_and_bands_chosen_by_number_are_those_of_the_file(tmp_path):
    path = declared(tmp_path / "a.tif", RGB[::-1], PICTURE[::-1])
    other = save_raster(tmp_path / "b.tif", PICTURE[:1])
    stack = read_raster(Tile("s", stack_path([str(path), str(other)])))
    assert np.array_equal(stack.values, np.concatenate([PICTURE[::-1], PICTURE[:1]]))
    raw = read_raw(tile_at(path), expected=Expected(stored_order=True))
    assert np.array_equal(raw.values, PICTURE[::-1])
    assert raw.notes == ()


@pytest.mark.parametrize("bands", [(), (1, 2, 3), (3, 2, 1), (2,)])
def test_statistics_and_pixels_are_of_the_same_bands(tmp_path, bands):
    picture = (PICTURE // 4 + np.array([0, 60, 120])[:, None, None]).astype(np.uint8)
    path = declared(tmp_path / "a.tif", RGB[::-1], picture[::-1])
    measured = measure_preprocessing(tiles_at(path), 32, bands)
    pixels = measured.apply("a", read_raw(tile_at(path), expected=measured.expected))
    expected = picture[1:2] if bands == (2,) else picture
    assert pixels.mean((1, 2)) == pytest.approx(expected.mean((1, 2)), abs=1)
    assert measured.statistics.mean == pytest.approx(expected.mean((1, 2)), abs=2)


def test_a_preview_is_in_colour_whether_bands_are_named_or_not(tmp_path):
    path = declared(tmp_path / "a.tif", RGB[::-1], PICTURE[::-1])
    raw = read_raw(tile_at(path))
    for bands in ((), (3, 2, 1)):
        shown = np.asarray(preview_of(raw, 40, bands)).transpose(2, 0, 1)
        assert np.array_equal(shown, PICTURE)
