"""How the probability that a tile is of the wanted kind falls with its rank.

The curve is

    p(r) = c / (1 + (r / t)^b) + (1 − c / (1 + (r / t)^b)) · h·t / N

with the threshold t, the steepness b, the precision c at the top, and h: how many wanted tiles, as
a share of t, are scattered over all ranks because they look like no example. A person answers
wrongly with probability ε. The posterior of (t, b, c, h) is computed on a grid, from answers whose
ranks do not depend on the answers themselves. Which tiles were asked for depends on ranks only, so
that the choice does not bias the posterior.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from rsretrieve.search.finding.curve_prior import CurvePrior, Floats

_ERROR = 0.02
"""ε: how often an answer is wrong."""
_SINGLE_RANKS, _WIDE_BINS = 30, 170
_LEAST_WEIGHT = 1e-6


@dataclass(frozen=True)
class RankBins:
    """All ranks in bins, within which the curve is taken as constant.

    Attributes:
        edges: (E + 1,) int64; bin e holds the ranks above edge e up to edge e + 1.
    """

    edges: NDArray[np.int64]

    @classmethod
    def of(cls, size: int) -> RankBins:
        """The first ranks have a bin each; further bins widen in proportion to the rank."""
        single = np.arange(min(_SINGLE_RANKS, size) + 1)
        wide = np.round(np.geomspace(max(single[-1], 1), size, _WIDE_BINS))
        return cls(np.unique(np.concatenate((single, wide))).astype(np.int64))

    @property
    def middles(self) -> Floats:
        """(E,) the rank in the middle of each bin, on a logarithmic scale."""
        return np.asarray(np.sqrt((self.edges[:-1] + 1.0) * self.edges[1:]))

    def numbers(self, ranks: NDArray[np.int64]) -> NDArray[np.int64]:
        """(R,) int64, the bin of each rank."""
        return np.searchsorted(self.edges, ranks, "left") - 1

    def counts(self, ranks: NDArray[np.int64]) -> NDArray[np.int64]:
        """(E,) int64, how many of some ranks each bin holds."""
        return np.bincount(self.numbers(ranks), minlength=len(self.edges) - 1)


@dataclass(frozen=True)
class RelevanceCurve:
    """The posterior of the curve.

    Attributes:
        size: N, the number of ranks.
        bins: the bins of the ranks.
        weights: (G,) the posterior weights of the kept points of the grid; they sum to 1.
        table: (G, E) the probability of each bin at these points.
    """

    size: int
    bins: RankBins
    weights: Floats
    table: Floats

    @cached_property
    def _means(self) -> Floats:
        return np.asarray(self.weights @ self.table)

    def probabilities(self, ranks: NDArray[np.int64]) -> Floats:
        """The probability that tiles of some ranks (R,) are wanted: (R,) float64."""
        return np.asarray(self._means[self.bins.numbers(ranks)])

    def rank_of(self, probability: float) -> int:
        """The last rank whose probability is at least this; 0 if none is."""
        bins = np.flatnonzero(self._means >= probability)
        return int(self.bins.edges[bins[-1] + 1]) if len(bins) else 0


def fit_curve(size: int, ranks: NDArray[np.int64], wanted: NDArray[np.bool_]) -> RelevanceCurve:
    """Compute the posterior of the curve from answers.

    Args:
        size: N.
        ranks: (A,) int64, the ranks of the answered tiles by the other examples only.
        wanted: (A,) bool, the answers.
    """
    bins, prior = RankBins.of(size), CurvePrior.of(size)
    at_ranks = prior.probabilities(ranks.astype(np.float64))
    observed = (1 - _ERROR) * at_ranks + _ERROR * (1 - at_ranks)
    log_likelihood = np.where(wanted, np.log(observed), np.log1p(-observed)).sum(axis=1)
    log_posterior = prior.log_weights + log_likelihood
    weights = np.exp(log_posterior - log_posterior.max())
    kept = weights > _LEAST_WEIGHT
    table = prior.probabilities(bins.middles, kept)
    return RelevanceCurve(size, bins, weights[kept] / weights[kept].sum(), table)
