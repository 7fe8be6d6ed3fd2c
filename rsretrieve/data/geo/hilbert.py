"""The order of places along a Hilbert curve, which keeps neighbours on Earth together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_LEVEL = 16  # bits a side


def hilbert_distances(points: NDArray[np.float64]) -> NDArray[np.int64]:
    """How far along a Hilbert curve over the whole Earth points lie.

    Args:
        points: (N, 2) longitude and latitude in degrees.

    Returns:
        (N,) int64 in 0…2³²−1.
    """
    side = (1 << _LEVEL) - 1
    scaled = (points + (180, 90)) / (360, 180) * side
    x, y = np.clip(scaled, 0, side).astype(np.int64).T
    distance = np.zeros(len(points), np.int64)
    for bit in range(_LEVEL - 1, -1, -1):
        step = np.int64(1) << bit
        right, upper = (x & step) > 0, (y & step) > 0
        distance += step * step * ((3 * right) ^ upper)
        flipped = ~upper & right
        x, y = np.where(flipped, side - x, x), np.where(flipped, side - y, y)
        x, y = np.where(upper, x, y), np.where(upper, y, x)
    return distance
