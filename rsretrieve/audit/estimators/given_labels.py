"""The given labels of an audit, and the classes that a person confirmed for some of the tiles.

A confirmed class is a known example. A person is one more labeller, whose class is right with a
probability of 0.98. Where the pictures contradict a decision strongly, the fit does not follow it.
A few wrong decisions thus do not disturb the estimate for other tiles. The result follows every
decision.

If the label before the decision is known, the pair of class and label counts for the confusion
matrix, like that of any other tile. Reviewers look at the labels that are most probably wrong, but
which tiles they look at depends only on what the model knows, so this does not bias the matrix.
Without the label before the decision, the tile does not count for the matrix.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from rsretrieve.audit.estimators.candidates import Scores

NOT_CONFIRMED = -1
LOG_CERTAIN_CLASS = 100.0
_REVIEWER_ERROR = 0.02


@dataclass(frozen=True)
class Decisions:
    """The classes that a person confirmed for some of N tiles.

    Attributes:
        confirmed: (N,) int64 class that a person confirmed, or `NOT_CONFIRMED`.
        is_original: (N,) bool, the label from before the decision is known.
    """

    confirmed: NDArray[np.int64]
    is_original: NDArray[np.bool_]

    def taken(self, rows: NDArray[np.int64]) -> Decisions:
        """Those of some of the tiles."""
        return Decisions(self.confirmed[rows], self.is_original[rows])


@dataclass(frozen=True)
class GivenLabels:
    """N given labels, some of which a person decided on.

    Attributes:
        labels: (N,) int64 class numbers, as they were before a person decided on any; the
            confirmed class where that label is unknown.
        confirmed, is_original: see `Decisions`.
    """

    labels: NDArray[np.int64]
    confirmed: NDArray[np.int64]
    is_original: NDArray[np.bool_]

    @classmethod
    def of(cls, labels: NDArray[np.int64], decisions: Decisions | None) -> GivenLabels:
        """Join labels and decisions; None: nobody decided on any label."""
        if decisions is not None:
            return cls(labels, decisions.confirmed, decisions.is_original)
        return cls(labels, np.full(len(labels), NOT_CONFIRMED), np.ones(len(labels), bool))

    @property
    def decisions(self) -> Decisions:
        """The classes that a person confirmed."""
        return Decisions(self.confirmed, self.is_original)

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def is_open(self) -> NDArray[np.bool_]:
        """(N,) bool, nobody decided on the label."""
        return np.asarray(self.confirmed == NOT_CONFIRMED)

    @cached_property
    def current(self) -> NDArray[np.int64]:
        """(N,) int64 the labels after the decisions."""
        return np.where(self.is_open, self.labels, self.confirmed)

    @property
    def open_count(self) -> int:
        """Number of labels that nobody decided on; 1 if there are none."""
        return max(1, int(self.is_open.sum()))

    @property
    def open_share(self) -> float:
        """The share of the labels that nobody decided on."""
        return float(self.is_open.mean())

    @property
    def found_wrong(self) -> int:
        """Number of labels that were wrong before a person decided on them."""
        return int((~self.is_open & (self.labels != self.confirmed)).sum())

    def rate_of_open(self, rate: float) -> float:
        """The noise rate of the labels that nobody decided on.

        Args:
            rate: of all labels before any decision.
        """
        if self.is_open.all():
            return rate
        left = rate * int(self.is_original.sum()) - self.found_wrong
        return float(np.clip(left / self.open_count, 0, 1))

    def with_reviewer(self, log_odds: Scores, columns: NDArray[np.int64]) -> Scores:
        """Add what a person says about a class, who errs in 2 % of the decisions.

        Args:
            log_odds: (N, C) by all the rest.
            columns: (N,) int64 the column of the label after the decisions.

        Returns:
            (N, C), with log(0.98 · (C − 1) / 0.02) added for each confirmed class.
        """
        if self.is_open.all():
            return log_odds
        rows = np.flatnonzero(~self.is_open)
        others = max(1, log_odds.shape[1] - 1)
        found = log_odds.copy()
        found[rows, columns[rows]] += np.log((1 - _REVIEWER_ERROR) * others / _REVIEWER_ERROR)
        return found

    def with_confirmed_odds(self, log_odds: Scores, columns: NDArray[np.int64]) -> Scores:
        """(N, C) log odds, certain where a person confirmed the class; see `with_reviewer`."""
        if self.is_open.all():
            return log_odds
        rows = np.flatnonzero(~self.is_open)
        certain = log_odds.copy()
        certain[rows] = -LOG_CERTAIN_CLASS
        certain[rows, columns[rows]] = 0
        return certain
