"""From a raw tile to the network's pixels: bands, filling, resizing, and what is refused."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from rsretrieve.data.preprocessing.preprocessing import (
    BandStatistics,
    Preprocessing,
    check_bands,
    check_size,
    resized,
)
from rsretrieve.data.reading.pillow_reader import RawTile
from rsretrieve.errors import InvalidArgument, TileError
from tests.support.tiles.made_tiles import noise, preprocessing, unhurried


def raw_of(values, valid=None):
    return RawTile(values, valid, None)


def line_resized(line, size):
    """Triangle filter, as wide as a source pixel or, when shrinking, as a target pixel."""
    scale = len(line) / size
    reach = max(scale, 1.0)
    result = []
    for i in range(size):
        centre = (i + 0.5) * scale
        total = weights = 0.0
        for j, value in enumerate(line):
            weight = max(0.0, 1 - abs(j + 0.5 - centre) / reach)
            total, weights = total + weight * value, weights + weight
        result.append(total / weights)
    return result


def slowly_resized(band, size):
    """Rows first, then columns, by plain loops."""
    rows = [line_resized(row, size) for row in band.tolist()]
    columns = [line_resized(column, size) for column in zip(*rows)]
    return np.array(columns).T


@pytest.mark.parametrize(("height", "width"), [(20, 33), (8, 12), (5, 40)])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
@pytest.mark.parametrize("bands", [1, 3])
def test_resizing_is_bilinear_with_antialiasing(height, width, dtype, bands):
    values = noise((bands, height, width), dtype)
    found = resized(values, 16)
    expected = np.stack([slowly_resized(band, 16) for band in values])
    # Integers are rounded; 8-bit pictures once between rows and columns, too.
    tolerance = {"uint8": 1.001, "float32": 1e-3}.get(dtype, 0.51)
    assert np.abs(found - expected).max() <= tolerance
    assert (found.dtype, found.shape) == (dtype, (bands, 16, 16))


def test_rgb_pictures_are_resized_as_pillow_does():
    values = noise((3, 20, 33))
    picture = Image.fromarray(values.transpose(1, 2, 0))
    expected = np.asarray(picture.resize((12, 12), Image.Resampling.BILINEAR))
    assert np.array_equal(resized(values, 12), expected.transpose(2, 0, 1))


@unhurried
@given(
    st.sampled_from(["uint8", "uint16", "int16", "float32"]),
    st.integers(1, 5),
    st.tuples(st.integers(8, 20), st.integers(8, 20)),
    st.integers(8, 20),
)
def test_resizing_keeps_the_type_and_the_range(dtype, bands, shape, size_px):
    values = noise((bands, *shape), dtype, seed=size_px)
    found = resized(values, size_px)
    assert found.shape == (bands, size_px, size_px)
    assert found.dtype == values.dtype
    slack = 1e-4 if dtype == "float32" else 0
    assert found.min() >= values.min() - slack
    assert found.max() <= values.max() + slack


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
def test_a_tile_of_the_right_size_is_left_as_it_is(dtype):
    values = noise((3, 16, 16), dtype)[:, ::-1]
    found = resized(values, 16)
    assert np.array_equal(found, values)
    assert found.flags.c_contiguous


def test_integers_are_rounded_and_not_cut():
    values = np.repeat([[[-10, -9]]], 2, axis=1).astype(np.int16)
    assert resized(values, 1).tolist() == [[[-10]]]  # −9.5, to the even neighbour
    values = np.array([[[0, 0, 2]] * 3], np.uint16)
    assert resized(values, 1).tolist() == [[[1]]]  # 0.57


def test_bands_are_chosen_and_ordered():
    values = noise((4, 8, 8), "uint16")
    wanted = preprocessing(bands=(4, 2, 2), source_bands=4, dtype="uint16")
    assert np.array_equal(wanted.apply("a", raw_of(values)), values[[3, 1, 1]])


def test_invalid_pixels_get_the_mean_of_their_band():
    values = noise((3, 8, 8), "int16")
    valid = np.ones(values.shape, bool)
    valid[0, :2], valid[2, 5] = False, False
    statistics = BandStatistics((10.4, 20.0, -30.6), (1.0,) * 3, (0.0,) * 3, (1.0,) * 3)
    wanted = Preprocessing(8, 3, (3, 2, 1), "int16", statistics)
    expected = values[[2, 1, 0]]
    expected[0, 5], expected[2, :2] = 10, -31
    found = wanted.apply("a", raw_of(values, valid))
    assert np.array_equal(found, expected)
    assert found.dtype == np.int16


def test_nan_is_filled_before_resizing():
    values = np.full((1, 16, 16), 5, np.float32)
    values[0, 3, 4] = np.nan
    wanted = preprocessing(bands=(1,), source_bands=1, dtype="float32", mean=5.0)
    found = wanted.apply("a", raw_of(values, np.isfinite(values)))
    assert found == pytest.approx(np.full((1, 8, 8), 5))
    assert found.dtype == np.float32


def test_a_mean_beyond_the_type_is_clipped_to_it():
    values = noise((3, 8, 8))
    valid = np.zeros(values.shape, bool)
    for mean, filled in [(300.0, 255), (-7.0, 0)]:
        assert (preprocessing(mean=mean).apply("a", raw_of(values, valid)) == filled).all()


def test_a_grey_picture_among_coloured_ones_gets_three_equal_bands():
    values = noise((1, 8, 8))
    assert np.array_equal(preprocessing().apply("a", raw_of(values)), values[[0, 0, 0]])
    valid = np.ones(values.shape, bool)
    valid[0, 0] = False
    expected = values[[0, 0, 0]]
    expected[:, 0] = 50
    assert np.array_equal(preprocessing().apply("a", raw_of(values, valid)), expected)


@pytest.mark.parametrize(
    ("found", "wanted", "dtype"),
    [(4, 3, "uint8"), (1, 3, "uint16"), (1, 4, "uint8"), (3, 1, "uint8")],
)
def test_another_number_of_bands_is_refused(found, wanted, dtype):
    expecting = preprocessing(bands=(1,), source_bands=wanted, dtype=dtype)
    message = rf"^forest/a\.tif: has {found} bands, and {wanted} are expected$"
    with pytest.raises(TileError, match=message):
        expecting.apply("forest/a.tif", raw_of(noise((found, 8, 8), dtype)))


def test_another_type_of_pixel_is_refused():
    with pytest.raises(TileError, match=r"^a: pixels are uint16, and uint8 is expected$"):
        preprocessing().apply("a", raw_of(noise((3, 8, 8), "uint16")))


def test_8_bit_values_are_divided_by_255():
    assert preprocessing(high=80.0).scale.tolist() == [255, 255, 255]


def test_other_values_are_divided_by_their_reach():
    statistics = BandStatistics((0.0,) * 3, (1.0,) * 3, (-50.0, 2.0, 0.0), (20.0, 3000.0, 0.0))
    scale = Preprocessing(8, 3, (1, 2, 3), "float32", statistics).scale
    assert scale.dtype == np.float32
    assert scale == pytest.approx([50, 3000, 1e-6])


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_a_preprocessing_survives_json(dtype):
    wanted = preprocessing(16, (5, 1), 6, dtype, mean=1 / 3)
    for one in (wanted, replace(wanted, reduced_jpeg=True)):
        assert Preprocessing.from_json(json.loads(json.dumps(one.to_json()))) == one


@pytest.mark.parametrize("size_px", [7, 2049, -8])
def test_a_size_that_makes_no_sense_is_refused(size_px):
    message = f"^a size lies in 8…2048 px, not {size_px}$"
    with pytest.raises(InvalidArgument, match=message):
        check_size(size_px)
    with pytest.raises(InvalidArgument, match=message):
        preprocessing(size_px)


def test_the_least_and_the_largest_size_are_allowed():
    assert [preprocessing(size).size_px for size in (8, 2048)] == [8, 2048]


@pytest.mark.parametrize(
    ("bands", "shown"), [((), "none"), ((0,), "0"), ((1, 5), "1,5"), ((-1, 2), "-1,2")]
)
def test_bands_that_tiles_do_not_have_are_refused(bands, shown):
    message = f"^bands are counted from 1 to 4 in these tiles, and {shown} were requested$"
    with pytest.raises(InvalidArgument, match=message):
        check_bands(bands, 4)
    with pytest.raises(InvalidArgument, match=message):
        replace(preprocessing(source_bands=4), bands=bands)


def test_statistics_must_be_of_the_bands_used():
    with pytest.raises(InvalidArgument, match=r"^statistics of 3 bands for 2 bands$"):
        replace(preprocessing(), bands=(1, 2))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mean": (1.0,)}, "must be finite and of one length"),
        ({"high": (1.0, math.nan)}, "must be finite and of one length"),
        ({"low": (-math.inf, 0.0)}, "must be finite and of one length"),
        ({"deviation": (1.0, 0.0)}, "a band's deviation must be positive"),
    ],
)
def test_statistics_that_cannot_be_are_refused(change, message):
    good = BandStatistics((1.0, 2.0), (1.0, 1.0), (0.0, 0.0), (3.0, 3.0))
    assert good.bands == 2
    with pytest.raises(InvalidArgument, match=re.escape(message)):
        replace(good, **change)
