"""Random convolutional features equal a plain loop over places, filters and bands."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from rsretrieve.network.network import build_network
from rsretrieve.network.unlabelled.filter_shapes import (
    KERNEL_SIZES,
    filter_shapes,
    filters_of,
    random_convolutions_name,
)
from rsretrieve.network.unlabelled.random_convolutions import STRIDE, RandomConvolutions


def plainly(network, tile):
    """The features of one tile (C, S, S), number by number."""
    responses, floor = [], float(network.floor)
    for layer in network.convolutions:
        weights, biases = layer.weight.detach().numpy(), layer.bias.detach().numpy()
        side = weights.shape[-1]
        places = range(0, tile.shape[1] - side + 1, STRIDE)
        sums = np.array(
            [
                [
                    [(w * tile[:, y : y + side, x : x + side]).sum() + b for x in places]
                    for y in places
                ]
                for w, b in zip(weights, biases)
            ]
        )
        responses += [np.maximum(s, 0).mean() for s in sums]
        responses += [np.maximum(-s, 0).mean() for s in sums]
    means = [band.mean() for band in tile]
    deviations = [math.log(band.std() + 0.05) for band in tile]
    return np.array([*(math.log(r + floor) for r in responses), *means, *deviations])


def test_features_equal_a_plain_loop():
    torch.manual_seed(0)
    network = RandomConvolutions(2, 3)
    tiles = np.random.default_rng(0).normal(size=(4, 2, 13, 13)).astype(np.float32)
    found = network(torch.from_numpy(tiles)).detach().numpy()
    assert found.shape == (4, network.features)
    np.testing.assert_allclose(found, [plainly(network, t) for t in tiles], rtol=1e-4, atol=1e-5)


def test_a_constant_tile_has_finite_features():
    network = RandomConvolutions(1, 2)
    assert torch.isfinite(network(torch.zeros(1, 1, 16, 16))).all()


def test_a_network_is_built_by_its_name():
    name = random_convolutions_name(4)
    network = build_network(name, bands=6, size_px=32, dimensions=5)
    tensors = {f"network.{key}": value.shape for key, value in network.state_dict().items()}
    shapes = filter_shapes(name, 6)
    assert len(shapes) == len(KERNEL_SIZES)
    assert {key: tuple(tensors[key]) for key in shapes} == shapes
    assert network(torch.zeros(2, 6, 32, 32)).shape == (2, 5)


@pytest.mark.parametrize(
    "name",
    ["resnet18", "random-convolutions-0", "random-convolutions-99999"],
)
def test_other_names_are_none_of_its(name):
    assert filters_of(name) is None
    assert filter_shapes(name, 3) == {}
