"""The features of tiles, against sums by hand; the sample of a stream."""

from __future__ import annotations

import numpy as np
import pytest

from rsretrieve.data.profile import tile_features
from rsretrieve.data.profile.tile_features import FeatureSample, TileFeatures
from tests.support.tiles.made_tiles import noise


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_means_and_deviations_are_those_of_every_fourth_pixel(dtype: str) -> None:
    pixels = noise((5, 3, 16, 16), dtype)
    found = TileFeatures.of(pixels)
    for tile in range(5):
        for band in range(3):
            values = [
                float(pixels[tile, band, row, column])
                for row in range(0, 16, 4)
                for column in range(0, 16, 4)
            ]
            mean = sum(values) / 16
            assert found.means[tile, band] == pytest.approx(mean)
            variance = sum((value - mean) ** 2 for value in values) / 16
            assert found.deviations[tile, band] == pytest.approx(variance**0.5)


def test_constant_tiles_have_finite_logarithms() -> None:
    constant = TileFeatures.of(np.full((4, 2, 8, 8), 7, np.uint8))
    assert np.isfinite(constant.log_deviations).all()


@pytest.mark.parametrize("batch", [1, 3, 50])
def test_a_sample_is_evenly_spaced_whatever_the_batches(
    batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tile_features, "MOST_TILES", 10)
    pixels = noise((47, 2, 8, 8))
    sample = FeatureSample(47, 2)
    for start in range(0, 47, batch):
        sample.add(pixels[start : start + batch])
    assert np.array_equal(sample.features.means, TileFeatures.of(pixels[::5]).means)
    assert len(FeatureSample(0, 2).features) == 0
