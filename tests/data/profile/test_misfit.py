"""Warnings about tiles unlike the training tiles, and none about tiles like them."""

from __future__ import annotations

import numpy as np
import pytest

from rsretrieve.data.preprocessing.preprocessing import BandStatistics, Preprocessing
from rsretrieve.data.profile.misfit import (
    scale_difference,
    scale_warning,
    spread_warning,
    value_warnings,
)
from rsretrieve.data.profile.tile_features import TileFeatures
from rsretrieve.data.profile.tile_scale import TileScale
from rsretrieve.data.profile.training_profile import TrainingProfile, profile_of

BANDS = ((900.0, 120.0), (700.0, 200.0), (2500.0, 600.0), (1500.0, 350.0))


def scenes(count: int, seed: int) -> np.ndarray:
    """Tiles (N, 4, 32, 32) of land: bright and dark ones, whose bands vary together."""
    rng = np.random.default_rng(seed)
    light = rng.normal(1, 0.2, (count, 1, 1, 1)) + rng.normal(0, 0.05, (count, 4, 1, 1))
    texture = rng.normal(0, 1, (count, 1, 32, 32)) + rng.normal(0, 0.3, (count, 4, 32, 32))
    mean, deviation = (np.array(c).reshape(1, 4, 1, 1) for c in zip(*BANDS))
    strength = rng.uniform(0.4, 1.6, (count, 1, 1, 1))
    return np.clip(mean * light + deviation * strength * texture, 0, 65535)


def preprocessing() -> Preprocessing:
    mean, deviation = zip(*BANDS)
    low, high = (0.0,) * 4, (6000.0,) * 4
    return Preprocessing(32, 8, (2, 3, 8, 5), "uint16", BandStatistics(mean, deviation, low, high))


@pytest.fixture(scope="module")
def profile() -> TrainingProfile:
    return profile_of(TileFeatures.of(scenes(200, seed=0)), TileScale())


def warnings_of(profile: TrainingProfile | None, pixels: np.ndarray) -> str:
    return "; ".join(value_warnings(preprocessing(), profile, TileFeatures.of(pixels)))


@pytest.mark.parametrize("seed", range(1, 6))
@pytest.mark.parametrize("count", [1, 10, 60])
def test_tiles_like_the_training_tiles_are_not_reported(
    profile: TrainingProfile, seed: int, count: int
) -> None:
    assert warnings_of(profile, scenes(count, seed)) == ""
    assert warnings_of(None, scenes(count, seed)) == ""


@pytest.mark.parametrize("factor", [0.75, 1.3])
def test_another_season_is_not_reported(profile: TrainingProfile, factor: float) -> None:
    assert warnings_of(profile, scenes(60, 7) * factor) == ""


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda x: x / 1e4, "values"),  # reflectance
        (lambda x: x / 257, "values"),  # 16 bits to 8
        (lambda x: x * 16, "values"),  # 12 bits to 16
        (lambda x: x + 10_000, "other values"),  # an offset
        (lambda x: 200 + 1e-3 * x, "values"),  # low contrast
        (lambda x: x * 0 + 900, "constant"),
    ],
)
@pytest.mark.parametrize("is_old", [False, True])
def test_other_units_are_reported_in_one_sentence(
    profile: TrainingProfile, change, word: str, is_old: bool
) -> None:
    found = value_warnings(
        preprocessing(), None if is_old else profile, TileFeatures.of(change(scenes(60, 8)))
    )
    assert len(found) == 1
    assert word in found[0]


def test_the_band_is_named_as_in_the_file(profile: TrainingProfile) -> None:
    pixels = scenes(30, 9)
    pixels[:, 2] += 9000
    assert "band 8 " in warnings_of(profile, pixels)


@pytest.mark.parametrize("order", [(3, 2, 1, 0), (1, 0, 2, 3), (1, 2, 3, 0), (0, 2, 1, 3)])
def test_another_order_of_bands_is_reported(
    profile: TrainingProfile, order: tuple[int, ...]
) -> None:
    # Values alike in size, so that no band is out of range.
    close = profile_of(TileFeatures.of(_close(scenes(200, seed=0))), TileScale())
    text = warnings_of(close, _close(scenes(60, 10))[:, order])
    assert "another order" in text
    assert warnings_of(close, _close(scenes(60, 10))) == ""


def _close(pixels: np.ndarray) -> np.ndarray:
    """The same tiles with nearly the same brightness in each band, as red, green and blue."""
    mean = np.array([mean for mean, _ in BANDS]).reshape(1, 4, 1, 1)
    shades = np.array([1000.0, 1050.0, 1100.0, 1150.0]).reshape(1, 4, 1, 1)
    return pixels / mean * shades


def test_a_single_constant_image_is_reported(profile: TrainingProfile) -> None:
    assert "constant" in warnings_of(profile, np.full((1, 4, 32, 32), 1500))


def test_one_constant_tile_among_many_is_not(profile: TrainingProfile) -> None:
    pixels = scenes(60, 11)
    pixels[0] = 1500
    assert warnings_of(profile, pixels) == ""


# Embeddings


@pytest.mark.parametrize(
    ("spread", "tiles", "is_reported"),
    [
        (0.0008, 81, True),
        (0.02, 81, False),
        (0.0008, 9, False),  # too few to tell
        (0.0, 10, True),
    ],
)
def test_nearly_equal_embeddings_are_reported(spread: float, tiles: int, is_reported: bool) -> None:
    profile = TrainingProfile((0,), (1,), (1,), spread=0.995, class_spread=0.02)
    assert bool(spread_warning(profile, spread, tiles)) is is_reported


def test_an_old_model_has_no_usual_spread() -> None:
    assert spread_warning(None, 1e-3, 100) == ""
    assert "1.0000" in spread_warning(None, 1e-6, 100)


# Scale


def scale(tile_m: float | None, pixel_m: float | None, side_px: float | None = 64) -> TileScale:
    return TileScale(*(None if x is None else (x, x) for x in (side_px, tile_m, pixel_m)))


@pytest.mark.parametrize(
    ("found", "is_reported"),
    [
        (scale(1280, 20), False),
        (scale(1400, 22), False),
        (scale(1920, 30), True),  # another pixel size
        (scale(640, 10), True),
        (scale(2560, 20, 128), True),  # larger windows
        (scale(1280, 5, 256), False),  # finer pixels, resized to the same
        (scale(1280, 60, 21), True),  # coarser pixels
        (scale(1280, None, None), False),
        (scale(None, None), False),  # unknown
    ],
)
def test_another_scale_is_reported(found: TileScale, is_reported: bool) -> None:
    assert bool(scale_warning(64, scale(1280, 20), found)) is is_reported
    assert bool(scale_difference(scale(1280, 20), found)) is is_reported


def test_sizes_in_pixels_are_compared_where_metres_are_unknown() -> None:
    indexed = scale(None, None, 256)
    assert "600 px" in scale_difference(indexed, scale(None, None, 600))
    assert scale_difference(indexed, scale(None, None, 250)) == ""
    assert "64 px" in scale_difference(scale(640, 10, 64), scale(None, None, 256))
    assert scale_warning(64, indexed, scale(None, None, 600)) == ""
