"""Features of the training tiles before the network learns from any label.

Wrong labels shape the embedding of a trained network: tiles that share a wrong label are drawn
together and confirm each other. The starting features do not depend on the labels. A training
stores them, reduced to a few dimensions, as independent evidence for a later label audit.

A scene from above stays the same scene when it is turned, but its features change. The sum over
quarter turns is closer to that of similar scenes: over four, or two of tiles that are read again,
larger.
Blocks of features (see `level_network`) get unit length, those of earlier levels half of it.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from rsretrieve.network.embedder import Embedder, pixel_blocks

DIMENSIONS = 128
QUARTER_TURNS = 4
_SAMPLE_TILES = 10_000
_LENGTH_OF_LEVELS = 0.5


def compute_starting_features(
    embedder: Embedder,
    pixels: NDArray[Any],
    seed: int,
    sample_tiles: int = _SAMPLE_TILES,
    turns: int = QUARTER_TURNS,
    sizes: tuple[int, ...] = (),
) -> NDArray[np.float16]:
    """Project the backbone's features, summed over quarter turns, on their principal axes.

    Args:
        embedder: of the network before training.
        pixels: (N, C, S, S) preprocessed tiles.
        seed: of the sample.
        sample_tiles: the axes are those of a random sample of this size, if there are more tiles.
        turns: number of quarter turns, from 1 to 4.
        sizes: numbers of features of the blocks; by default they are one block.

    Returns:
        (N, d) float16 unit rows, d ≤ 128.
    """
    chosen = np.sort(np.random.default_rng(seed).permutation(len(pixels))[:sample_tiles])
    turned = partial(_turned_features, embedder, turns)
    sample = [*embedder.map_blocks(turned, pixels, chosen)]
    of_sample = torch.cat(sample)
    whole = of_sample.mean(dim=0)
    mean, axes = _principal_axes(_balanced(of_sample, whole, sizes))
    # Otherwise the sample is all tiles in their order.
    blocks = embedder.map_blocks(turned, pixels) if len(chosen) < len(pixels) else iter(sample)
    projected = [normalize((_balanced(block, whole, sizes) - mean) @ axes) for block in blocks]
    return np.asarray(torch.cat(projected).cpu().numpy(), np.float16)


def project_features(
    features: NDArray[np.float32], seed: int, sample_tiles: int = _SAMPLE_TILES
) -> NDArray[np.float16]:
    """Project features that are known already on their principal axes.

    Args:
        features: (N, F) of the tiles as they are, not turned.
        seed: of the sample.
        sample_tiles: see `compute_starting_features`.

    Returns:
        (N, d) float16 unit rows, d ≤ 128.
    """
    chosen = np.sort(np.random.default_rng(seed).permutation(len(features))[:sample_tiles])
    blocks = (_unit_rows(block) for block in pixel_blocks(features))
    mean, axes = _principal_axes(_unit_rows(features[chosen]))
    projected = torch.cat([normalize((block - mean) @ axes) for block in blocks])
    return np.asarray(projected.numpy(), np.float16)


def _unit_rows(features: NDArray[np.float32]) -> Tensor:
    return normalize(torch.from_numpy(np.asarray(features, np.float64)))


def _principal_axes(features: Tensor) -> tuple[Tensor, Tensor]:
    """(N, F) → the mean (F,) and up to 128 axes of largest variance (F, d)."""
    mean = features.mean(dim=0)
    covariance = (features - mean).T @ (features - mean)
    return mean, torch.linalg.eigh(covariance)[1][:, -min(DIMENSIONS, len(features) - 1) :]


def _balanced(features: Tensor, mean: Tensor, sizes: tuple[int, ...]) -> Tensor:
    """Blocks less their mean, as unit rows, those of earlier levels at half the length.

    Args:
        features: (N, F).
        mean: (F,) of a sample.
        sizes: numbers of features of the blocks; fewer than two are left as they are.
    """
    if len(sizes) < 2:
        return features
    first, *others = torch.split(features - mean, list(sizes), dim=1)
    return torch.cat([normalize(first), *(_LENGTH_OF_LEVELS * normalize(o) for o in others)], dim=1)


def _turned_features(embedder: Embedder, count: int, pixels: NDArray[Any]) -> Tensor:
    """(B, F) float64 unit rows, on the processor to leave a small GPU's memory to training."""
    turns = (np.rot90(pixels, turn, axes=(2, 3)) for turn in range(count))
    features = [embedder.features(np.ascontiguousarray(turned)).double() for turned in turns]
    return normalize(torch.stack([normalize(each) for each in features]).sum(dim=0)).cpu()
