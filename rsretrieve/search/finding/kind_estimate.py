"""How many tiles of the wanted kind there are, and how many of them were found."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsretrieve.search.finding.curve_prior import Floats
from rsretrieve.search.finding.relevance_curve import RelevanceCurve

_LOW, _MIDDLE, _HIGH = 0.025, 0.5, 0.975
_MISFIT = 0.5
"""Standard deviation of the logarithm of the odds beside that of the curve, which never fits
exactly."""


@dataclass(frozen=True)
class Estimate:
    """A figure and its 95 % interval.

    Attributes:
        value: the median.
        low, high: the ends of the interval.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class KindEstimate:
    """What is known about the wanted kind after some answers.

    Attributes:
        count: tiles of the kind in the whole index, those with an answer included.
        precision: the share of the found tiles that are of the kind.
        recall: the share of the tiles of the kind that were found.
        reached: the probability that precision and recall have reached their targets.
    """

    count: Estimate
    precision: Estimate
    recall: Estimate
    reached: float


@dataclass(frozen=True)
class Population:
    """Which ranks have an answer, and which were found.

    Attributes:
        confirmed: number of tiles with the answer yes, which are found tiles.
        open_ranks: (U,) int64, ranks without an answer.
        found: (U,) bool, whether they are found tiles.
    """

    confirmed: int
    open_ranks: NDArray[np.int64]
    found: NDArray[np.bool_]


@dataclass(frozen=True)
class Targets:
    """What a person wants to reach before they stop: a precision and a recall, 0…1."""

    precision: float = 0.9
    recall: float = 0.8


def estimate_kind(
    curve: RelevanceCurve, population: Population, targets: Targets, seed: int
) -> KindEstimate:
    """Estimate the number of tiles of the kind, and precision and recall of the found tiles.

    Args:
        curve: the posterior of the curve.
        population: what was found.
        targets: what `reached` is the probability of.
        seed: of the random draws.
    """
    inside = _Drawn.of(curve, population.open_ranks[population.found])
    outside = _Drawn.of(curve, population.open_ranks[~population.found])
    rng = np.random.default_rng(seed)
    points = rng.choice(len(curve.weights), _DRAWS, p=curve.weights)
    misfit = np.exp(_MISFIT * rng.standard_normal(_DRAWS))
    hits, missed = inside.draw(rng, points, misfit), outside.draw(rng, points, misfit)
    yes = population.confirmed
    found = yes + int(population.found.sum())
    precision = (yes + hits) / max(found, 1)
    recall = (yes + hits) / np.maximum(yes + hits + missed, 1)
    reached = (precision >= targets.precision) & (recall >= targets.recall)
    return KindEstimate(
        _whole(_estimate(yes + hits + missed)),
        _estimate(precision),
        _estimate(recall),
        float(reached.mean()) if found else 0.0,
    )


_DRAWS = 4000


@dataclass(frozen=True)
class _Drawn:
    """The number of wanted tiles among some ranks, by the points of the curve's grid.

    Attributes:
        size: the number of ranks.
        means, variances: (G,) of the number.
    """

    size: int
    means: Floats
    variances: Floats

    @classmethod
    def of(cls, curve: RelevanceCurve, ranks: NDArray[np.int64]) -> _Drawn:
        counts = curve.bins.counts(ranks)
        return cls(len(ranks), curve.table @ counts, (curve.table * (1 - curve.table)) @ counts)

    def draw(self, rng: np.random.Generator, points: NDArray[np.int64], misfit: Floats) -> Floats:
        """Numbers at some points of the grid, from a normal distribution, within what is possible.

        A misfit multiplies the odds of all tiles, so that a number stays below `size`.
        """
        share = np.clip(self.means[points] / max(self.size, 1), 1e-12, 1 - 1e-12)
        odds = share / (1 - share) * misfit
        mean = self.size * odds / (1 + odds)
        noise = np.sqrt(self.variances[points]) * rng.standard_normal(len(points))
        return np.clip(np.rint(mean + noise), 0, self.size)


def _estimate(values: Floats) -> Estimate:
    low, middle, high = np.quantile(values, (_LOW, _MIDDLE, _HIGH)).tolist()
    return Estimate(middle, low, high)


def _whole(estimate: Estimate) -> Estimate:
    return Estimate(
        float(np.rint(estimate.value)), float(np.floor(estimate.low)), float(np.ceil(estimate.high))
    )
