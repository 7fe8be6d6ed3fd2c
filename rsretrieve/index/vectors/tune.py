"""Measure the recall of an index against exact search, and choose its search parameters by it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsretrieve._core.knn import knn_search
from rsretrieve.index.vectors.vector_index import RERANK, SearchParameter, VectorIndex

SAMPLED, NEAREST = 400, 10
COMPARED_BLOCK = 16_384  # vectors compared with the whole sample at once: 26 MB
_TOLERANCE = 1e-5  # of float32 similarities
_RERANKS = (2, 4, 8, 16, 32, 64, 128)
_RERANKS_OF_MANY = (*_RERANKS, 256, 512)
_MANY = 10_000_000
"""From so many vectors on, more candidates are tried: the denser they lie, the closer the codes."""
_PLATEAU_FROM, _PLATEAU_GAIN = 16, 0.002
"""A compressed index whose recall gains less when twice as many cells are probed, from 16 on, lacks
candidates to rerank, not cells: without this, it would be searched to the last cell."""
_CANDIDATE_COST = 50  # of reranking a candidate, relative to comparing a code


@dataclass(frozen=True)
class Sample:
    """Vectors of an index, with the similarity of their true k-th neighbour.

    Attributes:
        rows: (S,) int64, their rows in the index.
        vectors: (S, D) float32.
        kth_similarities: (S,) float32, the similarity of each to its true k-th neighbour, itself
            not counted.
        nearest: k.
    """

    rows: NDArray[np.int64]
    vectors: NDArray[np.float32]
    kth_similarities: NDArray[np.float32]
    nearest: int

    def every_second(self, start: int) -> Sample:
        """Every second vector, from position `start` on."""
        pick = slice(start, None, 2)
        kth_similarities = self.kth_similarities[pick]
        return Sample(self.rows[pick], self.vectors[pick], kth_similarities, self.nearest)


def evenly_spaced_rows(count: int, size: int) -> NDArray[np.int64]:
    """At most `size` distinct rows, evenly spaced from 0 to `count` − 1: (S,) int64, rising."""
    return np.unique(np.linspace(0, count - 1, min(size, count)).astype(np.int64))


def draw_sample(
    vectors: NDArray[np.float32], size: int = SAMPLED, nearest: int = NEAREST
) -> Sample | None:
    """Draw evenly spaced vectors and find their true neighbours by exact search, not by FAISS.

    Args:
        vectors: (N, D) float32, unit rows; may be memory-mapped.
        size: number of vectors to draw, at most.
        nearest: k.

    Returns:
        The sample; None if there is only one vector.
    """
    nearest = min(nearest, len(vectors) - 1)
    if nearest < 1:
        return None
    rows = evenly_spaced_rows(len(vectors), size)
    queries = np.ascontiguousarray(vectors[rows])
    found = knn_search(queries, vectors, nearest, rows, COMPARED_BLOCK)
    return Sample(rows, queries, found.similarities[:, -1], nearest)


def recall_per_query(
    index: VectorIndex, vectors: NDArray[np.float32], sample: Sample
) -> NDArray[np.float64]:
    """The share of the true k nearest neighbours that an index finds, for each sampled vector.

    A hit counts if it is at least as similar as the true k-th neighbour, so that an index is not
    penalised for ties, which duplicate tiles often cause. Similarities are computed from the
    stored vectors, because a lossy index reports inexact ones.

    Args:
        index: the index.
        vectors: (N, D) float32, all of its vectors.
        sample: the sampled vectors.

    Returns:
        (S,) float64, 0…1.
    """
    _, found = index.search(sample.vectors, sample.nearest + 1)
    others = (found >= 0) & (found != sample.rows[:, None])
    similarities = np.einsum("sd,skd->sk", sample.vectors, vectors[np.maximum(found, 0)])
    bounds = sample.kth_similarities[:, None] - _TOLERANCE
    hits = (others & (similarities >= bounds)).sum(axis=1)
    return np.asarray(np.minimum(hits, sample.nearest) / sample.nearest, np.float64)


def tune(
    index: VectorIndex, vectors: NDArray[np.float32], sample: Sample | None, target: float
) -> float:
    """Choose the search parameters of an index, and measure its recall with them.

    One half of the sample chooses the least effort whose recall exceeds the target by a standard
    error. The other half measures the recall.

    Args:
        index: its search parameters are set.
        vectors: (N, D) float32, all of its vectors.
        sample: some of them; None if there is only one vector.
        target: the recall wanted, 0…1.

    Returns:
        The recall@10.
    """
    if sample is None:
        return 1.0
    chooser = sample.every_second(0)
    judge = sample.every_second(1) if len(sample.rows) > 1 else sample
    parameter = index.search_parameter
    if parameter is not None:
        _set_cheapest(index, vectors, chooser, parameter, target)
    elif index.is_lossy:
        for rerank in _reranks(index):
            index.set_parameter(RERANK, rerank)
            if _suffices(recall_per_query(index, vectors, chooser), target):
                break
    return float(recall_per_query(index, vectors, judge).mean())


def _reranks(index: VectorIndex) -> tuple[int, ...]:
    """Numbers of candidates a hit to try."""
    if not index.is_lossy:
        return (1,)
    return _RERANKS if len(index) < _MANY else _RERANKS_OF_MANY


def _set_cheapest(
    index: VectorIndex,
    vectors: NDArray[np.float32],
    sample: Sample,
    parameter: SearchParameter,
    target: float,
) -> None:
    """Set the cheapest parameters that reach the target; if none do, the widest useful search."""
    best: tuple[float, int, int] | None = None
    widest = parameter.maximum
    for rerank in _reranks(index):
        if index.is_lossy:
            index.set_parameter(RERANK, rerank)
        effort, reaches = _least_effort(index, vectors, sample, parameter, target)
        if not reaches:
            widest = effort
            continue
        compared = len(vectors) * effort / parameter.maximum
        work = compared + rerank * sample.nearest * _CANDIDATE_COST
        if best is not None and work >= best[0]:
            break
        best = (work, effort, rerank)
    _, effort, rerank = best or (0.0, widest, _reranks(index)[-1])
    index.set_parameter(parameter.name, effort)
    if index.is_lossy:
        index.set_parameter(RERANK, rerank)


def _least_effort(
    index: VectorIndex,
    vectors: NDArray[np.float32],
    sample: Sample,
    parameter: SearchParameter,
    target: float,
) -> tuple[int, bool]:
    """The smallest value that reaches the target, to within a tenth; else the largest useful one.

    Returns:
        The value, and whether it reaches the target.
    """

    def recalls_at(value: int) -> NDArray[np.float64]:
        index.set_parameter(parameter.name, value)
        return recall_per_query(index, vectors, sample)

    low, high, before = 0, 1, -1.0
    while not _suffices(recalls := recalls_at(high), target):
        gain, before = float(recalls.mean()) - before, float(recalls.mean())
        is_flat = index.is_lossy and high >= _PLATEAU_FROM and gain < _PLATEAU_GAIN
        if high == parameter.maximum or is_flat:
            return high, False
        low, high = high, min(2 * high, parameter.maximum)
    while high - low > max(1, high // 10):
        middle = (low + high) // 2
        low, high = (low, middle) if _suffices(recalls_at(middle), target) else (middle, high)
    return high, True


def _suffices(recalls: NDArray[np.float64], target: float) -> bool:
    """Whether recalls exceed the target by a standard error."""
    standard_error = recalls.std() / np.sqrt(len(recalls))
    return bool(recalls.mean() - standard_error >= target or recalls.mean() == 1)
