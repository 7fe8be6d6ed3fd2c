"""How the tiles looked to the network before it had seen a label.

What a training makes of wrong labels shapes its embedding: tiles that share a wrong label
are drawn together, and vouch for each other. The starting features know nothing of labels. A
training keeps them, small, so that an audit has a second opinion that nobody has misled.

A scene from above is the same scene turned, but the features are not the same: of four
quarter turns together they are nearer to those of like scenes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rsretrieve.network.embedder import Embedder

DIMENSIONS = 128
_QUARTER_TURNS = 4
_SAMPLE = 10_000
_AT_ONCE = 256


def compute_starting_features(
    embedder: Embedder, pixels: NDArray[Any], seed: int
) -> NDArray[np.float16]:
    """The backbone's features of tiles, of all quarter turns, in their principal directions.

    Args:
        embedder: of the network before it learns.
        pixels: (N, C, S, S) preprocessed tiles.
        seed: of the sample that the directions are of, where there are more than 10,000.

    Returns:
        (N, d) float16 unit rows, d ≤ 128.
    """
    chosen = np.sort(np.random.default_rng(seed).permutation(len(pixels))[:_SAMPLE])
    sample_parts = [_features(embedder, pixels[part]) for part in _parts(chosen)]
    sample = torch.cat(sample_parts)
    mean = sample.mean(dim=0)
    covariance = (sample - mean).T @ (sample - mean)
    directions = torch.linalg.eigh(covariance)[1][:, -min(DIMENSIONS, len(sample) - 1) :]
    parts: Iterable[Tensor] = sample_parts  # which are all, in order, of a set no larger
    if len(chosen) < len(pixels):
        parts = (_features(embedder, pixels[part]) for part in _parts(np.arange(len(pixels))))
    blocks = [torch.nn.functional.normalize((part - mean) @ directions) for part in parts]
    return np.asarray(torch.cat(blocks).cpu().numpy(), np.float16)


def _parts(rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return np.array_split(rows, math.ceil(len(rows) / _AT_ONCE))


def _features(embedder: Embedder, pixels: NDArray[Any]) -> Tensor:
    """(B, F) float64 unit rows, on the processor: a small GPU's memory is for the training."""
    unit = torch.nn.functional.normalize
    turned = (np.rot90(pixels, turn, axes=(2, 3)) for turn in range(_QUARTER_TURNS))
    of_turns = [unit(embedder.features(np.ascontiguousarray(each)).double()) for each in turned]
    return unit(torch.stack(of_turns).sum(dim=0)).cpu()
