"""The same file has the same pixels, however it is read, and they are those of GDAL."""

from __future__ import annotations

from contextlib import closing

import numpy as np
import pytest
import rasterio
from rasterio.enums import ColorInterp

from rsretrieve.data.notes import Note
from rsretrieve.data.pixels.expected import Expected
from rsretrieve.data.reading.open_rasters import OpenRasters
from rsretrieve.data.reading.pillow_reader import read_raw
from rsretrieve.data.reading.raster_reader import read_windows
from rsretrieve.data.reading.read_tiles import read_in_order
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.data.window import Window
from rsretrieve.errors import TileError
from tests.support.processes.worker_functions import the_raw_tile
from tests.support.tiles.made_tiles import UTM, noise, save_picture, save_raster, tile_at
from tests.support.tiles.random_rasters import random_raster

BATCHES, BATCH = 10, 30


def checked(case):
    """Compare a raster, read in five ways, with what it should be."""
    height, width = case.values.shape[1:]
    whole = read_raw(Tile("a", str(case.path)))
    window = read_raw(Tile("a", str(case.path), window=Window(0, 0, width, height)))
    asked = read_raw(
        Tile("a", str(case.path)), None, Expected(len(whole.values), packing=whole.packing)
    )
    for name, raw in (("whole", whole), ("window", window), ("query", asked)):
        same(raw, case.values, case.valid, f"{name}: {case.about}")
    left, top = width // 3, height // 4
    parts = [Window(0, 0, width, height), Window(left, top, width - left, height - top)]
    tiles = [Tile(f"a{part}", str(case.path), window=part) for part in parts]
    if min(parts[1].shape_px) >= 8:
        with closing(OpenRasters()) as rasters:
            first, second = read_windows(rasters, tiles)
        same(first, case.values, case.valid, f"run of windows: {case.about}")
        cut = slice(None), slice(top, None), slice(left, None)
        same(second, case.values[cut], case.valid[cut], f"part: {case.about}")


def same(raw, values, valid, about):
    assert not isinstance(raw, Exception), (raw, about)
    assert raw.values.dtype == values.dtype, about
    assert raw.values.shape == values.shape, about
    found = np.ones(values.shape, bool) if raw.valid is None else raw.valid
    assert np.array_equal(found, valid), about
    assert np.array_equal(raw.values[valid], values[valid]), about


@pytest.mark.medium
@pytest.mark.parametrize("batch", range(BATCHES))
def test_300_random_rasters_are_read_as_gdal_reads_them(tmp_path, batch):
    for seed in range(batch * BATCH, (batch + 1) * BATCH):
        checked(random_raster(tmp_path, seed))


@pytest.mark.medium
def test_workers_read_them_so_too(tmp_path):
    cases = [random_raster(tmp_path, seed) for seed in range(BATCH)]
    tiles = TileSet("", tuple(Tile(case.path.name, str(case.path)) for case in cases))
    for case, read in zip(cases, read_in_order(tiles, the_raw_tile, 1)):
        same(read.content, case.values, case.valid, case.about)


# Transparency that is none


def four_bands(path, fourth, **profile):
    values = noise((4, 32, 32))
    values[3] = fourth
    return save_raster(path, values, **UTM, **profile), values


def wavy(low, high):
    return np.random.default_rng(1).integers(low, high, (32, 32))


@pytest.mark.parametrize(
    "fourth",
    [wavy(180, 240), np.where(wavy(0, 2), 90, 0), np.full((32, 32), 40), wavy(0, 256)],
    ids=["vegetation", "half water", "flat", "anything"],
)
def test_a_fourth_band_tagged_alpha_that_holds_measurements_is_a_band(tmp_path, fourth):
    """GDAL tags the fourth band of an 8-bit raster so, whatever it holds."""
    path, values = four_bands(tmp_path / "a.tif", fourth)
    for window in (None, Window(0, 0, 32, 32)):
        raw = read_raw(tile_at(path, window=window))
        same(raw, values, np.ones(values.shape, bool), "no model")
        assert raw.notes == (Note.ALPHA_IS_BAND,)
        for_rgb = read_raw(tile_at(path, window=window), None, Expected(3))
        same(for_rgb, values[:3], np.ones((3, 32, 32), bool), "model of three bands")
        assert for_rgb.notes == (Note.ALPHA_IGNORED,)


