"""What training tiles have in common: the majority's kind, and statistics that outliers spare."""

from __future__ import annotations

import math
import re
from functools import partial

import numpy as np
import pytest

from rsretrieve.data.pixels.extreme import MOST_STATISTIC
from rsretrieve.data.preprocessing.band_statistics import IMAGENET, measure_preprocessing
from rsretrieve.data.tile import TileSet
from rsretrieve.errors import InvalidArgument, NoUsableTiles
from tests.support.tiles.made_tiles import noise, save_picture, save_raster, tiles_at


def rasters(folder, values_of_tiles, **profile):
    paths = [folder / f"{folder.name}-{i}.tif" for i in range(len(values_of_tiles))]
    return tiles_at(*map(partial(save_raster, **profile), paths, values_of_tiles))


def percentile(ordered, share):
    """Between the two nearest of the sorted values, linearly."""
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def slow_statistics(seen):
    """Mean, deviation, 0.1st and 99.9th percentile, by plain loops."""
    ordered = sorted(float(value) for value in seen)
    low, high = percentile(ordered, 0.001), percentile(ordered, 0.999)
    kept = [value for value in ordered if low <= value <= high]
    mean = sum(kept) / len(kept)
    deviation = math.sqrt(sum((value - mean) ** 2 for value in kept) / len(kept))
    return mean, deviation, low, high


def columns(statistics):
    """A row of mean, deviation, low, high for each band."""
    return list(zip(statistics.mean, statistics.deviation, statistics.low, statistics.high))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
@pytest.mark.medium
def test_statistics_are_those_of_all_pixels_of_each_band(tmp_path, dtype):
    values = [noise((2, 16, 16), dtype, seed) for seed in range(5)]
    measured = measure_preprocessing(rasters(tmp_path, values), 32)
    assert (measured.size_px, measured.source_bands, measured.bands) == (32, 2, (1, 2))
    assert measured.dtype == dtype
    for band, found in enumerate(columns(measured.statistics)):
        seen = np.concatenate([tile[band].ravel() for tile in values])
        assert found == pytest.approx(slow_statistics(seen), rel=1e-9)


