"""Retrieval metrics over complete rankings, computed in blocks, without an N × N matrix.

A query's ranking is the gallery by falling cosine similarity, ties in the order of the
gallery's rows, without the query itself. With R the number of relevant tiles (those of the
query's label) and P@r the share of relevant tiles among the first r:

    AP    = 1/R · Σ P@r over the ranks r of all relevant tiles       (the whole ranking)
    AP@R  = 1/R · Σ P@r over the ranks r ≤ R of relevant tiles       (Musgrave et al. 2020)
    R@k   = 1 when a relevant tile is among the first k, else 0
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsretrieve._core.knn import NEIGHBOURS, knn_votes
from rsretrieve.errors import InputError

PRECISION_CUTS = (1, 5, 10, 20, 50)
RECALL_CUTS = (1, 5, 10)
_BLOCK_BYTES = 64 << 20


@dataclass(frozen=True)
class LabelledVectors:
    """Vectors with labels: the queries or the gallery.

    Attributes:
        vectors: (N, D) float32, unit rows.
        labels: (N,) int64, class numbers; the same for queries and gallery.

    Raises:
        InputError: the shapes do not match.
    """

    vectors: NDArray[np.float32]
    labels: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.vectors.ndim != 2 or self.labels.shape != (len(self.vectors),):
            raise InputError(f"{self.labels.shape} labels for {self.vectors.shape} vectors")


@dataclass(frozen=True)
class RetrievalFigures:
    """Means over the queries that have a relevant tile in the gallery.

    Attributes:
        queries: number of these queries.
        without_relevant: number of other queries, which are left out.
        knn_accuracy: accuracy of 10 nearest neighbours, weighted by inverse Euclidean distance,
            over all queries.
        map: mean AP over the complete ranking.
        map_at_r: mean AP@R.
        precision_at, recall_at: P@k and R@k by k.
    """

    queries: int
    without_relevant: int
    knn_accuracy: float
    map: float
    map_at_r: float
    precision_at: dict[int, float]
    recall_at: dict[int, float]


def retrieval_figures(
    queries: LabelledVectors, gallery: LabelledVectors, own_rows: NDArray[np.int64]
) -> RetrievalFigures:
    """Compute all metrics in one pass over blocks of queries.

    Args:
        queries: Q vectors with labels.
        gallery: N vectors with labels.
        own_rows: (Q,) int64, the row of the gallery that is the query itself, or −1; it is never
            a hit.

    Raises:
        InputError: no query has a relevant tile.
    """
    correct, rows = 0, []
    for block in _blocks(len(queries.vectors), len(gallery.vectors)):
        ranking = rank_gallery(queries.vectors[block], gallery.vectors, own_rows[block])
        relevant = gallery.labels[ranking.rows] == queries.labels[block][:, None]
        relevant &= ranking.similarities > -np.inf
        correct += int((_knn(ranking, gallery.labels) == queries.labels[block]).sum())
        rows.append(_figures_of(relevant[relevant.any(axis=1)]))
    figures = np.concatenate(rows)
    if not len(figures):
        raise InputError("no query has a tile of its label in the gallery")
    mean = figures.mean(axis=0)
    cuts = len(PRECISION_CUTS)
    return RetrievalFigures(
        queries=len(figures),
        without_relevant=len(queries.vectors) - len(figures),
        knn_accuracy=correct / len(queries.vectors),
        map=float(mean[0]),
        map_at_r=float(mean[1]),
        precision_at=dict(zip(PRECISION_CUTS, map(float, mean[2 : 2 + cuts]))),
        recall_at=dict(zip(RECALL_CUTS, map(float, mean[2 + cuts :]))),
    )


@dataclass(frozen=True)
class GalleryRanking:
    """Complete rankings of B queries: rows and similarities (B, N); the own row is last."""

    rows: NDArray[np.int64]
    similarities: NDArray[np.float32]


def rank_gallery(
    queries: NDArray[np.float32], gallery: NDArray[np.float32], own_rows: NDArray[np.int64]
) -> GalleryRanking:
    """Rank the complete gallery for a block of queries; the own row is last, at −inf."""
    similarities = queries @ gallery.T
    with_own = np.flatnonzero(own_rows >= 0)
    similarities[with_own, own_rows[with_own]] = -np.inf
    rows = np.argsort(-similarities, axis=1, kind="stable")
    return GalleryRanking(rows, np.take_along_axis(similarities, rows, axis=1))


def normalized_mutual_information(one: NDArray[np.int64], other: NDArray[np.int64]) -> float:
    """NMI = 2·I(A; B) / (H(A) + H(B)) of two clusterings, 0…1; 1 if both have one cluster.

    Args:
        one: (N,) int64, cluster numbers.
        other: (N,) int64, cluster numbers.
    """
    _, a = np.unique(one, return_inverse=True)
    _, b = np.unique(other, return_inverse=True)
    joint = np.zeros((a.max() + 1, b.max() + 1))
    np.add.at(joint, (a, b), 1 / len(a))
    entropies = _entropy(joint.sum(axis=1)) + _entropy(joint.sum(axis=0))
    information = entropies - _entropy(joint.ravel())
    return float(max(0.0, 2 * information / entropies)) if entropies > 0 else 1.0


def _entropy(shares: NDArray[np.float64]) -> float:
    shares = shares[shares > 0]
    return float(-(shares * np.log(shares)).sum())


def _knn(ranking: GalleryRanking, labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """(B,) int64, the class with the most votes; of equal ones, the first."""
    rows, similarities = ranking.rows[:, :NEIGHBOURS], ranking.similarities[:, :NEIGHBOURS]
    votes = knn_votes(similarities, labels[rows], int(labels.max()) + 1)
    return np.asarray(votes.argmax(axis=1), np.int64)


def _figures_of(relevant: NDArray[np.bool_]) -> NDArray[np.float64]:
    """AP, AP@R, P@k … and R@k … per query; `relevant` is (B, N) by rank, with a hit in each row."""
    ranks = np.arange(1, relevant.shape[1] + 1)
    found = relevant.cumsum(axis=1)
    total = found[:, -1]
    precision_at_hits = np.where(relevant, found / ranks, 0.0)
    within_r = ranks <= total[:, None]
    columns = [
        precision_at_hits.sum(axis=1) / total,
        np.where(within_r, precision_at_hits, 0.0).sum(axis=1) / total,
        *(found[:, min(k, len(ranks)) - 1] / k for k in PRECISION_CUTS),
        *((found[:, min(k, len(ranks)) - 1] > 0).astype(float) for k in RECALL_CUTS),
    ]
    return np.stack(columns, axis=1)


def _blocks(queries: int, gallery: int) -> Iterator[slice]:
    size = max(1, _BLOCK_BYTES // (gallery * 8))
    return (slice(start, start + size) for start in range(0, queries, size))
