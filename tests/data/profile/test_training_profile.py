"""The record of the training tiles: JSON and back, and damaged ones."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from rsretrieve.data.profile.tile_features import TileFeatures
from rsretrieve.data.profile.tile_scale import TileScale
from rsretrieve.data.profile.training_profile import TrainingProfile, profile_of
from tests.support.tiles.made_tiles import noise

SCALE = TileScale((64.0, 64.0), (640.0, 700.0), (10.0, 11.0))
MANY = profile_of(TileFeatures.of(noise((30, 3, 16, 16))), SCALE, 0.9, 0.1)
FEW = profile_of(TileFeatures.of(noise((3, 3, 16, 16))), TileScale())


@pytest.mark.parametrize("profile", [MANY, FEW], ids=["many", "few"])
def test_json_and_back_is_the_identity(profile: TrainingProfile) -> None:
    text = json.dumps(profile.to_json(), allow_nan=False)
    assert TrainingProfile.from_json(json.loads(text), 3) == profile


def test_few_tiles_have_no_covariances() -> None:
    assert FEW.feature_means == FEW.feature_covariances == ()
    assert np.array(MANY.feature_covariances).shape == (6, 6)


@pytest.mark.parametrize(
    "change",
    [
        {"low": [1.0]},
        {"low": ["x", 1, 1]},
        {"high": [1e99, 1, 1]},
        {"deviation": [-1.0, 1, 1]},
        {"feature_means": [1.0] * 5},
        {"feature_covariances": [[1.0] * 6] * 5},
        {"feature_covariances": [[1.0] * 5] * 6},
        {"scale": {"tile_m": [0, 1]}},
        {"scale": {"tile_m": [1, 2, 3]}},
        {"scale": 3},
        {"spread": "x"},
    ],
)
def test_damaged_profiles_are_refused(change: dict) -> None:
    with pytest.raises((KeyError, TypeError, ValueError, AttributeError)):
        TrainingProfile.from_json({**MANY.to_json(), **change}, 3)


def test_a_profile_of_other_bands_is_refused() -> None:
    with pytest.raises(ValueError, match="damaged"):
        TrainingProfile.from_json(replace(MANY).to_json(), 4)


def test_a_profile_of_the_largest_values_that_are_measurements_is_read() -> None:
    """Variances are as large as the squares of values."""
    pixels = noise((30, 2, 16, 16)).astype(np.float32)
    pixels[:15], pixels[15:] = 1e30, -1e30
    pixels[:, 1, ::8] *= -1
    profile = profile_of(TileFeatures.of(pixels), SCALE)
    text = json.dumps(profile.to_json(), allow_nan=False)
    assert TrainingProfile.from_json(json.loads(text), 2) == profile
