"""Confidence intervals of the noise rate: overall, by class and by pair of classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

_DRAWS = 200
_SHARES_AT_ONCE = 10_000
_SEED = 11
_NORMAL_95 = 1.96
_MODEL_ERROR = 0.01

Interval = tuple[float, float]


@dataclass(frozen=True)
class RateRange:
    """The noise rates of all fits that explain the labels.

    Attributes:
        low, high: ends of an interval that covers them and their sampling error.
        can_be_told: the fits agree, and the labels are informative.
        part: of the noise of the chosen fit, the part that is not overlap of the classes.
        most: the estimate is not higher.
        is_informative: the vectors predict labels better than their frequencies do.
    """

    low: float
    high: float
    can_be_told: bool = True
    is_informative: bool = True
    part: float = 1.0
    most: float = 1.0

    def including(self, rate: float, tiles: int) -> RateRange:
        """The range that also covers another estimate of the rate, of so many tiles."""
        low, high = with_sampling_error([rate], tiles)
        return replace(self, low=min(self.low, low), high=max(self.high, high))

    def distance(self, rate: float) -> float:
        """How far a rate lies outside the range; 0 within it."""
        return max(self.low - rate, rate - self.high, 0.0)

    def moved(self, by: float) -> RateRange:
        """The range after the labels changed, which changes the mean probability by `by`."""
        low, high = (float(np.clip(end + by, 0, 1)) for end in (self.low, self.high))
        return replace(self, low=low, high=high)

    def scaled(self, share: float) -> RateRange:
        """The range for all labels, if it is that of a share of them and the others are right."""
        return replace(self, low=self.low * share, high=self.high * share)


def with_untold(interval: Interval, share: float) -> Interval:
    """The interval of all labels from that of those that something is said about.

    Args:
        interval: of the labels that something is said about.
        share: of the other labels, 0…1. All of them may be right, or wrong.
    """
    return interval[0] * (1 - share), interval[1] * (1 - share) + share


def share_intervals(
    shares: NDArray[np.float64], counts: NDArray[np.int64], seed: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The 95 % intervals of mean probabilities, by the bootstrap (Efron 1979).

    The bootstrap draws the tiles with replacement, and then each label as wrong with its own
    probability. A label drawn this way is wrong with the mean probability p, so n of them sum
    to a draw from Binomial(n, p); that is what is drawn here. The interval covers the uncertainty
    about these tiles. It does not cover a bias of the probabilities.

    Args:
        shares: (M,) mean probabilities, 0…1.
        counts: (M,) number of tiles behind each mean, at least 1.
        seed: of the bootstrap.

    Returns:
        (M,) lower ends and (M,) upper ends.
    """
    rng = np.random.default_rng(_SEED + seed)
    ends = np.empty((2, len(shares)))
    for start in range(0, len(shares), _SHARES_AT_ONCE):
        rows = slice(start, start + _SHARES_AT_ONCE)
        drawn = rng.binomial(counts[rows], np.clip(shares[rows], 0, 1), (_DRAWS, len(shares[rows])))
        ends[:, rows] = np.quantile(drawn / counts[rows], (0.025, 0.975), axis=0)
    return ends[0], ends[1]


def with_sampling_error(rates: Sequence[float], tiles: int) -> Interval:
    """The 95 % interval that covers several estimates of the rate of so many tiles.

    It also covers a bias of 0.01: a tile that looks like another class counts as mislabelled, and
    about so many do in clean data.
    """
    low, high = min(rates), max(rates)
    errors = [_NORMAL_95 * float(np.sqrt(rate * (1 - rate) / tiles)) for rate in (low, high)]
    return max(0.0, low - errors[0] - _MODEL_ERROR), min(1.0, high + errors[1] + _MODEL_ERROR)
