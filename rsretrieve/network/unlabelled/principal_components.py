"""Reduce features to an embedding by their principal components."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

_LEAST_DEVIATION = 1e-4  # of the largest; smaller components are rounding errors
_FLOOR = 1e-3  # of the largest deviation, so that no component is amplified without limit


@dataclass(frozen=True)
class Projection:
    """A linear layer that centres features and projects them.

    Attributes:
        weights: (D, F) float32.
        biases: (D,) float32.
    """

    weights: NDArray[np.float32]
    biases: NDArray[np.float32]


def block_scales(features: NDArray[np.float32], sizes: Sequence[int]) -> NDArray[np.float64]:
    """Factors that give blocks of features the same total variance.

    Args:
        features: (N, F).
        sizes: the numbers of features of consecutive blocks, F in all. Features of a block keep
            their relative variances.

    Returns:
        (F,) factors; 1 for a block without variance.
    """
    variances = features.var(axis=0, dtype=np.float64)
    scales = []
    for block in np.split(variances, np.cumsum(sizes)[:-1]):
        total = float(block.sum())
        scales.append(np.full(len(block), 1 / np.sqrt(total) if total > 0 else 1.0))
    return np.concatenate(scales)


def unit_scales(features: NDArray[np.float32]) -> NDArray[np.float64]:
    """(F,) factors that give each feature the variance 1/F; 1 for a constant feature."""
    deviations = features.std(axis=0, dtype=np.float64)
    scales = 1 / (np.where(deviations > 0, deviations, 1.0) * np.sqrt(features.shape[1]))
    return np.asarray(np.where(deviations > 0, scales, 1.0), np.float64)


def fit_projection(
    features: NDArray[np.floating[Any]],
    scales: NDArray[np.float64],
    dimensions: int,
    whitening: float,
) -> Projection:
    """Fit the projection to the principal components of scaled features.

    Args:
        features: (N, F) of the tiles.
        scales: (F,) factors of the features.
        dimensions: D at most. It is lower if fewer components have variance, as for few tiles.
        whitening: components are divided by their deviation to this power: 0 keeps their
            variances, 1 makes them equal.

    Returns:
        The projection. If all tiles have the same features, it keeps the first D of them.
    """
    mean = features.mean(axis=0, dtype=np.float64)
    centred = (features - mean) * scales
    lengths, axes = first_axes(centred, dimensions)
    deviations = lengths / np.sqrt(len(features))
    if not deviations[0] > 0:
        count = min(dimensions, features.shape[1])
        return Projection(np.eye(count, features.shape[1], dtype=np.float32), np.ones(count, "f4"))
    kept = int((deviations > _LEAST_DEVIATION * deviations[0]).sum())
    count = min(dimensions, kept)
    signs = np.sign(axes[np.arange(count), np.abs(axes[:count]).argmax(axis=1)])
    divisors = (deviations[:count] + _FLOOR * deviations[0]) ** whitening
    weights = axes[:count] * (signs / divisors)[:, None] * scales
    return Projection(weights.astype(np.float32), -(weights @ mean).astype(np.float32))


def first_axes(
    centred: NDArray[np.float64], count: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The largest singular values of (N, F) rows, and their right singular vectors, as rows.

    They come from the eigenvectors of the smaller of the two products of the rows with themselves:
    for 2,000 tiles and 3,000 features in an eighth of the time of a full decomposition. Values
    below 1e-6 of the largest are lost.
    """
    is_wide = centred.shape[0] < centred.shape[1]
    product = centred @ centred.T if is_wide else centred.T @ centred
    side = len(product)
    squares, vectors = eigh(product, subset_by_index=(max(side - count, 0), side - 1))
    lengths = np.sqrt(np.maximum(squares[::-1], 0))
    axes = vectors.T[::-1]
    if is_wide:
        axes = (axes @ centred) / np.where(lengths > 0, lengths, 1)[:, None]
    return lengths, axes
