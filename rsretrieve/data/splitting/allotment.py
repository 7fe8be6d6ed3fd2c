"""Allot groups of tiles to parts, so that every class comes close to the wanted fractions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsretrieve._core.seeded_random import hash_uniform
from rsretrieve.data.splitting.joined_groups import Rows

_TRIALS, _MANY_GROUPS, _PASSES = 8, 2000, 3

Counts = NDArray[np.float64]


@dataclass(frozen=True)
class Allotment:
    """N tiles that are to be allotted.

    Attributes:
        ids: the ids of the tiles, which decide together with the seed.
        classes: (N,) class numbers.
        fractions: (P,) the wanted share of each part; they sum to 1.
        seed: any integer.
    """

    ids: Sequence[str]
    classes: Rows
    fractions: NDArray[np.float64]
    seed: int

    @property
    def class_count(self) -> int:
        """K."""
        return int(self.classes.max(initial=-1)) + 1

    def counts(self, parts: Rows) -> Counts:
        """(P, K) the tiles of each class in each part; a part of −1 counts nowhere."""
        shape = len(self.fractions), self.class_count
        known = parts >= 0
        keys = parts[known] * shape[1] + self.classes[known]
        return np.bincount(keys, minlength=shape[0] * shape[1]).reshape(shape).astype(float)

    def whole_groups(self, groups: Rows, parts: Rows) -> Rows:
        """Allot each group as a whole.

        Groups of several tiles come first, the largest to the part that lacks most. Then the single
        tiles of each class fill what its parts lack.

        Args:
            groups: (N,) the group of each tile.
            parts: (N,) the part of tiles that are allotted already or left out; these are kept.
                `OPEN` for the others.

        Returns:
            (N,) the parts of all tiles.
        """
        parts = parts.copy()
        wanted = self._wanted(parts)
        members = _members(groups, np.flatnonzero(parts == OPEN))
        several = [rows for rows in members if len(rows) > 1]
        if several:
            needs = _Groups.of(several, self.classes, wanted - self.counts(parts), self)
            for rows, part in zip(several, needs.best_parts()):
                parts[rows] = part
        single = np.array([rows[0] for rows in members if len(rows) == 1], np.int64)
        self._fill(single, wanted - self.counts(parts), parts)
        return parts

    def _wanted(self, parts: Rows) -> Counts:
        """(P, K) how many tiles of each class each part should get of those not left out."""
        sizes = np.bincount(self.classes[parts != LEFT_OUT], minlength=self.class_count)
        return np.outer(self.fractions, sizes)

    def _fill(self, single: Rows, lacking: Counts, parts: Rows) -> None:
        """Allot single tiles, class by class, in proportion to what the parts lack."""
        order = sorted(single.tolist(), key=lambda row: (self.draw(row), self.ids[row]))
        by_class: dict[int, list[int]] = {}
        for row in order:
            by_class.setdefault(int(self.classes[row]), []).append(row)
        for number, rows in by_class.items():
            needs = np.maximum(lacking[:, number], 0)
            needs = needs if needs.sum() else self.fractions
            cuts = np.round(np.cumsum(needs) / needs.sum() * len(rows)).astype(np.int64)
            cuts = np.maximum(cuts, 1)  # a single tile goes to the first part, as in a plain split
            parts[rows] = np.searchsorted(cuts, np.arange(len(rows)), side="right")

    def draw(self, row: int, purpose: str = "split") -> float:
        """A number in [0, 1) that depends on the seed and on the id of a tile."""
        return hash_uniform(self.seed, purpose, self.ids[row])


OPEN, LEFT_OUT = -2, -1
"""A tile that is not allotted yet, and one that goes to no part."""


def _members(groups: Rows, rows: Rows) -> list[Rows]:
    """The rows of each group among some rows."""
    order = rows[np.argsort(groups[rows], kind="stable")]
    starts = np.flatnonzero(np.diff(groups[order])) + 1
    return np.split(order, starts) if len(order) else []


@dataclass
class _Groups:
    """Groups that are allotted to where they reduce the squared error most.

    Attributes:
        present: for each group the classes in it.
        counts: for each group how many tiles of these.
        lacking: (P, K + 1) what is lacking at the start; the last column is that of all tiles.
        weights: (K + 1,) of the squared errors.
        orders: in which the groups are allotted; the best result is taken.
    """

    present: list[Rows]
    counts: list[Counts]
    lacking: Counts
    weights: Counts
    orders: list[list[int]]

    @classmethod
    def of(
        cls, groups: Sequence[Rows], classes: Rows, lacking: Counts, allotment: Allotment
    ) -> _Groups:
        """The groups of tiles that are allotted."""
        present, counts = [], []
        for rows in groups:
            found, count = np.unique(classes[rows], return_counts=True)
            present.append(np.append(found, lacking.shape[1]))
            counts.append(np.append(count, len(rows)).astype(float))
        sizes = np.bincount(classes, minlength=lacking.shape[1]).astype(float)
        weights = 1 / np.maximum(np.append(sizes, sizes.sum()), 1)
        named = [min(rows.tolist(), key=lambda row: allotment.ids[row]) for rows in groups]
        scale = [-int(np.log2(len(rows))) for rows in groups]
        trials = range(_TRIALS if len(groups) <= _MANY_GROUPS else 1)
        orders = []
        for trial in trials:
            keys = [allotment.draw(row, f"split group {trial}") for row in named]
            orders.append(sorted(range(len(groups)), key=lambda i: (scale[i], keys[i])))
        with_all = np.concatenate((lacking, lacking.sum(axis=1, keepdims=True)), axis=1)
        return cls(present, counts, with_all, weights, orders)

    def best_parts(self) -> list[int]:
        """The part of each group."""
        return min((self._in_order(order) for order in self.orders), key=lambda found: found[0])[1]

    def _in_order(self, order: Sequence[int]) -> tuple[float, list[int]]:
        lacking, parts = self.lacking.copy(), [-1] * len(order)
        for turn in range(_PASSES):
            for i in order:
                present, counts = self.present[i], self.counts[i]
                if turn:
                    lacking[parts[i], present] += counts
                costs = (counts - 2 * lacking[:, present]) * counts * self.weights[present]
                parts[i] = int(costs.sum(axis=1).argmin())
                lacking[parts[i], present] -= counts
        return float((lacking**2 * self.weights).sum()), parts
