"""Confidence intervals of the noise rate: overall, by class and by pair of classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

_NORMAL_95 = 1.96
_MODEL_ERROR = 0.01

Interval = tuple[float, float]
Ends = tuple[NDArray[np.float64], NDArray[np.float64]]


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

    def of_parts(self, ends: Ends, rate: float) -> Ends:
        """The intervals of parts of the labels, with the uncertainty of the rate of all labels.

        A rate at the lower end of the range lowers the rate of each part by the same factor. One
        at the upper end lowers the share of right labels of each part by the same factor. So the
        mean of the parts' intervals, weighted by their sizes, covers the range.

        Args:
            ends: (M,) lower and (M,) upper ends of the parts' noise rates.
            rate: the estimated rate of all labels.
        """
        low, high = ends
        fewer = self.low / rate if rate > self.low else 1.0
        right = (1 - self.high) / (1 - rate) if rate < self.high else 1.0
        return low * fewer, 1 - (1 - high) * right

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
    shares: NDArray[np.float64], counts: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The 95 % intervals of mean probabilities, as score intervals (Wilson, JASA 1927).

    Each of n labels is wrong with its own probability, so a label that is drawn by chance is wrong
    with their mean p. The interval holds every rate π whose n labels would give p within
    z √(π (1 − π) / n). It holds p, and is not empty where p is 0 or 1. It covers the uncertainty
    about these tiles. It does not cover a bias of the probabilities (see `RateRange.of_parts`).

    Args:
        shares: (M,) mean probabilities, 0…1.
        counts: (M,) number of tiles behind each mean, at least 1.

    Returns:
        (M,) lower ends and (M,) upper ends.
    """
    mean, per_tile = np.clip(shares, 0, 1), _NORMAL_95**2 / counts
    middle = (mean + per_tile / 2) / (1 + per_tile)
    half = np.sqrt(mean * (1 - mean) * per_tile + per_tile**2 / 4) / (1 + per_tile)
    return np.clip(middle - half, 0, mean), np.clip(middle + half, mean, 1)


def with_sampling_error(rates: Sequence[float], tiles: int) -> Interval:
    """The 95 % interval that covers several estimates of the rate of so many tiles.

    It also covers a bias of 0.01: a tile that looks like another class counts as mislabelled, and
    about so many do in clean data.
    """
    low, high = min(rates), max(rates)
    errors = [_NORMAL_95 * float(np.sqrt(rate * (1 - rate) / tiles)) for rate in (low, high)]
    return max(0.0, low - errors[0] - _MODEL_ERROR), min(1.0, high + errors[1] + _MODEL_ERROR)