@pytest.mark.parametrize("opaque", [255, 1])
def test_a_fourth_band_of_nothing_and_full_opacity_is_transparency(tmp_path, opaque):
    path, values = four_bands(tmp_path / "a.tif", np.where(wavy(0, 2), opaque, 0))
    seen = np.broadcast_to(values[3] > 0, (3, 32, 32))
    raw = read_raw(tile_at(path))
    same(raw, values[:3], seen, "by its content")
    assert raw.notes == ()
    # A model of four bands knows better: here it is water, which has no near infrared.
    as_band = read_raw(tile_at(path), None, Expected(4))
    same(as_band, values, np.ones(values.shape, bool), "by the model")
    asked = read_raw(tile_at(path), None, Expected(least_bands=4))
    same(asked, values, np.ones(values.shape, bool), "by --bands")


def test_a_tile_of_water_is_a_tile_for_a_model_of_four_bands(tmp_path):
    path, values = four_bands(tmp_path / "a.tif", 0)
    with pytest.raises(TileError, match="nodata"):
        read_raw(tile_at(path))
    same(read_raw(tile_at(path), None, Expected(4)), values, np.ones(values.shape, bool), "")


def test_grey_with_soft_transparency_is_grey_for_a_model_of_colours(tmp_path):
    values = np.stack([noise((32, 32)), wavy(100, 200).astype(np.uint8)])
    path = save_picture(tmp_path / "a.png", values)
    for window in (None, Window(0, 0, 32, 32)):
        raw = read_raw(tile_at(path, window=window), None, Expected(3))
        same(raw, values[:1], np.ones((1, 32, 32), bool), "")
        assert raw.notes == (Note.ALPHA_IGNORED,)


@pytest.mark.parametrize("read_px", [None, 8])
def test_transparency_counts_in_a_raster_of_any_number_of_bands(tmp_path, read_px):
    """GDAL itself uses it as the mask of rasters of two and of four bands only."""
    values = noise((7, 32, 32), "uint16")
    values[6] = np.where(np.arange(32) < 10, 0, 65535)
    path, shape = tmp_path / "a.tif", {"count": 7, "height": 32, "width": 32}
    with rasterio.open(path, "w", dtype="uint16", **shape) as dataset:
        dataset.colorinterp = [*dataset.colorinterp[:6], ColorInterp.alpha]
        dataset.write(values)
    seen = np.broadcast_to(values[6] > 0, (6, 32, 32))
    if read_px is None:
        same(read_raw(tile_at(path)), values[:6], seen, "whole")
        same(read_raw(tile_at(path, window=Window(0, 0, 32, 32))), values[:6], seen, "window")
        return
    raw = read_raw(tile_at(path, window=Window(0, 0, 32, 32, read_px=read_px)))
    means, valid = coarse_means(values[:6], seen, 4)
    assert np.array_equal(raw.valid, valid)
    assert np.abs(raw.values - means)[valid].max() <= 0.5


def test_soft_edges_are_still_transparency(tmp_path):
    fourth = np.full((32, 32), 255)
    fourth[:, :4] = np.arange(4) * 60
    path, values = four_bands(tmp_path / "a.tif", fourth)
    same(read_raw(tile_at(path)), values[:3], np.broadcast_to(values[3] > 0, (3, 32, 32)), "")


def test_alpha_of_a_large_scene_is_judged_by_squares_all_over_it(tmp_path):
    """The first squares are empty; windows agree with one another wherever they lie."""
    values = noise((4, 1200, 1000))
    values[3] = np.random.default_rng(0).integers(100, 200, (1200, 1000))
    values[3, :400] = 0
    path = save_raster(tmp_path / "a.tif", values, **UTM)
    for row in (0, 600):
        raw = read_raw(tile_at(path, window=Window(8, row, 64, 64)))
        assert np.array_equal(raw.values, values[:, row : row + 64, 8:72])
        assert raw.valid is None


# Values that stand for nodata


@pytest.mark.parametrize("value", [-3.4028235e38, np.inf, -np.inf, 9.96921e36, 1.1e30])
@pytest.mark.parametrize("nodata", [None, -3.4e38])
def test_extreme_values_are_no_measurements_and_are_told(tmp_path, value, nodata):
    values = noise((2, 32, 32), "float32")
    values[0, :9, :5] = value
    profile = {} if nodata is None else {"nodata": nodata}
    path = save_raster(tmp_path / "a.tif", values, **profile)
    for window in (None, Window(0, 0, 32, 32)):
        raw = read_raw(tile_at(path, window=window))
        same(raw, values, np.abs(values) <= 1e30, "")
        is_declared = nodata is not None and value < nodata * 0.99  # GDAL's tolerance
        assert raw.notes == (() if is_declared and np.isfinite(value) else (Note.EXTREME,))


