"""Find classes whose labels have other names than the prototypes of a model give them.

If classes were shifted, swapped or renamed, their labels are consistent, so labels and embeddings
alone cannot tell. The prototypes of a model that was trained on other tiles can, or on these tiles
with their names of before: a training on the labels given now gives the classes these names.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsretrieve.audit.issue_types import SMALLEST_CLASS


@dataclass(frozen=True)
class Renaming:
    """The classes that the tiles with each label look like.

    Attributes:
        counts: (K, K) int64, tiles by label (row) and nearest prototype (column).
    """

    counts: NDArray[np.int64]

    @classmethod
    def of(cls, labels: NDArray[np.int64], nearest: NDArray[np.int64], classes: int) -> Renaming:
        """Count the nearest prototypes.

        Args:
            labels: (N,) int64 class numbers of the given labels.
            nearest: (N,) int64 classes of the nearest prototypes.
            classes: K.
        """
        counts = np.zeros((classes, classes), np.int64)
        np.add.at(counts, (labels, nearest), 1)
        return cls(counts)

    @property
    def majority(self) -> NDArray[np.int64]:
        """(K,) the class that at least two thirds of the tiles with each label look like.

        The label itself where there is none, or where it has fewer than 5 tiles.
        """
        sizes, likely = self.counts.sum(axis=1), self.counts.argmax(axis=1)
        clear = 3 * self.counts.max(axis=1) >= 2 * sizes
        own = np.arange(len(sizes))
        return np.asarray(np.where(clear & (sizes >= SMALLEST_CLASS), likely, own))

    @property
    def permutation(self) -> NDArray[np.int64]:
        """(K,) the class of each label, where labels exchanged their names; else the label itself.

        Some labels exchanged their names if each has a different most frequent class, these
        classes are the same labels, and most of their tiles look like these classes. A class
        that no tile is labelled as closes such a circle, if the tiles of one label look like it.
        """
        found, likely = np.arange(len(self.counts)), self._likely()
        for label in range(len(found)):
            cycle = _cycle_of(label, likely)
            if 2 * self.counts[cycle, likely[cycle]].sum() > self.counts[cycle].sum():
                found[cycle] = likely[cycle]
        return found

    def _likely(self) -> NDArray[np.int64]:
        """(K,) the most frequent class of each label; of one without tiles, the start of the chain.

        If tiles labelled A look like B, and tiles labelled B like C, which no tile is labelled as,
        the chain A, B, C starts at A. If it branches, such a label stands for itself.
        """
        own, is_absent = np.arange(len(self.counts)), self.counts.sum(axis=1) == 0
        likely = np.where(is_absent, own, self.counts.argmax(axis=1))
        before = {
            label: [other for other in own.tolist() if likely[other] == label != other]
            for label in own.tolist()
        }
        for label in np.flatnonzero(is_absent).tolist():
            start = label
            while len(before[start]) == 1:
                (start,) = before[start]
            likely[label] = start if not before[start] else label
        return likely

    def sentences(self, names: tuple[str, ...]) -> list[str]:
        """One sentence for every label that most tiles contradict, in the order of the labels."""
        majority, sizes = self.majority, self.counts.sum(axis=1)
        return [
            f"most tiles labelled {names[label]!r} lie nearest to the prototype of "
            f"{names[majority[label]]!r} ({self.counts[label, majority[label]]} of {sizes[label]})"
            for label in sorted(
                np.flatnonzero(majority != np.arange(len(names))), key=names.__getitem__
            )
        ]


def _cycle_of(label: int, following: NDArray[np.int64]) -> list[int]:
    """The labels from a label to itself, each followed by the next; empty if none leads back."""
    cycle = [label]
    while (last := int(following[cycle[-1]])) != label:
        if last in cycle:
            return []
        cycle.append(last)
    return cycle
