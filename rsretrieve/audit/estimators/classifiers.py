"""Classifiers that score the classes of a tile from the posteriors of the *other* tiles.

A tile's own label must not influence its scores; otherwise the label would confirm itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rsretrieve.audit.estimators.candidates import Scores, softmax
from rsretrieve.audit.estimators.neighbors import neighbours_among_all
from rsretrieve.audit.estimators.unit_vectors import UnitRows

NEIGHBOURS = 15
_VOTE_TEMPERATURE = 0.1
NO_VOTE = 0.02
_SHRINKAGE = 0.1
_RIDGE, _LOGISTIC_STEPS, _CONSTANT = 3.0, 25, 0.3
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
        scatters = self._scatters if (used == self._known).all() else self._scatters_of(used)
        moments = [self._moments(posterior, used, fold) for fold in self._folds]
        scores = np.zeros(posterior.shape, order="F")
        for fold in self._folds:
            scored, rows = self._rows_of_folds[fold]
            others = [f for f in self._folds if f != fold]
            weights, offsets = discriminant(
                np.sum([scatters[f] for f in others], axis=0),
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
    def _scatters(self) -> list[NDArray[np.float64]]:
        return self._scatters_of(self._known)

    def _scatters_of(self, used: NDArray[np.bool_]) -> list[NDArray[np.float64]]:
        """Σ v·vᵀ of the rows of each fold."""
        folds = [self.rows[used & (self.folds == fold)] for fold in self._folds]
        return [np.asarray(rows.T @ rows, np.float64) for rows in folds]

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
    weights = np.linalg.solve(covariance, means.T).T
    offsets = np.log((sizes + 1) / (sizes + 1).sum()) - (weights * means).sum(axis=1) / 2
    return weights, offsets


@dataclass(frozen=True)
class Logistic:
    """Cross-fitted multinomial logistic regression with a ridge penalty.

    It maximises Σ_i Σ_c q_ic log p_ic − ‖W‖² / 6 over the tiles of the *other* folds by 25
    accelerated steps (Nesterov 1983) of Böhning's bound of the curvature (1992), which needs one
    inverse per fold.

    Attributes:
        rows: (N, D) float32; rows of zeros are unknown and get equal scores.
        folds: (N,) int64 fold of each tile.
    """

    rows: NDArray[np.float32]
    folds: NDArray[np.int64]

    def class_scores(self, posterior: Scores) -> Scores:
        """See `Classifier.class_scores`."""
        known = np.asarray(self.rows.any(axis=1))
        used = known & posterior.any(axis=1)
        constant = np.full((len(self.rows), 1), _CONSTANT)
        inputs = np.hstack([self.rows.astype(np.float64), constant])
        scores = np.zeros(posterior.shape, order="F")
        for fold in range(int(self.folds.max()) + 1):
            others = used & (self.folds != fold)
            weights = logistic_weights(inputs[others], posterior[others])
            scored = known & (self.folds == fold)
            scores[scored] = inputs[scored] @ weights
        return scores


def logistic_weights(inputs: NDArray[np.float64], posterior: Scores) -> NDArray[np.float64]:
    """The weights of a multinomial logistic regression; see `Logistic`.

    Args:
        inputs: (n, D) float64.
        posterior: (n, K) probabilities of the classes; rows sum to 1.

    Returns:
        (D, K) float64.
    """
    bound = np.linalg.inv(inputs.T @ inputs / 2 + np.eye(inputs.shape[1]) / _RIDGE)
    weights = ahead = np.zeros((inputs.shape[1], posterior.shape[1]))
    momentum = 1.0
    for _ in range(_LOGISTIC_STEPS):
        # Sums over columns are several times as fast in this memory order.
        p = softmax((ahead.T @ inputs.T).T)
        gradient = inputs.T @ (posterior - p) - ahead / _RIDGE
        before, weights = weights, ahead + bound @ gradient
        following = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        ahead = weights + (momentum - 1) / following * (weights - before)
        momentum = following
    return weights


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
        votes, one = np.zeros(posterior.shape), np.empty(posterior.shape)
        by_rows = np.ascontiguousarray(posterior, np.float64)
        for rows, weights in zip(self.neighbours.T, self.weights.T):
            # A neighbour that is missing is row −1 with weight 0.
            np.take(by_rows, rows, axis=0, out=one, mode="wrap")
            one *= weights[:, None]
            votes += one
        return np.asarray(votes / np.maximum(votes.sum(axis=1, keepdims=True), 1e-12))


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
