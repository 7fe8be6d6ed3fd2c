"""Whether two tiles of one name are one picture, by a few numbers that are kept of each."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

QUADRANTS = 4
_EACH = 4  # every fourth pixel, down and across
_TOLERANCE = 0.02  # of the spread among tiles: another decoder rounds otherwise


def quadrant_means(pixels: NDArray[Any]) -> NDArray[np.float32]:
    """How bright each quarter of some tiles is, over all bands and every fourth pixel.

    Args:
        pixels: (N, C, S, S) preprocessed.

    Returns:
        (N, 4) float32, in the unit of the pixels.
    """
    half = pixels.shape[-1] // 2
    sides = (slice(0, max(1, half), _EACH), slice(half, None, _EACH))
    quarters = [pixels[..., down, across] for down in sides for across in sides]
    means = [quarter.mean(axis=(1, 2, 3), dtype=np.float64) for quarter in quarters]
    return np.stack(means, axis=1).astype(np.float32)


def are_alike(seen: NDArray[np.float32], kept: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which of N tiles look as they were kept: no quarter differs by much.

    Args:
        seen: (N, 4), by `quadrant_means`, now.
        kept: (N, 4), by `quadrant_means`, then.
    """
    spread = np.nanstd(kept.astype(np.float64), axis=0) if len(kept) else np.zeros(QUADRANTS)
    return np.asarray((np.abs(seen - kept) <= _TOLERANCE * spread).all(axis=1))
