"""Classifiers that score the classes of a tile from the posteriors of the *other* tiles.

A tile's own label must not influence its scores; otherwise the label would confirm itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rsretrieve.audit.estimators.candidates import Scores
from rsretrieve.audit.estimators.neighbors import neighbours_among_all
from rsretrieve.audit.estimators.unit_vectors import UnitRows

if TYPE_CHECKING:
    from scipy.sparse import csr_array

NEIGHBOURS = 15
_VOTE_TEMPERATURE = 0.1
NO_VOTE = 0.02
_SHRINKAGE = 0.1
_MOST_IN_FLOAT64 = 4_000_000


class Classifier(Protocol):
    """Scores every class for every tile."""

    def class_scores(self, posterior: Scores) -> Scores:
        """Score all classes for all tiles.

        Args:
            posterior: (N, C) probabilities of the tiles' classes; a row sums to 1, or to 0 for
                a tile whose class must not be used. C is K, or see `LikelyClasses`.

        Returns:
            (N, C), higher is more probable; a row of equal scores says nothing.
        """
        ...


def assign_folds(labels: NDArray[np.int64], folds: int) -> NDArray[np.int64]:
    """Assign the tiles of every class in turn to folds.

    Args:
        labels: (N,) int64 class numbers, in an order that is random within each class.
        folds: number of folds.

    Returns:
        (N,) int64, 0…folds − 1.
    """
    order = np.argsort(labels, kind="stable")
    sizes = np.bincount(labels)
    rank = np.arange(len(labels)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    assigned = np.empty(len(labels), np.int64)
    assigned[order] = rank % folds
    return assigned


@dataclass(frozen=True)
class Discriminant:
    """Cross-fitted linear discriminant analysis (Fisher 1936), with a shrunk covariance.

    score_ic = v_i·Σ⁻¹μ_c − ½ μ_c·Σ⁻¹μ_c + log π_c

    Means μ, the shared covariance Σ (a tenth of it replaced by a multiple of the identity) and
    class frequencies π are estimated from the tiles of the *other* folds. Each tile counts for
    every class with its posterior probability.

    Attributes:
        rows: (N, D) float32; rows of zeros are unknown and get equal scores.
        folds: (N,) int64 fold of each tile.
    """

    rows: NDArray[np.float32]
    folds: NDArray[np.int64]

    def class_scores(self, posterior: Scores) -> Scores:
        """See `Classifier.class_scores`."""
        used = self._known & posterior.any(axis=1)
        scatters = self._scatters_of(used)
        moments = [self._moments(posterior, used, fold) for fold in self._folds]
        scores = np.zeros(posterior.shape, order="F")
        for fold in self._folds:
            scored, rows = self._rows_of_folds[fold]
            others = [f for f in self._folds if f != fold]
            weights, offsets = discriminant(
                scatters[fold],
                np.sum([moments[f][0] for f in others], axis=0),
                np.sum([moments[f][1] for f in others], axis=0),
            )
            scores[scored] = rows @ weights.T + offsets
        return scores

    @cached_property
    def _folds(self) -> range:
        return range(int(self.folds.max()) + 1)

    @cached_property
    def _known(self) -> NDArray[np.bool_]:
        return np.asarray(self.rows.any(axis=1))

    @cached_property
    def _scatters(self) -> dict[bytes, list[NDArray[np.float64]]]:
        """Those of `_scatters_of`, by the tiles used: all, or all but a part that is held out."""
        return {}

    def _scatters_of(self, used: NDArray[np.bool_]) -> list[NDArray[np.float64]]:
        """Σ v·vᵀ of the rows outside each fold."""
        key = np.packbits(used).tobytes()
        if key not in self._scatters:
            folds = [self.rows[used & (self.folds == fold)] for fold in self._folds]
            each = [np.asarray(rows.T @ rows, np.float64) for rows in folds]
            self._scatters[key] = [
                np.sum([other for other in each if other is not own], axis=0) for own in each
            ]
        return self._scatters[key]

    @cached_property
    def _rows_of_folds(self) -> list[tuple[NDArray[np.int64], NDArray[Any]]]:
        """The known tiles of each fold, and their rows; float64 saves conversions of few rows."""
        dtype = np.float64 if self.rows.size <= _MOST_IN_FLOAT64 else np.float32
        folds = [np.flatnonzero(self._known & (self.folds == fold)) for fold in self._folds]
        return [(numbers, self.rows[numbers].astype(dtype)) for numbers in folds]

    def _moments(
        self, posterior: Scores, used: NDArray[np.bool_], fold: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(K,) sizes of the classes, and (K, D) sums of their rows; of tiles that are used."""
        numbers, rows = self._rows_of_folds[fold]
        # The posterior of a tile that is not used is zero.
        weights = np.where(used[numbers, None], posterior[numbers], 0)
        return weights.sum(axis=0), np.asarray(weights.T @ rows, np.float64)


