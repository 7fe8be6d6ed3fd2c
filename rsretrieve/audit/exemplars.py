"""Tiles to compare a doubtful one with: the nearest of its given and of its suggested label."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsretrieve.audit.estimators.unit_vectors import UnitRows

PER_CLASS = 3
_MOST_OF_A_CLASS = 5_000
_AT_ONCE = 1_000  # queries


@dataclass(frozen=True)
class Exemplars:
    """Trusted tiles of every class.

    Attributes:
        rows: class number → (n,) int64 rows of its trusted tiles.
        vectors: of all tiles.
    """

    rows: Mapping[int, NDArray[np.int64]]
    vectors: UnitRows

    @classmethod
    def trusted(
        cls, vectors: UnitRows, labels: NDArray[np.int64], trusted: NDArray[np.bool_]
    ) -> Exemplars:
        """Collect the trusted tiles; of a large class an even sample.

        Args:
            vectors: N unit rows.
            labels: (N,) int64 class numbers of the given labels.
            trusted: (N,) bool, tiles that need no review.
        """
        rows = np.flatnonzero(trusted)
        rows = rows[np.argsort(labels[rows], kind="stable")]
        present, starts = np.unique(labels[rows], return_index=True)
        members = np.split(rows, starts[1:]) if len(rows) else []
        return cls(
            {
                int(number): part[:: max(1, len(part) // _MOST_OF_A_CLASS)]
                for number, part in zip(present, members)
            },
            vectors,
        )

    def nearest(
        self, queries: NDArray[np.int64], classes: NDArray[np.int64]
    ) -> list[tuple[int, ...]]:
        """Find the nearest three trusted tiles of a class for every query.

        Args:
            queries: (n,) int64 rows of tiles.
            classes: (n,) int64 the class to search for each.

        Returns:
            n tuples of up to three rows, nearest first.
        """
        found: list[tuple[int, ...]] = [()] * len(queries)
        for number in np.unique(classes).tolist():
            positions = np.flatnonzero(classes == number)
            members = self.rows.get(number, np.empty(0, np.int64))
            if not len(members):
                continue
            for start in range(0, len(positions), _AT_ONCE):
                block = positions[start : start + _AT_ONCE]
                for position, near in zip(block.tolist(), self._nearest(queries[block], members)):
                    found[position] = near
        return found

    def _nearest(
        self, queries: NDArray[np.int64], members: NDArray[np.int64]
    ) -> Iterator[tuple[int, ...]]:
        similarities = self.vectors[queries] @ self.vectors[members].T
        similarities[queries[:, None] == members[None, :]] = -2  # not itself
        best = np.argsort(-similarities, axis=1, kind="stable")[:, :PER_CLASS]
        for row, columns in zip(similarities, best):
            yield tuple(int(members[c]) for c in columns if row[c] > -2)
