"""The figures of single classes, and the confusion of the nearest neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsretrieve.evaluation.retrieval_metrics import QueryFigures, RetrievalFigures


@dataclass(frozen=True)
class ClassFigures:
    """The figures of the queries of one class.

    Attributes:
        label: the class.
        gallery: number of its tiles in the gallery.
        without_relevant: number of its queries that are left out: the gallery has no other tile
            of the class.
        figures: the metrics; None if no query of the class is counted.
    """

    label: str
    gallery: int
    without_relevant: int
    figures: RetrievalFigures | None


@dataclass(frozen=True)
class Confusion:
    """How often queries of one class are classified as another by their 10 nearest neighbours.

    Attributes:
        class_names: K classes, sorted.
        counts: K rows of K counts: of the queries of class i, how many are classified as j.
    """

    class_names: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, names: Sequence[str], measured: QueryFigures) -> Confusion:
        """Count the counted queries."""
        counts = np.zeros((len(names), len(names)), np.int64)
        np.add.at(counts, (measured.labels, measured.predicted), 1)
        return cls(tuple(names), tuple(map(tuple, counts.tolist())))


def figures_per_class(
    names: Sequence[str],
    asked: NDArray[np.int64],
    gallery: NDArray[np.int64],
    measured: QueryFigures,
) -> tuple[ClassFigures, ...]:
    """The figures of each class.

    Args:
        names: K class names, by number.
        asked: (Q,) int64, the classes of all queries.
        gallery: (N,) int64, the classes of the gallery.
        measured: the queries that are counted.
    """
    of_queries = np.bincount(asked, minlength=len(names))
    of_gallery = np.bincount(gallery, minlength=len(names))
    entries = []
    for number, name in enumerate(names):
        part = measured.of_label(number)
        figures = part.mean() if len(part.rows) else None
        missing = int(of_queries[number]) - len(part.rows)
        entries.append(ClassFigures(name, int(of_gallery[number]), missing, figures))
    return tuple(entries)