def discriminant(
    scatter: NDArray[np.float64], sizes: NDArray[np.float64], sums: NDArray[np.float64]
) -> tuple[Scores, Scores]:
    """The linear scores of the classes; see `Discriminant`.

    Args:
        scatter: (D, D) float64 sum of v·vᵀ.
        sizes: (K,) float64 sizes of the classes.
        sums: (K, D) float64 sums of their rows.

    Returns:
        (K, D) float64 weights and (K,) float64 offsets.
    """
    total = max(1.0, float(sizes.sum()))
    # The overall mean counts as one tile: it is the mean of a class without tiles.
    means = (sums + sums.sum(axis=0) / total) / (sizes[:, None] + 1)
    covariance = (scatter - (means.T * sizes) @ means) / total
    spread = np.trace(covariance) / len(covariance)
    covariance *= 1 - _SHRINKAGE
    covariance[np.diag_indices_from(covariance)] += _SHRINKAGE * spread + 1e-9
    weights = _solve_positive(covariance, means.T).T
    offsets = np.log((sizes + 1) / (sizes + 1).sum()) - (weights * means).sum(axis=1) / 2
    return weights, offsets


def _solve_positive(matrix: NDArray[np.float64], right: NDArray[np.float64]) -> Scores:
    """Solve a system with a positive definite matrix, by Cholesky's method."""
    from scipy.linalg.lapack import dposv

    _, found, failed = dposv(matrix, right)
    return np.asarray(np.linalg.solve(matrix, right) if failed else found)


@dataclass(frozen=True)
class NeighbourVotes:
    """Weighted votes of the 15 nearest other tiles (k nearest neighbours, Cover & Hart 1967).

    score_ic = log(Σ_j w_ij q_jc + 0.02)

    The weight w_ij is proportional to exp(s_ij / 0.1), with s_ij the cosine similarity; the
    weights of a tile sum to 1.

    Attributes:
        neighbours: (N, k) int64 rows; −1 for none.
        weights: (N, k) float32.
    """

    neighbours: NDArray[np.int64]
    weights: NDArray[np.float32]

    @classmethod
    def among(cls, vectors: UnitRows) -> NeighbourVotes:
        """Search the neighbours.

        Args:
            vectors: N unit rows.
        """
        found = neighbours_among_all(vectors, NEIGHBOURS)
        weights = np.exp((found.similarities - found.similarities[:, :1]) / _VOTE_TEMPERATURE)
        # A row of zeros is an unknown tile: it has no neighbours and is none.
        weights *= (found.rows >= 0) & (found.similarities != 0)
        total = weights.sum(axis=1, keepdims=True)
        return cls(found.rows, (weights / np.maximum(total, 1e-12)).astype(np.float32))

    def class_scores(self, posterior: Scores) -> Scores:
        """See `Classifier.class_scores`."""
        return np.asfortranarray(np.log(self.shares(posterior) + NO_VOTE))

    def shares(self, posterior: Scores) -> Scores:
        """Count the votes.

        Args:
            posterior: (N, K) probabilities of the tiles' classes; a row of zeros does not vote.

        Returns:
            (N, K) float64 share of the votes for every class; rows sum to 1, or 0 without votes.
        """
        votes = self._matrix @ np.ascontiguousarray(posterior, np.float64)
        return np.asarray(votes / np.maximum(votes.sum(axis=1, keepdims=True), 1e-12))

    @cached_property
    def _matrix(self) -> csr_array:
        """(N, N) sparse float64 weights of the neighbours."""
        from scipy.sparse import csr_array

        count, each = self.neighbours.shape
        # A neighbour that is missing is row −1 with weight 0.
        columns, ends = np.maximum(self.neighbours, 0), np.arange(0, count * each + 1, each)
        weights = self.weights.astype(np.float64)
        return csr_array((weights.ravel(), columns.ravel(), ends), shape=(count, count))


@dataclass(frozen=True)
class Restricted:
    """A classifier for some of the tiles; the others get equal scores.

    Attributes:
        classifier: of N tiles.
        rows: (N,) bool, the tiles that it scores.
    """

    classifier: Classifier
    rows: NDArray[np.bool_]

    def class_scores(self, posterior: Scores) -> Scores:
        """See `Classifier.class_scores`."""
        return np.where(self.rows[:, None], self.classifier.class_scores(posterior), 0.0)


@dataclass(frozen=True)
class FixedScores:
    """Scores that do not depend on the posteriors, such as w_c·v_i of a trained model.

    Attributes:
        scores: (N, K) float64.
    """

    scores: Scores

    def class_scores(self, posterior: Scores) -> Scores:
        """See `Classifier.class_scores`."""
        return self.scores
