"""Filters are patches of the tiles, whitened by the covariance of all patches."""

from __future__ import annotations

import numpy as np
import torch

from rsretrieve.network.unlabelled.random_convolutions import RandomConvolutions
from rsretrieve.network.unlabelled.whitened_patches import set_filters, whitened_patches


def smooth_tiles():
    """Noise whose neighbouring pixels and bands are alike."""
    noise = np.random.default_rng(0).normal(size=(40, 1, 20, 20))
    smooth = noise + np.roll(noise, 1, axis=2) + np.roll(noise, 1, axis=3)
    bands = np.concatenate([smooth, smooth + 0.3 * np.roll(noise, 3, axis=2)], axis=1)
    return torch.from_numpy(bands.astype(np.float32))


def test_responses_of_all_filters_are_as_large_as_those_of_white_noise():
    """A whitened patch of unit length answers patches of the imagery with a variance near 1."""
    tiles = smooth_tiles()
    found = whitened_patches(tiles, 64, 3, seed=0)
    responses = torch.nn.functional.conv2d(tiles, found.weights, found.biases)
    variances = responses.var(dim=(0, 2, 3)).numpy()
    means = responses.mean(dim=(0, 2, 3)).numpy()
    assert 0.6 < np.median(variances) < 1.1
    assert np.abs(means).max() < 0.1


def test_the_seed_decides():
    tiles = smooth_tiles()
    one, same, other = (whitened_patches(tiles, 8, 5, seed).weights for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_filters_and_floor_of_a_network_are_set():
    tiles = smooth_tiles()
    network = RandomConvolutions(2, 4)
    set_filters(network, tiles, seed=3)
    expected = whitened_patches(tiles, 4, 7, seed=3)
    assert torch.equal(network.convolutions[2].weight, expected.weights)
    pooled = float(network.pooled(tiles).detach().mean())
    np.testing.assert_allclose(float(network.floor), 0.1 * pooled, rtol=1e-4)


def test_tiles_of_one_value_give_finite_filters():
    found = whitened_patches(torch.ones(3, 1, 16, 16), 4, 3, seed=0)
    assert torch.isfinite(found.weights).all()
