"""How many labels are wrong, in all and by class, with intervals by the bootstrap."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_DRAWS = 200
_BINS = 128
_SEED = 11

Interval = tuple[float, float]


def rate_interval(probability: NDArray[np.float64]) -> Interval:
    """The 95 % interval of the mean of (N,) probabilities, and of the labels drawn by them.

    Tiles are drawn anew with replacement, and each is wrong or not by its probability: what
    is uncertain about *these* tiles is in it. That probabilities may be biased is not.
    Probabilities are counted in 128 bins first, so that a million tiles take no time.
    """
    count = len(probability)
    bins = np.minimum((probability * _BINS).astype(np.int64), _BINS - 1)
    sizes = np.bincount(bins, minlength=_BINS)
    means = np.bincount(bins, weights=probability, minlength=_BINS) / np.maximum(sizes, 1)
    rng = np.random.default_rng(_SEED)
    drawn = rng.multinomial(count, sizes / count, size=_DRAWS)
    wrong = rng.binomial(drawn, np.clip(means, 0, 1)).sum(axis=1) / count
    low, high = np.quantile(wrong, (0.025, 0.975))
    return float(low), float(high)
