"""From pixels to a network's input, beside the formulas written out."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rsretrieve.data.preprocessing.normalize import Normaliser
from rsretrieve.data.preprocessing.preprocessing import BandStatistics, Preprocessing
from tests.support.tiles.made_tiles import noise, preprocessing

CPU = torch.device("cpu")
STATISTICS = BandStatistics((20.0, 60.0), (5.0, 10.0), (-300.0, 0.0), (100.0, 200.0))


def normaliser(dtype):
    return Normaliser(Preprocessing(8, 2, (1, 2), dtype, STATISTICS), CPU)


@pytest.mark.parametrize(
    ("dtype", "scale"),
    [("uint8", (255, 255)), ("uint16", (300, 200)), ("int16", (300, 200)), ("float32", (300, 200))],
)
def test_unit_values_are_pixels_over_the_scale_of_their_band(dtype, scale):
    pixels = noise((3, 2, 8, 8), dtype)
    found = normaliser(dtype).unit_values(pixels)
    assert (found.dtype, found.shape) == (torch.float32, (3, 2, 8, 8))
    for band in range(2):
        expected = pixels[:, band].astype(np.float64) / scale[band]
        assert found[:, band].numpy() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
def test_the_network_gets_pixels_less_the_mean_over_the_deviation(dtype):
    pixels = (noise((3, 2, 8, 8), "uint8") // 3).astype(dtype)
    normalise = normaliser(dtype)
    found = normalise.network_input(normalise.unit_values(pixels))
    for band, (mean, deviation) in enumerate([(20, 5), (60, 10)]):
        expected = ((pixels[:, band].astype(np.float64) - mean) / deviation).clip(-8, 8)
        assert found[:, band].numpy() == pytest.approx(expected, abs=1e-4)
    assert found.is_contiguous(memory_format=torch.channels_last)


def test_a_glint_is_clipped_to_eight_deviations():
    pixels = np.zeros((1, 2, 8, 8), np.float32)
    pixels[0, 0, 0, :2] = 1e6, -1e6
    normalise = normaliser("float32")
    values = normalise.unit_values(pixels)
    found = normalise.network_input(values)
    assert found[0, 0, 0, :3].tolist() == pytest.approx([8, -8, -4])
    assert values[0, 0, 0, 0] == pytest.approx(1e6 / 300)  # and what came in is left alone


def test_pixels_in_any_layout_are_taken():
    pixels = noise((2, 8, 8, 2)).transpose(0, 3, 1, 2)
    assert torch.equal(
        normaliser("uint8").unit_values(pixels), normaliser("uint8").unit_values(pixels.copy())
    )


@pytest.mark.parametrize(
    ("bands", "dtype", "expected"),
    [((1, 2, 3), "uint8", True), ((1, 2), "uint8", False), ((1, 2, 3), "uint16", False)],
)
def test_rgb_is_three_bands_of_8_bits(bands, dtype, expected):
    assert Normaliser(preprocessing(bands=bands, dtype=dtype), CPU).is_rgb is expected
