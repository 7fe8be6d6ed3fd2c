"""Retrieval metrics over complete rankings, computed in blocks, without an N × N matrix.

A query's ranking is the gallery by falling cosine similarity, without the query itself. Ties are
grouped: every figure is its mean over all orders of the tied tiles (`tied_ranks.py`), so the order
of the gallery's rows changes nothing. With R the number of relevant tiles (those of the query's
label) and P@r the share of relevant tiles among the first r:

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
from rsretrieve.evaluation.tied_ranks import TiedRanking

PRECISION_CUTS = (1, 5, 10, 20, 50)
RECALL_CUTS = (1, 5, 10)
BLOCK_BYTES = 32 << 20
_GALLERY_ROWS = 1 << 14  # multiplied at once
_SAME_VOTES = 1 - 1e-9


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
        knn_accuracy: accuracy of 10 nearest neighbours, weighted by inverse Euclidean distance.
            Tied neighbours at the tenth place share the places that are left.
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


@dataclass(frozen=True)
class QueryFigures:
    """The figures of each of M queries that have a relevant tile.

    Attributes:
        asked: number of all queries.
        rows: (M,) int64, their rows among all queries.
        labels: (M,) int64, their class numbers.
        predicted: (M,) int64, the class that their 10 nearest neighbours vote for.
        values: (M, 10) float64, AP, AP@R, P@k … and R@k ….
    """

    asked: int
    rows: NDArray[np.int64]
    labels: NDArray[np.int64]
    predicted: NDArray[np.int64]
    values: NDArray[np.float64]

    def mean(self) -> RetrievalFigures:
        """The means over the queries; there is at least one."""
        values = self.values.mean(axis=0)
        cuts = len(PRECISION_CUTS)
        return RetrievalFigures(
            queries=len(self.rows),
            without_relevant=self.asked - len(self.rows),
            knn_accuracy=float((self.predicted == self.labels).mean()),
            map=float(values[0]),
            map_at_r=float(values[1]),
            precision_at=dict(zip(PRECISION_CUTS, map(float, values[2 : 2 + cuts]))),
            recall_at=dict(zip(RECALL_CUTS, map(float, values[2 + cuts :]))),
        )

    def of_label(self, label: int) -> QueryFigures:
        """The part with this label; `asked` counts only them."""
        part = np.flatnonzero(self.labels == label)
        whole = (self.rows[part], self.labels[part], self.predicted[part])
        return QueryFigures(len(part), *whole, self.values[part])


def measure_queries(
    queries: LabelledVectors, gallery: LabelledVectors, own_rows: NDArray[np.int64]
) -> QueryFigures:
    """Compute the figures of every query in one pass over blocks of queries.

    Args:
        queries: Q vectors with labels.
        gallery: N vectors with labels.
        own_rows: (Q,) int64, the row of the gallery that is the query itself, or −1; it is never
            a hit.

    Raises:
        InputError: no query has a relevant tile.
    """
    rows, predicted, values = [], [], []
    for block in _blocks(len(queries.vectors), len(gallery.vectors)):
        ranking = rank_gallery(queries.vectors[block], gallery.vectors, own_rows[block])
        relevant = gallery.labels[ranking.rows] == queries.labels[block][:, None]
        relevant &= ranking.similarities > -np.inf
        answered = np.flatnonzero(relevant.any(axis=1))
        if not len(answered):
            continue
        kept = GalleryRanking(ranking.rows[answered], ranking.similarities[answered])
        rows.append(answered + block.start)
        predicted.append(_knn(kept, gallery.labels))
        values.append(_figures_of(relevant[answered], kept.similarities))
    if not rows:
        raise InputError("no query has a tile of its label in the gallery")
    found = np.concatenate(rows)
    labels, votes = queries.labels[found], np.concatenate(predicted)
    return QueryFigures(len(queries.labels), found, labels, votes, np.concatenate(values))


def retrieval_figures(
    queries: LabelledVectors, gallery: LabelledVectors, own_rows: NDArray[np.int64]
) -> RetrievalFigures:
    """The means over all queries; see `measure_queries`."""
    return measure_queries(queries, gallery, own_rows).mean()


@dataclass(frozen=True)
class GalleryRanking:
    """Complete rankings of B queries: rows and similarities (B, N); the own row is last."""

    rows: NDArray[np.int64]
    similarities: NDArray[np.float32]


def rank_gallery(
    queries: NDArray[np.float32], gallery: NDArray[np.float32], own_rows: NDArray[np.int64]
) -> GalleryRanking:
    """Rank the complete gallery for a block of queries; the own row is last, at −inf."""
    similarities = _similarities(queries, gallery)
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


def _similarities(
    queries: NDArray[np.float32], gallery: NDArray[np.float32]
) -> NDArray[np.float32]:
    """(B, N) cosine similarities, the same wherever a row is.

    Sums in float32 depend on the place of a row in its block: equal similarities would differ in
    the last bit. Those of sums in float64, rounded to float32, do not.
    """
    found = np.empty((len(queries), len(gallery)), np.float32)
    exact = queries.astype(np.float64)
    for start in range(0, len(gallery), _GALLERY_ROWS):
        part = gallery[start : start + _GALLERY_ROWS].astype(np.float64)
        found[:, start : start + len(part)] = exact @ part.T
    return found


def _knn(ranking: GalleryRanking, labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """(B,) int64, the class with the most votes; of equal ones, the first."""
    nearest = min(NEIGHBOURS, ranking.rows.shape[1])
    tenth = ranking.similarities[:, nearest - 1 : nearest]
    above = (ranking.similarities > tenth).sum(axis=1, keepdims=True)
    tied = (ranking.similarities == tenth).sum(axis=1, keepdims=True)
    wide = int((above + tied).max())
    rows, similarities = ranking.rows[:, :wide], ranking.similarities[:, :wide]
    shares = np.where(similarities > tenth, 1.0, (nearest - above) / tied)
    shares = np.where(similarities < tenth, 0.0, shares)
    votes = knn_votes(similarities, labels[rows], int(labels.max()) + 1, shares)
    best = votes >= votes.max(axis=1, keepdims=True) * _SAME_VOTES
    return np.asarray(best.argmax(axis=1), np.int64)


def _figures_of(
    relevant: NDArray[np.bool_], similarities: NDArray[np.float32]
) -> NDArray[np.float64]:
    """AP, AP@R, P@k … and R@k … per query; (B, N) by rank, with a hit in each row."""
    ties = TiedRanking.of(relevant, similarities)
    total = relevant.sum(axis=1)
    within_r = np.arange(relevant.shape[1]) < total[:, None]
    columns = [
        ties.credits.sum(axis=1) / total,
        np.where(within_r, ties.credits, 0.0).sum(axis=1) / total,
        *(ties.shares[:, :k].sum(axis=1) / k for k in PRECISION_CUTS),
        *(ties.any_within(k) for k in RECALL_CUTS),
    ]
    return np.stack(columns, axis=1)


def _blocks(queries: int, gallery: int) -> Iterator[slice]:
    size = max(1, BLOCK_BYTES // (gallery * 8))
    return (slice(start, start + size) for start in range(0, queries, size))
