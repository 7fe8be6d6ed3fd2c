"""The difference between two choices, with an interval over seeds and over queries.

A choice is trained with S seeds, and each of its models answers the same Q queries. With x the
figure of a query (its AP), d_sq = x_sq of the choice − x_sq of the baseline with the same seed:

    d_sq = δ + u_s + v_q + e_sq

δ is the difference for models of any seed and queries of any kind; u_s is what a seed changes, v_q
what a query changes, e_sq the rest. Two intervals of the mean of all d are made: a t-interval over
the S means of seeds, which holds u and e, and a bootstrap over the Q means of queries, scaled to
the share of their variance that is v's. Their half-widths are added in quadrature (MOVER: Zou &
Donner 2008, DOI 10.1002/sim.3095). For sums of independent normal terms, Banerjee (1960) showed
that such an interval covers the truth at least as often as it says.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from rsretrieve.errors import InvalidArgument

RESAMPLES = 4000
CONFIDENCE = 0.95
_MOST_SEEDS = 1000
_MOST_QUERIES = 10**12  # more than there are tiles
_BLOCK_VALUES = 1 << 22


@dataclass(frozen=True)
class PairedDifference:
    """A difference of means over seeds and queries, with its interval.

    Attributes:
        estimate: the mean of all differences; positive if the choice is better.
        low, high: the ends of the interval.
        confidence: of the interval.
        by_seed: (S,) the mean difference of each seed.
        below, above: how far the part of the queries alone reaches below and above.
        query_sd: standard deviation of v_q.
        rest_sd: standard deviation of e_sq.
        queries: Q.
    """

    estimate: float
    low: float
    high: float
    confidence: float
    by_seed: tuple[float, ...]
    below: float
    above: float
    query_sd: float
    rest_sd: float
    queries: int

    @property
    def is_shown(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.low > 0 or self.high < 0

    @cached_property
    def seed_sd(self) -> float:
        """Standard deviation of the means of seeds."""
        return float(np.std(self.by_seed, ddof=1))

    def half_width(self, seeds: int, queries: int | None = None) -> float:
        """The half-width to be expected of the interval with other numbers.

        Args:
            seeds: S, at least 2.
            queries: Q; by default as they are.
        """
        asked = queries or self.queries
        over_queries = self.query_sd**2 / asked
        # The part of e in the means of seeds shrinks with the queries, too.
        own = max(0.0, self.seed_sd**2 - self.rest_sd**2 / self.queries)
        over_seeds = (own + self.rest_sd**2 / asked) / seeds
        level = (1 + self.confidence) / 2
        t, z = float(stdtrit(seeds - 1, level)), float(ndtri(level))
        return math.sqrt(t**2 * over_seeds + z**2 * over_queries)

    def seeds_for(self, difference: float) -> int | None:
        """How many seeds in all make the interval this narrow on either side.

        Args:
            difference: the half-width that is wanted.

        Returns:
            A number of seeds; None if no number suffices with these queries.
        """
        for seeds in range(2, _MOST_SEEDS + 1):
            if self.half_width(seeds) <= difference:
                return seeds
        return None

    def queries_for(self, difference: float) -> int:
        """How many queries it takes with very many seeds, at most 10¹²; see `seeds_for`."""
        level = (1 + self.confidence) / 2
        root = min(float(ndtri(level)) * self.query_sd / difference, math.sqrt(_MOST_QUERIES))
        return math.ceil(root**2)


def paired_difference(
    baseline: NDArray[np.float64],
    choice: NDArray[np.float64],
    *,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> PairedDifference:
    """Compare a choice with a baseline, paired by seed and by query.

    Args:
        baseline: (S, Q) the figure of each query with each seed; higher is better.
        choice: (S, Q) the same of the choice.
        confidence: of the interval, 0…1.
        seed: of the bootstrap.

    Raises:
        InvalidArgument: the shapes differ, there are fewer than two seeds or queries, or a figure
            is not finite.
    """
    if baseline.shape != choice.shape or baseline.ndim != 2 or min(baseline.shape) < 2:
        raise InvalidArgument(
            "a comparison needs at least two seeds and two queries, the same of both choices, not "
            f"figures of the shapes {baseline.shape} and {choice.shape}"
        )
    differences = choice - baseline
    if not np.isfinite(differences).all():
        raise InvalidArgument("the figures of a comparison must be finite numbers")
    seeds, queries = differences.shape
    by_seed, by_query = differences.mean(axis=1), differences.mean(axis=0)
    mean = float(differences.mean())
    level = (1 + confidence) / 2
    over_seeds = float(stdtrit(seeds - 1, level)) * float(by_seed.std(ddof=1)) / math.sqrt(seeds)
    rest = differences - by_seed[:, None] - by_query + mean
    rest_variance = float((rest**2).sum() / ((seeds - 1) * (queries - 1)))
    of_queries = float(by_query.var(ddof=1))
    query_variance = max(0.0, of_queries - rest_variance / seeds)
    share = math.sqrt(query_variance / of_queries) if of_queries > 0 else 0.0
    below, above = (share * reach for reach in _bootstrap(by_query, level, seed))
    return PairedDifference(
        estimate=mean,
        low=mean - math.hypot(over_seeds, below),
        high=mean + math.hypot(over_seeds, above),
        confidence=confidence,
        by_seed=tuple(by_seed.tolist()),
        below=below,
        above=above,
        query_sd=math.sqrt(query_variance),
        rest_sd=math.sqrt(rest_variance),
        queries=queries,
    )


def _bootstrap(values: NDArray[np.float64], level: float, seed: int) -> tuple[float, float]:
    """How far the mean of resampled values reaches below and above the mean.

    The quantiles of a bootstrap are a little too narrow for few values: √(n / (n − 1)) and the
    quantile of t instead of that of the normal distribution make up for it.
    """
    rng, count = np.random.default_rng(seed), len(values)
    block = max(1, _BLOCK_VALUES // count)
    means = np.concatenate(
        [
            values[rng.integers(0, count, (min(block, RESAMPLES - done), count))].mean(axis=1)
            for done in range(0, RESAMPLES, block)
        ]
    )
    low, high = np.quantile(means, (1 - level, level)) - values.mean()
    wider = math.sqrt(count / (count - 1)) * float(stdtrit(count - 1, level) / ndtri(level))
    return max(0.0, -float(low)) * wider, max(0.0, float(high)) * wider
