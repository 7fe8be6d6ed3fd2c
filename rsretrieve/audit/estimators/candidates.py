"""The classes whose scores are kept for each tile: all of them, or the few likely ones.

A matrix of a million tiles and a thousand classes has a billion values, almost all of them near
zero. Of so many, only the scores of a few likely classes are kept for each tile, and one column
for the rest. It holds the score of an average class of the rest. Its probability is that of all of
them together.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[Any]
"""(N, C) float64 if all classes are kept, else float32."""

Labels = NDArray[np.int64]
Transitions = NDArray[np.float64]

_LEAST = 1e-12


@dataclass(frozen=True)
class AllClasses:
    """Every class has a column.

    Attributes:
        classes: number of classes, K; also that of columns, C.
    """

    classes: int

    @property
    def columns(self) -> int:
        """Number of columns, C."""
        return self.classes

    @property
    def likely(self) -> slice:
        """The columns that belong to one class each."""
        return slice(0, self.classes)

    @property
    def log_sizes(self) -> NDArray[np.float32] | None:
        """(C,) logarithm of the number of classes in each column; None for zeros."""
        return None

    def columns_of(self, labels: Labels) -> Labels:
        """(N,) the column of one class of each tile."""
        return labels

    def classes_of(self, columns: Labels) -> Labels:
        """(N, m) the classes of some columns (N, m) of each tile."""
        return columns

    def shares(self, posterior: Scores) -> NDArray[np.float64]:
        """(K,) float64 mean probability of each class."""
        return np.asarray(posterior.mean(axis=0), np.float64)

    def likelihood(
        self, transitions: Transitions, labels: Labels, rows: Labels | slice = slice(None)
    ) -> Scores:
        """How likely the labels are, for tiles of each class.

        Args:
            transitions: (K, K) float64 T, row true class, column given label.
            labels: (N,) int64 given labels.
            rows: the n tiles.

        Returns:
            (n, C) T_{t,y}.
        """
        return np.asarray(transitions[:, labels[rows]].T)

    def count(
        self, labels: Labels, posterior: Scores, rows: NDArray[np.bool_] | slice = slice(None)
    ) -> NDArray[np.float64]:
        """Add up the probabilities of the tiles with each label.

        Args:
            labels: (N,) int64 class numbers.
            posterior: (N, C).
            rows: the tiles to count.

        Returns:
            (K, K) float64, row label, column class.
        """
        given = labels[rows]
        columns = posterior[rows].T
        counts = [np.bincount(given, each, self.classes) for each in columns]
        return np.stack(counts, axis=1)


@dataclass(frozen=True)
class LikelyClasses:
    """A few classes of each tile have a column, and all the others one together.

    Attributes:
        classes: number of classes, K.
        numbers: (N, S) int32, the likely classes of N tiles, different ones in each row; S < K.
    """

    classes: int
    numbers: NDArray[np.int32]

    @property
    def columns(self) -> int:
        """Number of columns, C = S + 1."""
        return int(self.numbers.shape[1]) + 1

    @property
    def rest(self) -> int:
        """Number of classes that share the last column."""
        return self.classes - int(self.numbers.shape[1])

    @property
    def likely(self) -> slice:
        """See `AllClasses.likely`."""
        return slice(0, self.numbers.shape[1])

    @cached_property
    def log_sizes(self) -> NDArray[np.float32] | None:
        """See `AllClasses.log_sizes`."""
        sizes = np.zeros(self.columns, np.float32)
        sizes[-1] = np.log(self.rest)
        return sizes

    def columns_of(self, labels: Labels) -> Labels:
        """See `AllClasses.columns_of`; each label must be a likely class of its tile."""
        return np.asarray((self.numbers == labels[:, None]).argmax(axis=1), np.int64)

    def classes_of(self, columns: Labels) -> Labels:
        """See `AllClasses.classes_of`."""
        return np.take_along_axis(self.numbers, columns, 1).astype(np.int64)

    def shares(self, posterior: Scores) -> NDArray[np.float64]:
        """See `AllClasses.shares`."""
        sums = self.count(np.zeros(len(posterior), np.int64), posterior)[0]
        return np.asarray(sums / len(posterior))

    def likelihood(
        self, transitions: Transitions, labels: Labels, rows: Labels | slice = slice(None)
    ) -> Scores:
        """See `AllClasses.likelihood`."""
        given, numbers = labels[rows], self.numbers[rows]
        found = np.empty((len(given), self.columns), np.float32)
        # One row per label: T is small enough for the cache, and read by rows.
        found[:, :-1] = transitions.astype(np.float32).T[given[:, None], numbers]
        others = transitions.sum(axis=0)[given] - found[:, :-1].sum(axis=1, dtype=np.float64)
        found[:, -1] = np.maximum(others / self.rest, _LEAST)
        return found

    def count(
        self, labels: Labels, posterior: Scores, rows: NDArray[np.bool_] | slice = slice(None)
    ) -> NDArray[np.float64]:
        """See `AllClasses.count`; the rest is shared equally by its classes."""
        given, numbers, chosen = labels[rows], self.numbers[rows], posterior[rows]
        of_each = chosen[:, -1].astype(np.float64) / self.rest
        counts = np.zeros(self.classes**2)
        for column, values in zip(numbers.T, chosen[:, :-1].T):
            counts += np.bincount(given * self.classes + column, values - of_each, len(counts))
        shared = np.bincount(given, of_each, self.classes)
        return np.maximum(counts.reshape(self.classes, self.classes) + shared[:, None], 0)


Candidates = AllClasses | LikelyClasses


def certain_posterior(candidates: Candidates, labels: Labels) -> Scores:
    """(N, C) probability 1 of one class of each tile."""
    if isinstance(candidates, AllClasses):
        return np.asarray(np.eye(candidates.classes)[labels])
    found = np.zeros((len(labels), candidates.columns), np.float32)
    found[np.arange(len(labels)), candidates.columns_of(labels)] = 1
    return found


def posterior_of_label(candidates: Candidates, transitions: Transitions, labels: Labels) -> Scores:
    """(N, C) probability of the classes of tiles of which nothing but the label is known."""
    given = candidates.likelihood(transitions, labels)
    if candidates.log_sizes is not None:
        given *= np.exp(candidates.log_sizes)
    return np.asarray(given / transitions.sum(axis=0)[labels].astype(given.dtype)[:, None])


def log_softmax(scores: Scores, log_sizes: NDArray[np.float32] | None = None) -> Scores:
    """The log probability of a class of each column.

    Args:
        scores: (N, C).
        log_sizes: (C,) logarithm of the number of classes in each column; None for zeros.

    Returns:
        (N, C), of the type of `scores`.
    """
    shifted = scores - scores.max(axis=1, keepdims=True)
    grouped = shifted if log_sizes is None else shifted + log_sizes
    return np.asarray(shifted - np.log(np.exp(grouped).sum(axis=1, keepdims=True)))


def softmax(scores: Scores, log_sizes: NDArray[np.float32] | None = None) -> Scores:
    """The probability of all classes of each column together.

    Args:
        scores: (N, C).
        log_sizes: (C,) logarithm of the number of classes in each column; None for zeros.

    Returns:
        (N, C), of the type of `scores`; rows sum to 1.
    """
    shifted = scores - scores.max(axis=1, keepdims=True)
    grouped = np.exp(shifted if log_sizes is None else shifted + log_sizes)
    grouped /= grouped.sum(axis=1, keepdims=True)
    return np.asarray(grouped)
