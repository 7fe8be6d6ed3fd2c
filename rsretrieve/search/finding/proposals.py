"""Choose the tiles that a person should look at next."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from rsretrieve.search.finding.kind_ranking import KindRanking
from rsretrieve.search.finding.relevance_curve import RelevanceCurve

_LIKELIEST_SHARE = _RANDOM_SHARE = 0.2
_NARROW, _WIDE, _MORE = 2, 3, 20
"""Tiles between half the rank at which the probability is ½ and three times this rank plus 20 are
the uncertain ones."""
_MOST_UNCERTAIN = 4096


class Reason(StrEnum):
    """Why a tile is proposed."""

    LIKELY = "likely"
    UNCERTAIN = "uncertain"
    RANDOM = "random"
    AGAIN = "again"  # of an earlier round, without an answer


@dataclass(frozen=True)
class Proposal:
    """A tile that a person should look at.

    Attributes:
        row: of the index.
        rank: from 1.
        probability: that it is of the wanted kind.
        reason: why it is proposed.
    """

    row: int
    rank: int
    probability: float
    reason: Reason


@dataclass(frozen=True)
class Proposer:
    """What proposals are chosen from.

    Attributes:
        vectors: (N, D) float32, unit rows of the index.
        ranking: all tiles.
        curve: their probabilities, by rank.
        decided: the rows that are examples, or were proposed before.
    """

    vectors: NDArray[np.float32]
    ranking: KindRanking
    curve: RelevanceCurve
    decided: Collection[int]

    def propose(self, count: int, rng: np.random.Generator) -> list[Proposal]:
        """Choose tiles: a fifth the likeliest, a fifth at random, the others uncertain.

        The random ones are drawn evenly over the logarithm of the rank, so that all orders of
        magnitude are looked at. The uncertain ones differ from each other as much as possible.

        Args:
            count: number of tiles; fewer if fewer are left.
            rng: random numbers.

        Returns:
            The proposals, the likeliest first.
        """
        is_open = np.ones(len(self.ranking.rows), bool)  # by place in the ranking
        is_open[self.ranking.ranks[np.fromiter(self.decided, np.int64)] - 1] = False
        likely = _taken(is_open, np.flatnonzero(is_open)[: round(_LIKELIEST_SHARE * count)])
        random = self._at_random(np.flatnonzero(is_open), round(_RANDOM_SHARE * count), rng)
        chance, left = _taken(is_open, random), count - len(likely) - len(random)
        doubtful = _taken(is_open, self._uncertain(np.flatnonzero(is_open), left, rng))
        more = np.flatnonzero(is_open)[: left - len(doubtful)]
        chosen = [
            *((place, Reason.LIKELY) for place in [*likely, *more]),
            *((place, Reason.RANDOM) for place in chance),
            *((place, Reason.UNCERTAIN) for place in doubtful),
        ]
        return [self._proposal(int(place), reason) for place, reason in sorted(chosen)]

    def _proposal(self, place: int, reason: Reason) -> Proposal:
        [probability] = self.curve.probabilities(np.array([place + 1])).tolist()
        return Proposal(int(self.ranking.rows[place]), place + 1, probability, reason)

    @staticmethod
    def _at_random(
        left: NDArray[np.int64], count: int, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """Places drawn evenly over the logarithm of the rank, one from each of equal parts."""
        if not len(left) or not count:
            return left[:0]
        parts = (np.arange(count) + rng.random(count)) / count
        drawn = np.exp(parts * np.log(len(left) + 1)).astype(np.int64) - 1
        return np.unique(left[np.clip(drawn, 0, len(left) - 1)])

    def _uncertain(
        self, left: NDArray[np.int64], count: int, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """Places near the rank at which the probability is ½, far from each other."""
        middle = self.curve.rank_of(0.5)
        low, high = middle // _NARROW, middle * _WIDE + _MORE
        band = left[(left >= low) & (left < high)]
        if len(band) > _MOST_UNCERTAIN:
            band = np.sort(rng.choice(band, _MOST_UNCERTAIN, replace=False))
        if len(band) <= count:
            return band
        vectors = np.asarray(self.vectors[self.ranking.rows[band]])
        chosen = [int(rng.integers(len(band)))]
        nearest = vectors @ vectors[chosen[0]]
        while len(chosen) < count:
            nearest[chosen] = np.inf
            chosen.append(int(np.argmin(nearest)))
            nearest = np.maximum(nearest, vectors @ vectors[chosen[-1]])
        return band[chosen]


def _taken(is_open: NDArray[np.bool_], places: NDArray[np.int64]) -> NDArray[np.int64]:
    """Some places, which are no longer open."""
    is_open[places] = False
    return places
