"""Which normalisation makes neighbours agree, by labels and without."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rsretrieve.data.preprocessing.preprocessing import BandStatistics, Preprocessing
from rsretrieve.network.backbones.normalisation_check import (
    Agreement,
    compare_normalisations,
    measured_on,
)
from rsretrieve.network.network import EmbeddingNetwork

SIDE = 8
RNG = np.random.default_rng(0)
LOW, HIGH = (0.0,) * 3, (255.0,) * 3
RIGHT = BandStatistics(LOW, HIGH, LOW, HIGH)
WRONG = BandStatistics((250.0,) * 3, (5.0,) * 3, LOW, HIGH)
PREPROCESSING = Preprocessing(SIDE, 3, (1, 2, 3), "uint8", WRONG)


class Saturating(nn.Module):
    """Mean colours, of which nothing is left where values are below 0."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, pixels: Tensor) -> Tensor:
        kept = (pixels.clamp(0, 1) * self.scale).mean(dim=(2, 3))
        noise = (pixels * 977).sin().mean(dim=(2, 3))
        return torch.cat([kept, 0.01 * noise], dim=1)


@pytest.fixture
def network() -> EmbeddingNetwork:
    return EmbeddingNetwork(Saturating(), 6, 2)


def tiles_of(labels: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Tiles of a colour by class."""
    colours = RNG.integers(40, 200, (3, 3))[labels] + RNG.integers(-15, 15, (len(labels), 3))
    grain = RNG.integers(-9, 9, (len(labels), 3, SIDE, SIDE))
    return np.asarray(colours[:, :, None, None] + grain, np.uint8)


def test_labels_tell_which_normalisation_is_meant(network: EmbeddingNetwork) -> None:
    labels = np.arange(120) % 3
    found = compare_normalisations(network, PREPROCESSING, tiles_of(labels), RIGHT, labels)
    assert found is not None
    assert found.by_labels
    assert found.is_far_better
    assert found.other.mean() > 0.95
    assert found.used.mean() < 0.7
    notice = found.notice("ours", "theirs")
    assert all(word in notice for word in ("than ours", "by theirs", "same label", "120 tiles"))


def test_halves_of_tiles_tell_it_without_labels(network: EmbeddingNetwork) -> None:
    pixels = tiles_of(np.arange(120) % 3)
    found = compare_normalisations(network, PREPROCESSING, pixels, RIGHT, None)
    assert found is not None
    assert not found.by_labels
    assert found.is_far_better
    assert "another part of the tile" in found.notice("ours", "theirs")


def test_nothing_is_said_if_the_right_one_is_used(network: EmbeddingNetwork) -> None:
    labels = np.arange(120) % 3
    right = Preprocessing(SIDE, 3, (1, 2, 3), "uint8", RIGHT)
    found = compare_normalisations(network, right, tiles_of(labels), WRONG, labels)
    assert found is not None
    assert not found.is_far_better
    assert found.notice("ours", "theirs") == ""


def test_few_tiles_tell_nothing(network: EmbeddingNetwork) -> None:
    labels = np.arange(49) % 3
    assert compare_normalisations(network, PREPROCESSING, tiles_of(labels), RIGHT, labels) is None


def test_a_gain_within_chance_is_none() -> None:
    used = np.array([0.0, 1.0] * 10)
    other = np.array([1.0, 0.0] * 8 + [1.0, 1.0] * 2)
    assert (other - used).mean() == pytest.approx(0.1)
    assert not Agreement(used, other, by_labels=True).is_far_better


def test_the_statistics_of_a_sample_are_those_of_its_values() -> None:
    pixels = tiles_of(np.arange(20) % 3)
    found = measured_on(pixels, RIGHT)
    for band in range(3):
        values = [float(v) for tile in pixels for v in tile[band].ravel()]
        assert found.mean[band] == pytest.approx(np.mean(values), rel=1e-4)
        assert found.deviation[band] == pytest.approx(np.std(values), rel=1e-4)
