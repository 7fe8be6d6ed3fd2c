"""Label scores of other methods on the same vectors, by the formulas of their papers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

from grid.baselines import out_of_sample

NEIGHBOURS = 10

Vectors = NDArray[np.float32]
Labels = NDArray[np.int64]


class Auditor(StrEnum):
    """Who audits."""

    OURS = "ours"
    CLEANLAB = "cleanlab"
    TOPOFILTER = "topofilter"
    SELFCLEAN = "selfclean"
    NEIGHBOURS = "neighbours"
    AUM = "aum"


@dataclass(frozen=True)
class Opinion:
    """What an auditor says of N labels.

    Attributes:
        badness: (N,) higher is worse.
        flagged: (N,) by its own threshold.
        suggested: (N,) classes, or None where it suggests none.
        probability: (N,) that the label is wrong, or None where it claims none.
        rate: the noise rate that it estimates, or None.
        interval: the 95 % interval of that rate; NaN where it gives none.
        can_be_told: whether it says that it can tell the rate.
    """

    badness: NDArray[np.float64]
    flagged: NDArray[np.bool_]
    suggested: Labels | None = None
    probability: NDArray[np.float64] | None = None
    rate: float | None = None
    interval: tuple[float, float] = (np.nan, np.nan)
    can_be_told: bool = True


def cleanlab(vectors: Vectors, labels: Labels, seed: int) -> Opinion:
    """Confident learning (Northcutt et al. 2021) by cleanlab's defaults."""
    from cleanlab.count import num_label_issues
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    probabilities = out_of_sample(vectors, labels, seed)
    wrong = 1 - np.asarray(get_label_quality_scores(labels, probabilities), np.float64)
    return Opinion(
        wrong,
        np.asarray(find_label_issues(labels, probabilities), bool),
        probabilities.argmax(axis=1),
        wrong,
        num_label_issues(labels, probabilities) / len(labels),
    )


def neighbours(vectors: Vectors, labels: Labels, seed: int) -> Opinion:
    """The share of the 10 nearest others with another label; an issue where it is most of them."""
    nearest = _nearest(vectors)
    votes = np.zeros((len(labels), labels.max() + 1))
    for column in labels[nearest].T:
        votes[np.arange(len(labels)), column] += 1 / NEIGHBOURS
    badness = 1 - votes[np.arange(len(labels)), labels]
    flagged = badness > 0.5
    return Opinion(badness, flagged, votes.argmax(axis=1), badness, float(flagged.mean()))


def selfclean(vectors: Vectors, labels: Labels, seed: int) -> Opinion:
    """SelfClean's label-error score (Gröger et al. 2024), on our vectors.

    d₌² / (d₌² + d≠²), of the cosine distances to the nearest tile with the same label and with
    another; its authors take self-supervised features. An issue above one half.
    """
    distances = 1 - vectors @ vectors.T
    np.fill_diagonal(distances, np.inf)
    same = labels[:, None] == labels[None, :]
    own = np.where(same, distances, np.inf).min(axis=1)
    other = np.where(same, np.inf, distances)
    nearest = other.argmin(axis=1)
    squares = np.maximum(own, 0) ** 2, np.maximum(other.min(axis=1), 0) ** 2
    badness = np.where(np.isinf(own), 1, squares[0] / np.maximum(sum(squares), 1e-12))
    flagged = badness > 0.5
    return Opinion(badness, flagged, labels[nearest], rate=float(flagged.mean()))


def topofilter(vectors: Vectors, labels: Labels, seed: int) -> Opinion:
    """TopoFilter (Wu et al. 2020): outside the largest component of its class, or on its rim.

    The graph joins tiles of one label that are among each other's 10 nearest; of the largest
    component a tile is dropped, too, where half of its neighbours are not in it. That is a set;
    it is ranked, within and without, by the share of neighbours that are not in it.
    """
    nearest, count = _nearest(vectors), len(labels)
    rows = np.repeat(np.arange(count), NEIGHBOURS)
    joined = labels[rows] == labels[nearest.ravel()]
    links = csr_matrix((joined.astype(float), (rows, nearest.ravel())), (count, count))
    component = connected_components(links.minimum(links.T), directed=False)[1]
    kept = np.zeros(count, bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        kept[members] = component[members] == np.bincount(component[members]).argmax()
    same = kept[nearest] & (labels[nearest] == labels[:, None])
    outside = 1 - same.mean(axis=1)
    flagged = ~kept | (outside > 0.5)
    return Opinion(flagged + outside, flagged, rate=float(flagged.mean()))


def area_under_margin(areas: NDArray[np.float32]) -> Opinion:
    """AUM (Pleiss et al. 2020) of a training; an issue where another class led on average."""
    badness = -areas.astype(np.float64)
    return Opinion(badness, badness > 0, rate=float((badness > 0).mean()))


def _nearest(vectors: Vectors) -> Labels:
    similarities = vectors @ vectors.T
    np.fill_diagonal(similarities, -2)
    return np.argpartition(-similarities, NEIGHBOURS, axis=1)[:, :NEIGHBOURS].astype(np.int64)


ON_VECTORS: dict[Auditor, Callable[[Vectors, Labels, int], Opinion]] = {
    Auditor.CLEANLAB: cleanlab,
    Auditor.TOPOFILTER: topofilter,
    Auditor.SELFCLEAN: selfclean,
    Auditor.NEIGHBOURS: neighbours,
}
