"""Tiles of one name are told apart by how bright their quarters are."""

from __future__ import annotations

import numpy as np
import pytest

from rsretrieve.data.preprocessing.pixel_fingerprint import are_alike, are_among, quadrant_means


@pytest.mark.parametrize("side", [1, 2, 7, 32])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_means_are_of_every_fourth_pixel_of_each_quarter(side, dtype):
    pixels = np.random.default_rng(0).integers(0, 200, (3, 2, side, side)).astype(dtype)
    found = quadrant_means(pixels)
    half = side // 2
    for tile, means in zip(pixels, found):
        quarters = [
            tile[:, down][:, :, across].astype(np.float64)
            for down in (range(0, max(1, half), 4), range(half, side, 4))
            for across in (range(0, max(1, half), 4), range(half, side, 4))
        ]
        np.testing.assert_allclose(means, [quarter.mean() for quarter in quarters], rtol=1e-6)


def test_rounding_makes_no_other_picture_and_turning_does():
    pixels = np.random.default_rng(0).integers(0, 255, (200, 3, 32, 32), dtype=np.uint8)
    # Real tiles differ more in brightness than in detail.
    pixels = (pixels // 4 + np.linspace(0, 190, 200).astype(np.uint8)[:, None, None, None]).copy()
    kept = quadrant_means(pixels)
    rounded = pixels.astype(int) + np.random.default_rng(1).integers(-1, 2, pixels.shape)
    assert are_alike(quadrant_means(rounded), kept).all()
    assert not are_alike(kept[::-1], kept)[:90].any()


def test_of_no_tiles_none_are_alike():
    nothing = np.zeros((0, 4), np.float32)
    assert are_alike(nothing, nothing).tolist() == []


def test_a_tile_is_found_among_others_as_by_a_loop():
    rng = np.random.default_rng(2)
    kept = rng.normal(100, 20, (60, 4)).astype(np.float32)
    kept[5] = np.nan
    seen = np.concatenate([kept[::3] + rng.uniform(-0.6, 0.6, (20, 4)), kept[:4] + 3, kept[5:6]])
    known = np.delete(kept, 5, axis=0)
    limit = 0.02 * known.std(axis=0)
    expected = [bool((np.abs(known - row) <= limit).all(axis=1).any()) for row in seen]
    assert are_among(seen.astype(np.float32), kept).tolist() == expected
    assert any(expected)
    assert not all(expected)
    assert are_among(seen.astype(np.float32), kept[:0]).tolist() == [False] * len(seen)
