"""Tiles to hold a doubtful one against: the nearest with its own label, and with the suggested."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsretrieve.audit.estimators.unit_vectors import UnitRows

PER_CLASS = 3
_MOST_OF_A_CLASS = 5_000


@dataclass(frozen=True)
class Exemplars:
    """The tiles that stand for classes.

    Attributes:
        rows: class number → rows of its trusted tiles, (n,) int64.
        vectors: of all tiles.
    """

    rows: Mapping[int, NDArray[np.int64]]
    vectors: UnitRows

    @classmethod
    def trusted(
        cls, vectors: UnitRows, labels: NDArray[np.int64], trusted: NDArray[np.bool_]
    ) -> Exemplars:
        """Those with whose label nothing seems wrong; of a large class an even sample."""
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
        self, asking: NDArray[np.int64], classes: NDArray[np.int64]
    ) -> list[tuple[int, ...]]:
        """For every asking row, the nearest three trusted tiles of its class of choice.

        Args:
            asking: (n,) rows of tiles.
            classes: (n,) the class to look in for each.
        """
        found: list[tuple[int, ...]] = [()] * len(asking)
        for number in np.unique(classes).tolist():
            positions = np.flatnonzero(classes == number)
            members = self.rows.get(number, np.empty(0, np.int64))
            if not len(members):
                continue
            similarities = self.vectors[asking[positions]] @ self.vectors[members].T
            similarities[asking[positions][:, None] == members[None, :]] = -2  # not itself
            best = np.argsort(-similarities, axis=1, kind="stable")[:, :PER_CLASS]
            for position, row, columns in zip(positions.tolist(), similarities, best):
                found[position] = tuple(int(members[c]) for c in columns if row[c] > -2)
        return found
