"""Rankings with equal similarities: means over all orders of the tied tiles.

Which of several equally similar tiles comes first is arbitrary. Every figure is therefore its mean
over all orders, computed in closed form (McSherry and Najork, 2008: Computing information retrieval
performance measures efficiently in the presence of tied scores).

A group of n tied tiles, r of them relevant, takes the ranks s + 1 … s + n, after b relevant tiles.
At its j-th rank, a tile is relevant with probability r / n; and if it is, the expected number of
relevant tiles up to there is b + 1 + (j − 1)·(r − 1) / (n − 1).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class TiedRanking:
    """What is expected at each rank of B rankings of N tiles.

    Attributes:
        shares: (B, N) float64, the probability that the tile at a rank is relevant.
        credits: (B, N) float64, that probability times the expected precision up to that rank if
            it is.
        sizes: (B, N) int64, n of the group at each rank.
        relevant: (B, N) int64, r of that group.
        before: (B, N) int64, b of that group.
        places: (B, N) int64, j of each rank.
    """

    shares: NDArray[np.float64]
    credits: NDArray[np.float64]
    sizes: NDArray[np.int64]
    relevant: NDArray[np.int64]
    before: NDArray[np.int64]
    places: NDArray[np.int64]

    @classmethod
    def of(cls, relevant: NDArray[np.bool_], similarities: NDArray[np.float32]) -> TiedRanking:
        """Group equal similarities.

        Args:
            relevant: (B, N) by rank.
            similarities: (B, N) by rank, falling.
        """
        starts = np.ones(relevant.shape, bool)
        starts[:, 1:] = similarities[:, 1:] != similarities[:, :-1]
        groups = (np.cumsum(starts.ravel()) - 1).reshape(relevant.shape)
        first = np.flatnonzero(starts)
        sizes = np.diff(np.append(first, relevant.size))
        found = np.add.reduceat(relevant.ravel(), first, dtype=np.int64)
        up_to = np.concatenate(([0], np.cumsum(found)))
        of_row = up_to[groups[:, 0]]  # relevant tiles of all earlier rankings
        n, r = sizes[groups], found[groups]
        b = up_to[groups] - of_row[:, None]
        j = np.arange(relevant.size).reshape(relevant.shape) - first[groups] + 1
        ranks = np.arange(1, relevant.shape[1] + 1)
        shares = r / n
        credits_ = shares * (b + 1 + (j - 1) * (r - 1) / np.maximum(n - 1, 1)) / ranks
        return cls(shares, credits_, n, r, b, j)

    def any_within(self, k: int) -> NDArray[np.float64]:
        """(B,) the probability that a relevant tile is among the first k."""
        last = min(k, self.shares.shape[1]) - 1
        n, r, b, m = (
            column[:, last] for column in (self.sizes, self.relevant, self.before, self.places)
        )
        none = np.ones(len(n))
        for drawn in range(int(m.max())):  # m tiles of the group, none of them relevant
            chance = np.maximum(n - r - drawn, 0) / np.maximum(n - drawn, 1)
            none *= np.where(drawn < m, chance, 1.0)
        return np.where(b > 0, 1.0, 1.0 - none)
