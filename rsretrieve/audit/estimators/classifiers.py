"""Views of tiles: what speaks for which class, given what is believed of the other tiles.

Each gives a score for every tile and class, higher for likelier ones, from what is believed
of *other* tiles: nothing that a tile's own label taught may vouch for that label.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rsretrieve.audit.estimators.neighbors import nearest_neighbours
from rsretrieve.audit.estimators.unit_vectors import UnitRows

Scores = NDArray[np.float32]

NEIGHBOURS = 15
_VOTE_TEMPERATURE = 0.1
_NO_VOTE = 0.02
_SHRINKAGE = 0.1
_SEED = 5


class View(Protocol):
    """Something that has an opinion on every tile."""

    def opinions(self, belief: Scores) -> Scores:
        """Score all classes for all tiles.

        Args:
            belief: (N, K) probabilities of the tiles' classes, rows summing to 1.

        Returns:
            (N, K); a row of equal scores is no opinion.
        """
        ...


def folds_of(labels: NDArray[np.int64], folds: int) -> NDArray[np.int64]:
    """Deal the tiles of every class out to folds, by a fixed shuffle: (N,) 0…folds − 1."""
    rng = np.random.default_rng(_SEED)
    shuffled = rng.permutation(len(labels))
    dealt = np.empty(len(labels), np.int64)
    dealt[shuffled[np.argsort(labels[shuffled], kind="stable")]] = np.arange(len(labels)) % folds
    return dealt


@dataclass(frozen=True)
class Discriminant:
    """Class means under one shared covariance, cross-fitted (linear discriminant analysis).

    score_ic = v_i·Σ⁻¹μ_c − ½ μ_c·Σ⁻¹μ_c + log π_c, where means μ, covariance Σ (a tenth of it
    shrunk to a sphere) and sizes π are of the tiles of the *other* folds, each counted for
    every class by as much as it is believed to be of it.

    Attributes:
        rows: (N, D) float32; rows of zeros are unknown, and get no opinion.
        folds: (N,) each tile's fold.
    """

    rows: NDArray[np.float32]
    folds: NDArray[np.int64]

    def opinions(self, belief: Scores) -> Scores:
        """See `View.opinions`."""
        scores = np.zeros(belief.shape, np.float32)
        for fold in range(int(self.folds.max()) + 1):
            judged = self._known & (self.folds == fold)
            others = self._known & (self.folds != fold)
            weights, offsets = _discriminant(self.rows[others], belief[others])
            scores[judged] = self.rows[judged] @ weights.T + offsets
        return scores

    @cached_property
    def _known(self) -> NDArray[np.bool_]:
        return np.asarray(self.rows.any(axis=1))


def _discriminant(rows: NDArray[np.float32], belief: Scores) -> tuple[Scores, Scores]:
    """(K, D) weights and (K,) offsets of the classes' scores."""
    sizes = belief.sum(axis=0, dtype=np.float64)
    overall = rows.mean(axis=0, dtype=np.float64)
    # A class that hardly anybody is believed to be of lies in the middle of all.
    means = (belief.T.astype(np.float64) @ rows + overall) / (sizes[:, None] + 1)
    covariance = rows.T.astype(np.float64) @ rows - (means.T * sizes) @ means
    covariance /= max(1, len(rows))
    spread = np.trace(covariance) / len(covariance)
    covariance *= 1 - _SHRINKAGE
    covariance[np.diag_indices_from(covariance)] += _SHRINKAGE * spread + 1e-9
    weights = np.linalg.solve(covariance, means.T).T
    offsets = np.log((sizes + 1) / (sizes + 1).sum()) - (weights * means).sum(axis=1) / 2
    return weights.astype(np.float32), offsets.astype(np.float32)


@dataclass(frozen=True)
class Votes:
    """What a tile's 15 nearest others are believed to be.

    score_ic = log(Σ_j w_ij belief_jc + 0.02)

    A vote weighs exp(s / 0.1), s its cosine; a tile's votes sum to 1.

    Attributes:
        neighbours: (N, k) rows; −1 for none.
        weights: (N, k) float32.
    """

    neighbours: NDArray[np.int64]
    weights: NDArray[np.float32]

    @classmethod
    def among(cls, vectors: UnitRows, groups: NDArray[np.int64]) -> Votes:
        """Look for neighbours; `groups` as `nearest_neighbours` takes them."""
        found = nearest_neighbours(vectors, groups, NEIGHBOURS)
        weights = np.exp((found.similarities - found.similarities[:, :1]) / _VOTE_TEMPERATURE)
        # A row of zeros is like nobody, and nobody is like it.
        weights *= (found.rows >= 0) & (found.similarities != 0)
        total = weights.sum(axis=1, keepdims=True)
        return cls(found.rows, (weights / np.maximum(total, 1e-12)).astype(np.float32))

    def opinions(self, belief: Scores) -> Scores:
        """See `View.opinions`."""
        return np.asarray(np.log(self.shares(belief) + np.float32(_NO_VOTE)))

    def shares(self, belief: Scores) -> Scores:
        """(N, K) the votes for every class."""
        votes = np.zeros(belief.shape, np.float32)
        for rows, weights in zip(self.neighbours.T, self.weights.T):
            votes += weights[:, None] * belief[rows]
        return votes


@dataclass(frozen=True)
class Only:
    """A view's opinions on some tiles; of the others it has none.

    Attributes:
        view: of N tiles.
        rows: (N,) bool, the tiles it is asked about.
    """

    view: View
    rows: NDArray[np.bool_]

    def opinions(self, belief: Scores) -> Scores:
        """See `View.opinions`."""
        return np.where(self.rows[:, None], self.view.opinions(belief), np.float32(0))


@dataclass(frozen=True)
class Prototypical:
    """What a trained model says: score_ic = w_c·v_i, whatever is believed of others.

    Attributes:
        similarities: (N, K) float32 cosines to the model's prototypes.
    """

    similarities: Scores

    def opinions(self, belief: Scores) -> Scores:
        """See `View.opinions`."""
        return self.similarities
