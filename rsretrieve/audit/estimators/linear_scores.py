"""Scores of linear classifiers for the likely classes of each tile."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

from rsretrieve.audit.estimators.candidates import LikelyClasses, Scores
from rsretrieve.audit.estimators.neighbors import most_similar
from rsretrieve.audit.estimators.unit_vectors import UnitRows

_BLOCK_BYTES = 16 << 20  # more does not fit in the processor's cache

Labels = NDArray[np.int64]


@dataclass(frozen=True)
class LinearScores:
    """A linear classifier, w_c·v + b_c, less the mean of the scores of all classes.

    Attributes:
        weights: (K, D) float32; their mean is 0.
        offsets: (K,) float32; their mean is 0.
    """

    weights: NDArray[np.float32]
    offsets: NDArray[np.float32]

    @classmethod
    def of(cls, weights: NDArray[Any], offsets: NDArray[Any]) -> LinearScores:
        """Make one of any (K, D) weights and (K,) offsets."""
        weights, offsets = weights - weights.mean(axis=0), offsets - offsets.mean()
        return cls(weights.astype(np.float32), offsets.astype(np.float32))

    def best(self, rows: NDArray[np.float32], count: int) -> NDArray[np.int32]:
        """(n, count) int32, the classes with the highest scores of n rows, the best first."""
        weights = np.column_stack((self.weights, self.offsets))
        with_one = np.column_stack((rows, np.ones(len(rows), np.float32)))
        return most_similar(with_one, weights, count).rows.astype(np.int32)

    def put(
        self, vectors: UnitRows, rows: Labels, candidates: LikelyClasses, scores: Scores
    ) -> None:
        """Set the rows `rows` of the (N, C) scores."""
        for chosen in blocks(rows, candidates.columns * vectors.dimensions):
            scores[chosen] = self._scores(vectors[chosen], candidates.numbers[chosen])

    def _scores(self, rows: NDArray[np.float32], numbers: NDArray[np.int32]) -> Scores:
        """(n, C) the scores of the likely classes, and of the mean probability of the rest."""
        found = np.empty((len(rows), numbers.shape[1] + 1), np.float32)
        found[:, :-1] = np.matmul(self.weights[numbers], rows[:, :, None])[:, :, 0]
        found[:, :-1] += self.offsets[numbers]
        of_all = np.einsum("ij,ij->i", rows @ self._squares, rows)
        of_all += 2 * rows @ (self.offsets @ self.weights) + self.offsets @ self.offsets
        found[:, -1] = _mean_of_rest(found[:, :-1], of_all, len(self.offsets))
        return found

    @cached_property
    def _squares(self) -> NDArray[np.float32]:
        """(D, D) Σ w·wᵀ: the sum of squared scores is a quadratic form of the row."""
        return self.weights.T @ self.weights


def _mean_of_rest(
    likely: NDArray[np.float32], squares: NDArray[np.float32], classes: int
) -> NDArray[np.float64]:
    """The logarithm of the mean of exp(score) over the classes that are not likely.

    The scores of all classes are not computed for it. Those of the rest are taken for a normal
    distribution, of which values above the least likely of the chosen classes are cut off.

    Args:
        likely: (n, S) scores of the likely classes, the least likely last; all K have mean 0.
        squares: (n,) sums of the squared scores of all classes.
        classes: K.

    Returns:
        (n,) float64.
    """
    rest, likely = classes - likely.shape[1], likely.astype(np.float64)
    mean = -likely.sum(axis=1) / rest
    variance = np.maximum((squares - (likely**2).sum(axis=1)) / rest - mean**2, 1e-6)
    deviation = np.sqrt(variance)
    highest = np.maximum(likely[:, -1] - mean, 0) / deviation
    cut_off = log_ndtr(highest - deviation) - log_ndtr(highest)
    return np.asarray(mean + variance / 2 + cut_off)


def blocks(rows: Labels, columns: int) -> Iterator[Labels]:
    """Split rows, so that so many columns of float32 of each part are at most 16 MiB."""
    for block in blocks_of_rows(len(rows), columns):
        yield rows[block]


def blocks_of_rows(count: int, columns: int) -> Iterator[slice]:
    """Split so many rows in the same way."""
    size = max(1, _BLOCK_BYTES // (4 * columns))
    return (slice(start, start + size) for start in range(0, count, size))
