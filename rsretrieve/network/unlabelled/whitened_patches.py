"""Filters for random convolutions: patches of the imagery, ZCA-whitened."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from rsretrieve.network.unlabelled.random_convolutions import RandomConvolutions

_PATCHES = 20_000
"""Patches that the covariance is measured on."""

_RIDGE = 1e-2
"""Of the mean variance: small directions are noise, and are not amplified to unit variance."""


@dataclass(frozen=True)
class Filters:
    """The filters of one kernel size.

    Attributes:
        weights: (M, C, k, k) float32.
        biases: (M,) float32.
    """

    weights: Tensor
    biases: Tensor


def set_filters(network: RandomConvolutions, tiles: Tensor, seed: int) -> None:
    """Replace the filters of a network by whitened patches of tiles.

    Args:
        network: its convolutions and its floor are set.
        tiles: (N, C, S, S) float32, normalised.
        seed: of the choice of patches.
    """
    with torch.no_grad():
        for layer in network.convolutions:
            if not isinstance(layer, nn.Conv2d):  # for type checkers: a ModuleList holds modules
                continue
            found = whitened_patches(tiles, layer.out_channels, layer.kernel_size[0], seed)
            layer.weight.copy_(found.weights)
            if layer.bias is not None:
                layer.bias.copy_(found.biases)
        some = tiles[:: -(-len(tiles) // 256)].contiguous(memory_format=torch.channels_last)
        network.floor.fill_(max(0.1 * float(network.pooled(some).mean()), 1e-6))


def whitened_patches(tiles: Tensor, count: int, side: int, seed: int) -> Filters:
    """Draw patches of tiles, whiten them, and make filters of some.

    A filter's response to a patch p is f·Z(p − m), where m is the mean patch, Z the ZCA whitening
    matrix and f a whitened patch of unit length.

    Args:
        tiles: (N, C, S, S) float32.
        count: M, the number of filters.
        side: k, the side of a patch.
        seed: of the choice.
    """
    patches = _draw(tiles, max(_PATCHES, count), side, np.random.default_rng([seed, side]))
    mean = patches.mean(dim=0)
    centred = patches - mean
    covariance = centred.T @ centred / len(centred)
    variances, axes = torch.linalg.eigh(covariance)
    ridge = _RIDGE * max(float(variances.mean()), 1e-12)
    whitening = axes @ torch.diag((variances.clamp_min(0) + ridge).rsqrt()) @ axes.T
    chosen = centred[:count] @ whitening
    chosen = chosen / chosen.norm(dim=1, keepdim=True).clamp_min(1e-12)
    weights = chosen @ whitening
    shape = (count, tiles.shape[1], side, side)
    return Filters(weights.reshape(shape).float(), -(weights @ mean).float())


def _draw(tiles: Tensor, count: int, side: int, random: np.random.Generator) -> Tensor:
    """(count, C·k·k) float64, patches at random places of random tiles."""
    reach = tiles.shape[-1] - side + 1
    numbers, tops, lefts = (random.integers(0, high, count) for high in (len(tiles), reach, reach))
    drawn = [
        tiles[number, :, top : top + side, left : left + side]
        for number, top, left in zip(numbers, tops, lefts)
    ]
    return torch.stack(drawn).reshape(count, -1).double()