@pytest.mark.parametrize(("dtype", "value"), [("float32", -9999), ("int16", -32768)])
def test_a_usual_fill_value_that_is_not_declared_is_told(tmp_path, dtype, value):
    values = noise((1, 32, 32), dtype)
    values[0, :3] = value
    raw = read_raw(tile_at(save_raster(tmp_path / "a.tif", values)))
    same(raw, values, np.ones(values.shape, bool), "")
    assert raw.notes == (Note.FILL,)
    declared = read_raw(tile_at(save_raster(tmp_path / "b.tif", values, nodata=value)))
    same(declared, values, values != value, "")
    assert declared.notes == ()


def test_a_note_about_a_scene_counts_only_the_windows_that_it_is_true_of(tmp_path):
    values = noise((1, 64, 64), "float32")
    values[0, 3, 40] = np.inf
    path = save_raster(tmp_path / "a.tif", values)
    tiles = [tile_at(path, window=Window(x, y, 16, 16)) for y in (0, 16) for x in (0, 16, 32, 48)]
    with closing(OpenRasters()) as rasters:
        reads = read_windows(rasters, tiles)
    assert [raw.notes for raw in reads] == [()] * 2 + [(Note.EXTREME,)] + [()] * 5
    for raw, tile in zip(reads, tiles):
        cut = values[:, tile.window.row :, tile.window.col :][:, :16, :16]
        same(raw, cut, np.isfinite(cut), tile.id)


def coarse_means(values, valid, times):
    """Means of blocks over valid pixels, by NumPy's masked arrays."""
    bands, height, width = values.shape
    shape = bands, height // times, times, width // times, times
    blocks = np.ma.masked_array(values.astype(np.float64), ~valid).reshape(shape)
    means = blocks.mean(axis=(2, 4))
    return means.filled(0), ~np.ma.getmaskarray(means)


@pytest.mark.parametrize("value", [np.nan, -3.4028235e38, 9.96921e36, np.inf])
@pytest.mark.parametrize("nodata", [None, -9999, np.nan])
def test_what_is_no_measurement_does_not_spread_when_read_coarser(tmp_path, value, nodata):
    values = noise((2, 64, 64), "float32")
    values[0, 3, 5] = values[1, 20:40, 8:24] = value
    profile = {} if nodata is None else {"nodata": nodata}
    path = save_raster(tmp_path / "a.tif", values, **profile, **UTM)
    raw = read_raw(tile_at(path, window=Window(0, 0, 64, 64, read_px=8)))
    means, valid = coarse_means(values, np.abs(values) <= 1e30, 8)
    assert np.array_equal(np.ones(means.shape, bool) if raw.valid is None else raw.valid, valid)
    assert raw.values[valid] == pytest.approx(means[valid], rel=1e-5)


def test_colours_are_averaged_when_read_coarser_not_their_numbers(tmp_path):
    """Indices 0 and 2 are red and blue; their mean is no index 1 (green)."""
    indices = np.zeros((1, 32, 32), np.uint8)
    indices[0, :, ::2] = 2
    path = save_raster(tmp_path / "a.tif", indices)
    with rasterio.open(path, "r+") as dataset:
        dataset.write_colormap(1, {0: (255, 0, 0), 1: (0, 255, 0), 2: (0, 0, 255)})
    raw = read_raw(tile_at(path, window=Window(0, 0, 32, 32, read_px=8)))
    assert np.array_equal(raw.values[:, 0, 0], [128, 0, 128])
    assert raw.values.std(axis=(1, 2)).max() == 0


def test_grey_levels_of_few_bits_are_averaged_in_255_levels(tmp_path):
    levels = np.random.default_rng(0).integers(0, 4, (1, 32, 32), "uint8")
    path = save_raster(tmp_path / "a.tif", levels, nbits=2)
    raw = read_raw(tile_at(path, window=Window(0, 0, 32, 32, read_px=8)))
    means, _ = coarse_means(levels * 85, np.ones(levels.shape, bool), 4)
    assert np.abs(raw.values - means).max() <= 0.5


def test_a_near_infrared_band_tagged_alpha_masks_nothing_when_read_coarser(tmp_path):
    path, values = four_bands(tmp_path / "a.tif", np.where(wavy(0, 2), 90, 0))
    raw = read_raw(tile_at(path, window=Window(0, 0, 32, 32, read_px=8)))
    means, _ = coarse_means(values, np.ones(values.shape, bool), 4)
    assert raw.valid is None
    assert np.abs(raw.values - means).max() <= 0.5
