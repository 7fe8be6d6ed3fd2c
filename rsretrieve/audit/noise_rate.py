"""How many labels are wrong, in all, by class and by pair, with intervals by the bootstrap."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_DRAWS = 200
_AT_ONCE = 10_000
_SEED = 11

Interval = tuple[float, float]


def rate_interval(probability: NDArray[np.float64]) -> Interval:
    """The 95 % interval of the mean of (N,) probabilities, and of the labels drawn by them."""
    count = len(probability)
    low, high = share_intervals(np.array([probability.mean()]), np.array([count]))
    return float(low[0]), float(high[0])


def share_intervals(
    shares: NDArray[np.float64], counts: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The 95 % intervals of mean probabilities, each over some tiles.

    Tiles are drawn anew with replacement, and each is what is asked for or not by its
    probability: what is uncertain about *these* tiles is in it. That probabilities may be
    biased is not. A tile drawn so is it with the mean probability p, whichever was drawn,
    so n of them add up to a draw from Binomial(n, p).

    Args:
        shares: (M,) the mean probabilities, 0…1.
        counts: (M,) over how many tiles; at least 1.

    Returns:
        (M,) lower and upper ends.
    """
    rng = np.random.default_rng(_SEED)
    ends = np.empty((2, len(shares)))
    for start in range(0, len(shares), _AT_ONCE):
        rows = slice(start, start + _AT_ONCE)
        drawn = rng.binomial(counts[rows], np.clip(shares[rows], 0, 1), (_DRAWS, len(shares[rows])))
        ends[:, rows] = np.quantile(drawn / counts[rows], (0.025, 0.975), axis=0)
    return ends[0], ends[1]