@pytest.mark.medium
def test_a_few_outliers_change_nothing_much(tmp_path):
    values = [noise((1, 32, 32), "uint16", seed) // 100 for seed in range(3)]
    clean = measure_preprocessing(rasters(tmp_path / "clean", values), 8).statistics
    values[1][0, 4, 4:6] = 65_535
    glinting = measure_preprocessing(rasters(tmp_path / "glint", values), 8).statistics
    assert glinting.mean == pytest.approx(clean.mean, rel=0.01)
    assert glinting.deviation == pytest.approx(clean.deviation, rel=0.01)
    assert glinting.high[0] < 660


@pytest.mark.medium
def test_invalid_pixels_are_left_out(tmp_path):
    values = noise((2, 16, 16), "int16")
    values[0, :8], values[1, :, 3] = -9999, -9999
    measured = measure_preprocessing(rasters(tmp_path, [values], nodata=-9999), 8)
    for found, band in zip(columns(measured.statistics), values):
        assert found == pytest.approx(slow_statistics(band[band != -9999]))


def test_nan_is_left_out(tmp_path):
    values = noise((1, 16, 16), "float32")
    values[0, :8] = np.nan
    measured = measure_preprocessing(rasters(tmp_path, [values]), 8)
    assert columns(measured.statistics)[0] == pytest.approx(slow_statistics(values[0, 8:].ravel()))


def test_a_band_without_a_measurement_gets_numbers_that_do_no_harm(tmp_path):
    values = noise((2, 16, 16), "uint16")
    values[1] = 0
    measured = measure_preprocessing(rasters(tmp_path, [values], nodata=0), 8)
    assert columns(measured.statistics)[1] == (0, 1, 0, 1)


@pytest.mark.medium
def test_the_deviation_of_a_constant_band_is_1(tmp_path):
    measured = measure_preprocessing(rasters(tmp_path, [np.full((1, 16, 16), 9, np.uint16)]), 8)
    assert columns(measured.statistics) == [(9, 1, 9, 9)]


def test_the_kind_of_most_tiles_wins(tmp_path):
    few = [noise((3, 16, 16)), noise((4, 16, 16), "uint8"), noise((4, 16, 16), "float32")]
    many = [noise((4, 16, 16), "uint16", seed) for seed in range(2)]
    mixed = rasters(tmp_path / "few", few, alpha="no").tiles + rasters(tmp_path, many).tiles
    measured = measure_preprocessing(TileSet("mixed", mixed), 8)
    assert (measured.source_bands, measured.dtype) == (4, "uint16")
    seen = np.concatenate([tile[3].ravel() for tile in many])
    assert columns(measured.statistics)[3] == pytest.approx(slow_statistics(seen))


@pytest.mark.medium
def test_the_order_of_tiles_changes_nothing(tmp_path):
    tiles = rasters(tmp_path, [noise((1, 16, 16), "float32", seed) for seed in range(4)])
    backwards = tiles.select([3, 2, 1, 0])
    assert measure_preprocessing(backwards, 8) == measure_preprocessing(tiles, 8)


def test_of_a_large_tile_evenly_spread_pixels_are_seen(tmp_path):
    values = np.full((1, 90, 90), 200, np.uint8)
    values[:, :, ::2] = 10  # 8100 pixels: every other one makes fewer than 4096
    measured = measure_preprocessing(rasters(tmp_path, [values]), 8)
    assert measured.statistics.mean == (10,)


def test_a_tile_of_as_many_pixels_as_are_seen_is_seen_whole(tmp_path):
    values = np.full((1, 64, 64), 200, np.uint8)
    values[:, :, ::2] = 10
    assert measure_preprocessing(rasters(tmp_path, [values]), 8).statistics.mean == (105,)


def test_a_thousand_tiles_are_enough(tmp_path, monkeypatch):
    monkeypatch.setattr("rsretrieve.data.preprocessing.band_statistics.SAMPLED_TILES", 3)
    tiles = rasters(tmp_path, [np.full((1, 8, 8), value, np.uint8) for value in (1, 2, 3, 4, 5)])
    mean = measure_preprocessing(tiles, 8).statistics.mean[0]
    assert mean in {(a + b + c) / 3 for a in range(6) for b in range(a) for c in range(1, b)}
    assert measure_preprocessing(tiles.select([4, 3, 2, 1, 0]), 8).statistics.mean[0] == mean


def test_bands_can_be_chosen_and_ordered(tmp_path):
    values = noise((4, 16, 16), "uint16")
    measured = measure_preprocessing(rasters(tmp_path, [values]), 8, bands=[4, 2])
    assert (measured.source_bands, measured.bands) == (4, (4, 2))
    for found, band in zip(columns(measured.statistics), values[[3, 1]]):
        assert found == pytest.approx(slow_statistics(band.ravel()))


def test_bands_that_tiles_do_not_have_are_refused(tmp_path):
    tiles = rasters(tmp_path, [noise((3, 16, 16))])
    with pytest.raises(InvalidArgument, match="from 1 to 3 in these tiles, and 4 were requested"):
        measure_preprocessing(tiles, 8, bands=(4,))


def test_a_size_that_makes_no_sense_is_refused_before_anything_is_read(tmp_path):
    with pytest.raises(InvalidArgument, match="a size lies in 8…2048 px, not 4"):
        measure_preprocessing(tiles_at(tmp_path / "gone.png"), 4)


def test_imagenets_statistics_are_taken_when_asked_for_and_tiles_are_8_bit_rgb(tmp_path):
    tiles = tiles_at(save_picture(tmp_path / "a.png", noise((3, 16, 16))))
    assert measure_preprocessing(tiles, 8, rgb_statistics=IMAGENET).statistics is IMAGENET
    assert measure_preprocessing(tiles, 8).statistics != IMAGENET
    assert np.array(IMAGENET.mean) / 255 == pytest.approx([0.485, 0.456, 0.406])
    assert np.array(IMAGENET.deviation) / 255 == pytest.approx([0.229, 0.224, 0.225])


@pytest.mark.medium
def test_imagenets_statistics_are_not_for_other_tiles(tmp_path):
    deep = rasters(tmp_path / "deep", [noise((3, 16, 16), "uint16")])
    wide = rasters(tmp_path / "wide", [noise((5, 16, 16))])
    assert measure_preprocessing(deep, 8, rgb_statistics=IMAGENET).statistics != IMAGENET
    assert measure_preprocessing(wide, 8, rgb_statistics=IMAGENET).statistics != IMAGENET
    chosen = measure_preprocessing(wide, 8, bands=(3, 2, 1), rgb_statistics=IMAGENET)
    assert chosen.statistics is IMAGENET


@pytest.mark.parametrize(("dtype", "reduced"), [("uint8", True), ("uint16", False)])
@pytest.mark.parametrize("statistics", [IMAGENET, None])
@pytest.mark.medium
def test_jpegs_are_decoded_no_larger_than_needed_where_tiles_are_8_bit(
    tmp_path, dtype, reduced, statistics
):
    tiles = tiles_at(save_raster(tmp_path / "a.tif", noise((3, 8, 8), dtype)))
    found = measure_preprocessing(tiles, 8, rgb_statistics=statistics)
    assert found.reduced_jpeg is reduced
    assert found.jpeg_px == (16 if reduced else None)


def test_tiles_that_cannot_be_read_are_passed_over(tmp_path):
    good = save_picture(tmp_path / "a.png", np.full((3, 16, 16), 9, np.uint8))
    measured = measure_preprocessing(tiles_at(tmp_path / "gone.png", good), 8)
    assert measured.statistics.mean == (9, 9, 9)


def test_no_tile_that_can_be_read_is_an_error(tmp_path):
    message = re.escape(
        "the files: none of 1 tiles can be read (the first, gone.png: no such file)"
    )
    with pytest.raises(NoUsableTiles, match=f"^{message}$"):
        measure_preprocessing(tiles_at(tmp_path / "gone.png"), 8)


@pytest.mark.parametrize("value", [9.96921e36, 1e37, 3.4028235e38])
def test_undeclared_fill_values_do_not_make_statistics_that_no_model_has(tmp_path, value):
    """The reader of a model refuses statistics beyond these limits."""
    values = noise((2, 16, 16), "float32")
    values[0, :4] = value
    values[1] = np.float32(1e30) * (-1) ** np.arange(16)  # the largest that are measurements
    measured = measure_preprocessing(rasters(tmp_path, [values]), 8)
    fill, largest = columns(measured.statistics)
    assert fill == pytest.approx(slow_statistics(values[0, 4:].ravel()))
    assert np.abs(largest).max() <= MOST_STATISTIC
