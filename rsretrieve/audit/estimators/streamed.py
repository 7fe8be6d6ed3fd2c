"""Classifiers of a set that is too large for a score of every tile and class.

They compute the same scores as those in `classifiers`, block by block, and keep those of the
likely classes of each tile.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from rsretrieve.audit.estimators.candidates import LikelyClasses, Scores, certain_posterior
from rsretrieve.audit.estimators.classifiers import NO_VOTE, NeighbourVotes, discriminant
from rsretrieve.audit.estimators.linear_scores import LinearScores, blocks, blocks_of_rows
from rsretrieve.audit.estimators.unit_vectors import UnitRows

_BY_VOTES = 4
_NEGLIGIBLE = 1e-5

Labels = NDArray[np.int64]


@dataclass(frozen=True)
class StreamedDiscriminant:
    """See `classifiers.Discriminant`.

    Attributes:
        vectors: N rows; rows of zeros are unknown and get equal scores.
        folds: (N,) int64 fold of each tile.
        candidates: the likely classes of each tile.
    """

    vectors: UnitRows
    folds: Labels
    candidates: LikelyClasses

    def class_scores(self, posterior: Scores) -> Scores:
        """See `Classifier.class_scores`."""
        scores = np.zeros(posterior.shape, np.float32)
        for rows, linear in zip(self._rows_of_folds, self._fitted(posterior)):
            linear.put(self.vectors, rows, self.candidates, scores)
        return scores

    def best(self, posterior: Scores, count: int) -> NDArray[np.int32]:
        """(N, count) int32, the classes with the highest scores, the best first."""
        found = np.tile(np.arange(count, dtype=np.int32), (len(self.folds), 1))
        for rows, linear in zip(self._rows_of_folds, self._fitted(posterior)):
            for chosen in blocks(rows, self.vectors.dimensions):
                found[chosen] = linear.best(self.vectors[chosen], count)
        return found

    def _fitted(self, posterior: Scores) -> Iterator[LinearScores]:
        """The discriminant of each fold, fitted to the others."""
        moments = [self._moments(posterior, rows) for rows in self._rows_of_folds]
        for fold in range(len(moments)):
            others = [each for number, each in enumerate(moments) if number != fold]
            sums = (np.sum(parts, axis=0) for parts in zip(*others))
            yield LinearScores.of(*discriminant(*sums))

    @cached_property
    def _rows_of_folds(self) -> Sequence[Labels]:
        known = np.concatenate(
            [
                self.vectors[rows].any(axis=1)
                for rows in blocks_of_rows(len(self.vectors), self.vectors.dimensions)
            ]
        )
        folds = range(int(self.folds.max()) + 1)
        return [np.flatnonzero(known & (self.folds == fold)) for fold in folds]

    def _moments(
        self, posterior: Scores, rows: Labels
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """(D, D) sum of v·vᵀ, (K,) sizes of the classes, and (K, D) sums of their rows."""
        classes, dimensions = self.candidates.classes, self.vectors.dimensions
        scatter, sizes = np.zeros((dimensions, dimensions)), np.zeros(classes)
        sums = np.zeros((classes, dimensions))
        for chosen in blocks(rows, dimensions):
            is_used = np.asarray(posterior[chosen].any(axis=1))
            vectors = self.vectors[chosen] * is_used[:, None]
            weights, of_each = sparse(posterior[chosen], self.candidates, chosen)
            scatter += vectors.T @ vectors
            sizes += weights.sum(axis=0) + of_each.sum(dtype=np.float64)
            sums += weights.T @ vectors + of_each @ vectors
        return scatter, sizes, sums


@dataclass(frozen=True)
class StreamedVotes:
    """See `classifiers.NeighbourVotes`.

    Attributes:
        votes: the neighbours and their weights.
        candidates: the likely classes of each tile.
    """

    votes: NeighbourVotes
    candidates: LikelyClasses

    def class_scores(self, posterior: Scores) -> Scores:
        """See `Classifier.class_scores`."""
        found = self.shares(posterior)
        found += np.float32(NO_VOTE)
        return np.log(found, out=found)

    def shares(self, posterior: Scores) -> Scores:
        """Count the votes.

        Args:
            posterior: (N, C) probabilities of the tiles' classes; a row of zeros does not vote.

        Returns:
            (N, C) float32 share of the votes for a class of each column.
        """
        neighbours, weights = self.votes.neighbours, self.votes.weights
        counted, of_each = sparse(posterior, self.candidates, slice(None))
        votes_at_all = np.asarray(posterior.any(axis=1), np.float32)
        found = np.empty(posterior.shape, np.float32)
        for rows in blocks(np.arange(len(found)), self.candidates.classes):
            near, weight = neighbours[rows], weights[rows]
            total = np.asarray((weight * votes_at_all[near]).sum(axis=1))
            matrix = _matrix(weight, near, len(posterior))
            votes = (matrix @ counted).toarray()
            votes = np.take_along_axis(votes, self.candidates.numbers[rows], 1)
            found[rows, :-1] = votes + (weight * of_each[near]).sum(axis=1, keepdims=True)
            others = total - found[rows, :-1].sum(axis=1)
            found[rows, -1] = np.maximum(others, 0) / self.candidates.rest
            found[rows] /= np.maximum(total, 1e-12)[:, None]
        return found


def scores_of_prototypes(
    vectors: UnitRows,
    prototypes: NDArray[np.float32],
    temperature: float,
    candidates: LikelyClasses,
) -> Scores:
    """The logarithms of the softmax over the prototypes, but for a constant of each tile.

    Args:
        vectors: N unit rows.
        prototypes: (K, D) float32, unit rows.
        temperature: σ of the softmax.
        candidates: the likely classes of each tile.

    Returns:
        (N, C) float32.
    """
    scores = np.empty((len(vectors), candidates.columns), np.float32)
    linear = LinearScores.of(prototypes / temperature, np.zeros(len(prototypes)))
    linear.put(vectors, np.arange(len(vectors)), candidates, scores)
    return scores


def most_similar_classes(
    vectors: UnitRows, labels: Labels, folds: Labels, classes: int, count: int
) -> NDArray[np.int32]:
    """The classes with the highest scores of a discriminant that is fitted to the labels.

    Args:
        vectors: N unit rows.
        labels: (N,) int64 class numbers of the given labels.
        folds: (N,) int64 fold of each tile.
        classes: K.
        count: how many.

    Returns:
        (N, count) int32, the best first.
    """
    posterior, given, _ = _certain(labels, classes)
    return StreamedDiscriminant(vectors, folds, given).best(posterior, count)


def likely_classes(
    always: Sequence[Labels],
    votes: NeighbourVotes,
    labels: Labels,
    best: NDArray[np.int32],
    classes: int,
) -> LikelyClasses:
    """Choose the classes of each tile whose scores are kept.

    Args:
        always: (N,) int64 classes that are always kept.
        votes: the neighbours; the labels with most of their votes are kept.
        labels: (N,) int64 class numbers of the given labels.
        best: (N, S) int32 classes with the highest scores of a discriminant, best first.
        classes: K.
    """
    given, _ = sparse(*_certain(labels, classes))
    chosen = np.empty(best.shape, np.int32)
    for rows in blocks_of_rows(len(best), classes):
        voted = _matrix(votes.weights[rows], votes.neighbours[rows], len(labels)) @ given
        columns = [each[rows].astype(np.int32)[:, None] for each in always]
        every = np.concatenate([*columns, _most_voted(voted), best[rows]], axis=1)
        chosen[rows] = _first_different(every, best.shape[1])
    return LikelyClasses(classes, chosen)


def _certain(labels: Labels, classes: int) -> tuple[Scores, LikelyClasses, slice]:
    """The posterior of the given labels, as `sparse` takes it."""
    given = LikelyClasses(classes, labels.astype(np.int32)[:, None])
    return certain_posterior(given, labels), given, slice(None)


def sparse(
    posterior: Scores, candidates: LikelyClasses, rows: Labels | slice
) -> tuple[csr_array, NDArray[Any]]:
    """Split a posterior in what the likely classes have more than those of the rest, and that.

    Args:
        posterior: (n, C).
        candidates: the likely classes of N tiles.
        rows: which of the N tiles these n are.

    Returns:
        (n, K) sparse float32, and (n,) float32 to add to all K values of each row.
    """
    of_each = posterior[:, -1] / np.float32(candidates.rest)
    values = posterior[:, :-1] - of_each[:, None]
    values[np.abs(values) < _NEGLIGIBLE] = 0
    ends = np.arange(0, values.size + 1, values.shape[1])
    numbers = candidates.numbers[rows].ravel()
    found = csr_array((values.ravel(), numbers, ends), shape=(len(values), candidates.classes))
    found.eliminate_zeros()
    return found, of_each


def _matrix(weights: NDArray[np.float32], neighbours: Labels, columns: int) -> csr_array:
    """(n, N) sparse weights of the neighbours."""
    ends = np.arange(0, weights.size + 1, weights.shape[1])
    # A neighbour that is missing is row −1 with weight 0.
    rows = np.maximum(neighbours, 0).astype(np.int32).ravel()
    return csr_array((weights.ravel(), rows, ends), shape=(len(weights), columns))


def _most_voted(votes: csr_array) -> NDArray[np.int32]:
    """(n, 4) int32, the classes with most votes; some class where there are fewer."""
    dense = votes.toarray()
    found = np.empty((len(dense), _BY_VOTES), np.int32)
    rows = np.arange(len(dense))
    for column in range(_BY_VOTES):
        found[:, column] = dense.argmax(axis=1)
        dense[rows, found[:, column]] = 0
    return found


def _first_different(numbers: NDArray[np.int32], count: int) -> NDArray[np.int32]:
    """(n, count) the first numbers of each row, each of them once."""
    is_new = np.ones(numbers.shape, bool)
    for column in range(1, numbers.shape[1]):
        is_new[:, column] = (numbers[:, :column] != numbers[:, column : column + 1]).all(axis=1)
    order = np.argsort(~is_new, axis=1, kind="stable")[:, :count]
    return np.take_along_axis(numbers, order, 1)
