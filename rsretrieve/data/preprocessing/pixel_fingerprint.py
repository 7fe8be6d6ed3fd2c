"""Recognise a tile by its pixels: a fingerprint of four numbers, kept for each tile."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

QUADRANTS = 4
_STEP = 4  # every fourth pixel, along both axes
_TOLERANCE = 0.02  # of the standard deviation among tiles: decoders round differently


def quadrant_means(pixels: NDArray[Any]) -> NDArray[np.float32]:
    """The mean of each quadrant of tiles, over all bands and every fourth pixel.

    Args:
        pixels: (N, C, S, S) preprocessed.

    Returns:
        (N, 4) float32, in the unit of the pixels.
    """
    half = pixels.shape[-1] // 2
    sides = (slice(0, max(1, half), _STEP), slice(half, None, _STEP))
    quarters = [pixels[..., down, across] for down in sides for across in sides]
    means = [quarter.mean(axis=(1, 2, 3), dtype=np.float64) for quarter in quarters]
    return np.stack(means, axis=1).astype(np.float32)


def are_alike(seen: NDArray[np.float32], kept: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which of N tiles have the pixels that were recorded: no quadrant differs by much.

    Args:
        seen: (N, 4) `quadrant_means` of the tiles now.
        kept: (N, 4) the recorded ones.
    """
    spread = np.nanstd(kept.astype(np.float64), axis=0) if len(kept) else np.zeros(QUADRANTS)
    return np.asarray((np.abs(seen - kept) <= _TOLERANCE * spread).all(axis=1))


def are_among(seen: NDArray[np.float32], kept: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which of N tiles have the pixels of some recorded tile, whatever its name is.

    Args:
        seen: (N, 4) `quadrant_means` of the tiles now.
        kept: (M, 4) the recorded ones.
    """
    from scipy.spatial import cKDTree

    found = np.zeros(len(seen), bool)
    known = kept[np.isfinite(kept).all(axis=1)].astype(np.float64)
    asked = np.isfinite(seen).all(axis=1)
    if len(known) and asked.any():
        spread = known.std(axis=0)
        scale = _TOLERANCE * np.where(spread > 0, spread, 1.0)
        distances, _ = cKDTree(known / scale).query(seen[asked] / scale, p=np.inf)
        found[asked] = distances <= 1.0
    return found
