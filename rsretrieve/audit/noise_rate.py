"""Confidence intervals of the noise rate: overall, by class and by pair of classes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_DRAWS = 200
_SHARES_AT_ONCE = 10_000
_SEED = 11

Interval = tuple[float, float]


def rate_interval(probability: NDArray[np.float64]) -> Interval:
    """The 95 % interval of the share of wrong labels.

    Args:
        probability: (N,) probability that each label is wrong, 0…1.

    Returns:
        The lower and the upper end.
    """
    count = len(probability)
    low, high = share_intervals(np.array([probability.mean()]), np.array([count]))
    return float(low[0]), float(high[0])


def with_untold(interval: Interval, share: float) -> Interval:
    """The interval of all labels from that of those that something is said about.

    Args:
        interval: of the labels that something is said about.
        share: of the other labels, 0…1. All of them may be right, or wrong.
    """
    return interval[0] * (1 - share), interval[1] * (1 - share) + share


def share_intervals(
    shares: NDArray[np.float64], counts: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The 95 % intervals of mean probabilities, by the bootstrap (Efron 1979).

    The bootstrap draws the tiles with replacement, and then each label as wrong with its own
    probability. A label drawn this way is wrong with the mean probability p, so n of them sum
    to a draw from Binomial(n, p); that is what is drawn here. The interval covers the uncertainty
    about these tiles. It does not cover a bias of the probabilities.

    Args:
        shares: (M,) mean probabilities, 0…1.
        counts: (M,) number of tiles behind each mean, at least 1.

    Returns:
        (M,) lower ends and (M,) upper ends.
    """
    rng = np.random.default_rng(_SEED)
    ends = np.empty((2, len(shares)))
    for start in range(0, len(shares), _SHARES_AT_ONCE):
        rows = slice(start, start + _SHARES_AT_ONCE)
        drawn = rng.binomial(counts[rows], np.clip(shares[rows], 0, 1), (_DRAWS, len(shares[rows])))
        ends[:, rows] = np.quantile(drawn / counts[rows], (0.025, 0.975), axis=0)
    return ends[0], ends[1]
