"""Tiles as pictures: size, bands, stretching."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rsretrieve.data.reading.preview import read_preview
from rsretrieve.errors import TileError
from tests.support.tiles.made_tiles import noise, save_picture, save_raster, tile_at


def shown(path, size_px, bands=()):
    """The picture as (H, W, 3)."""
    picture = read_preview(tile_at(path), size_px, bands)
    assert picture.mode == "RGB"
    return np.asarray(picture)


def slowly_stretched(values, seen):
    """From the 2nd to the 98th percentile of the values seen, cut off beyond, by plain loops."""
    ordered = sorted(float(value) for value in seen)

    def percentile(share):
        place = share * (len(ordered) - 1)
        below = math.floor(place)
        rest = place - below
        return (1 - rest) * ordered[below] + rest * ordered[min(below + 1, len(ordered) - 1)]

    low, high = percentile(0.02), percentile(0.98)
    return np.array(
        [[int(255 * min(1, max(0, (v - low) / (high - low)))) for v in row] for row in values]
    )


@pytest.mark.parametrize(
    ("shape", "size_px", "expected"),
    [
        ((16, 32), 64, (32, 64)),
        ((32, 16), 8, (8, 4)),
        ((200, 8), 10, (10, 1)),
        ((16, 16), 16, (16, 16)),
    ],
)
@pytest.mark.medium
def test_the_longer_side_has_the_size_asked_for(tmp_path, shape, size_px, expected):
    path = save_picture(tmp_path / "a.png", noise((3, *shape)))
    assert shown(path, size_px).shape == (*expected, 3)


def test_an_8_bit_picture_is_shown_as_it_is(tmp_path):
    values = noise((3, 16, 16))
    path = save_picture(tmp_path / "a.png", values)
    assert np.array_equal(shown(path, 16), values.transpose(1, 2, 0))


@pytest.mark.medium
@pytest.mark.parametrize(
    ("bands", "expected"),
    [((), (0, 1, 2)), ((3, 2, 1), (2, 1, 0)), ((4, 4, 5, 1), (3, 3, 4)), ((9, 3, 2, 1), (2, 1, 0))],
)
def test_bands_are_chosen_and_those_beyond_the_tile_passed_over(tmp_path, bands, expected):
    values = noise((5, 16, 16))
    path = save_raster(tmp_path / "a.tif", values)
    assert np.array_equal(shown(path, 16, bands), values[list(expected)].transpose(1, 2, 0))


@pytest.mark.medium
@pytest.mark.parametrize(
    ("count", "bands", "band"),
    [(1, (), 0), (2, (), 0), (5, (4, 2), 3), (5, (2, 9, 9), 1), (2, (7,), 0)],
)
def test_fewer_than_three_bands_are_shown_grey(tmp_path, count, bands, band):
    values = noise((count, 16, 16))
    picture = shown(save_raster(tmp_path / "a.tif", values), 16, bands)
    assert np.array_equal(picture, np.repeat(values[band, :, :, None], 3, axis=2))


@pytest.mark.medium
@pytest.mark.parametrize("dtype", ["uint16", "int16", "float32"])
def test_other_than_8_bit_bands_are_stretched_each_by_itself(tmp_path, dtype):
    values = noise((3, 16, 16), dtype)
    values[1] = values[1] // 7 + 100
    picture = shown(save_raster(tmp_path / "a.tif", values), 16).astype(int)
    for band in range(3):
        expected = slowly_stretched(values[band], values[band].ravel())
        assert np.abs(picture[:, :, band] - expected).max() <= 1
    assert picture.min() == 0
    assert picture.max() == 255


def test_invalid_pixels_are_dark_and_not_part_of_the_stretch(tmp_path):
    values = noise((1, 16, 16), "float32")
    values[0, :4] = np.nan
    values[0, 4, :3] = -99_999
    picture = shown(save_raster(tmp_path / "a.tif", values, nodata=-99_999), 16).astype(int)
    assert (picture[:4] == 0).all()
    assert (picture[4, :3] == 0).all()
    expected = slowly_stretched(values[0, 5:], values[values > 0])
    assert np.abs(picture[5:, :, 0] - expected).max() <= 1


def test_a_band_without_a_measurement_is_black(tmp_path):
    values = noise((3, 16, 16), "uint16")
    values[1] = 0
    picture = shown(save_raster(tmp_path / "a.tif", values, nodata=0), 16)
    assert (picture[:, :, 1] == 0).all()
    assert picture[:, :, 0].max() == 255


@pytest.mark.medium
def test_a_constant_band_is_black(tmp_path):
    path = save_raster(tmp_path / "a.tif", np.full((1, 16, 16), 700, np.uint16))
    assert (shown(path, 16) == 0).all()


def test_a_tile_that_cannot_be_read_has_no_picture(tmp_path):
    with pytest.raises(TileError, match=r"^gone\.png: no such file$"):
        read_preview(tile_at(tmp_path / "gone.png"), 16)
