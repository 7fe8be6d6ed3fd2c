"""Measure what an index finds against exact search, and set its search by that."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsretrieve.index.vectors.vector_index import RERANK, SearchParameter, VectorIndex

SAMPLED, NEAREST = 400, 10
_BLOCK = 16_384  # vectors compared with the whole sample at once: 26 MB
_TOLERANCE = 1e-5  # of similarities in float32
_RERANKS = (2, 4, 8, 16, 32)
_CANDIDATE_COST = 50  # of ranking a candidate again, beside comparing a code


@dataclass(frozen=True)
class Sample:
    """Vectors of an index that are asked for their neighbours.

    Attributes:
        rows: (S,) which they are.
        vectors: (S, D).
        bounds: (S,) the similarity of each to its true k-th neighbour, itself left out.
        nearest: k.
    """

    rows: NDArray[np.int64]
    vectors: NDArray[np.float32]
    bounds: NDArray[np.float32]
    nearest: int

    def part(self, start: int) -> Sample:
        """Every second one, from `start` on."""
        pick = slice(start, None, 2)
        return Sample(self.rows[pick], self.vectors[pick], self.bounds[pick], self.nearest)


def draw_sample(
    vectors: NDArray[np.float32], size: int = SAMPLED, nearest: int = NEAREST
) -> Sample | None:
    """Vectors evenly out of all with their true neighbours; None for a single vector.

    The truth is plain arithmetic in blocks, not FAISS's.
    """
    nearest = min(nearest, len(vectors) - 1)
    if nearest < 1:
        return None
    rows = np.unique(np.linspace(0, len(vectors) - 1, min(size, len(vectors))).astype(np.int64))
    asked = np.ascontiguousarray(vectors[rows])
    return Sample(rows, asked, kth_similarities(asked, vectors, nearest, rows), nearest)


def kth_similarities(
    asked: NDArray[np.float32],
    vectors: NDArray[np.float32],
    nearest: int,
    rows: NDArray[np.int64] | None = None,
) -> NDArray[np.float32]:
    """The similarity of vectors (S, D) to the k-th most similar of others (N, D), (S,).

    Args:
        asked: the S vectors.
        vectors: the others.
        nearest: k, at most N; less where the S are among them.
        rows: (S,) which of them each of the S is itself, and is not compared with.
    """
    best = np.full((len(asked), nearest), -np.inf, np.float32)
    for start in range(0, len(vectors), _BLOCK):
        block = vectors[start : start + _BLOCK]
        similarities = asked @ block.T
        if rows is not None:
            own = np.flatnonzero((rows >= start) & (rows < start + len(block)))
            similarities[own, rows[own] - start] = -np.inf
        merged = np.concatenate((best, similarities), axis=1)
        best = -np.partition(-merged, nearest - 1, axis=1)[:, :nearest]
    return np.asarray(best.min(axis=1), np.float32)


def recall_per_query(
    index: VectorIndex, vectors: NDArray[np.float32], sample: Sample
) -> NDArray[np.float64]:
    """For each of a sample, the share of its true k nearest that an index finds, (S,).

    A hit counts when it is as similar as the true k-th neighbour, so that ties, of which
    tiles stored twice make many, are not held against the index. The similarity is computed
    anew: an index that cuts vectors short tells wrong ones.
    """
    _, found = index.search(sample.vectors, sample.nearest + 1)
    others = (found >= 0) & (found != sample.rows[:, None])
    similarities = np.einsum("sd,skd->sk", sample.vectors, vectors[np.maximum(found, 0)])
    hits = (others & (similarities >= sample.bounds[:, None] - _TOLERANCE)).sum(axis=1)
    return np.asarray(np.minimum(hits, sample.nearest) / sample.nearest, np.float64)


def tune(
    index: VectorIndex, vectors: NDArray[np.float32], sample: Sample | None, target: float
) -> float:
    """Set an index's parameters of search, and measure the recall that they give.

    The smallest effort is taken whose recall over one half of the sample is surely (by a
    standard error) at the target; the other half then says what the recall is.

    Args:
        index: its parameters are set.
        vectors: (N, D) all of its vectors.
        sample: of them; None for a single vector.
        target: the recall wanted.

    Returns:
        The recall@10.
    """
    if sample is None:
        return 1.0
    # A handful cannot be halved.
    halves = sample.part(0), (sample.part(1) if len(sample.rows) > 1 else sample)
    search_parameter = index.search_parameter
    if search_parameter is not None:
        _set_cheapest(index, vectors, halves[0], search_parameter, target)
    elif index.is_lossy:
        for rerank in _RERANKS:
            index.set_parameter(RERANK, rerank)
            if _reaches(index, vectors, halves[0], target):
                break
    return float(recall_per_query(index, vectors, halves[1]).mean())


def _set_cheapest(
    index: VectorIndex,
    vectors: NDArray[np.float32],
    sample: Sample,
    search_parameter: SearchParameter,
    target: float,
) -> None:
    """Of the ways to reach the target, the one with the least work; else the widest search."""
    best: tuple[float, int, int] | None = None
    for rerank in _RERANKS if index.is_lossy else (1,):
        if index.is_lossy:
            index.set_parameter(RERANK, rerank)
        effort = _least_effort(index, vectors, sample, search_parameter, target)
        if effort is None:
            continue
        work = (
            len(vectors) * effort / search_parameter.maximum
            + rerank * sample.nearest * _CANDIDATE_COST
        )
        if best is not None and work >= best[0]:
            break
        best = (work, effort, rerank)
    _, effort, rerank = best or (0.0, search_parameter.maximum, _RERANKS[-1])
    index.set_parameter(search_parameter.name, effort)
    if index.is_lossy:
        index.set_parameter(RERANK, rerank)


def _least_effort(
    index: VectorIndex,
    vectors: NDArray[np.float32],
    sample: Sample,
    search_parameter: SearchParameter,
    target: float,
) -> int | None:
    """The smallest value of the knob that reaches the target, within a tenth; None if none."""

    def reaches(value: int) -> bool:
        index.set_parameter(search_parameter.name, value)
        return _reaches(index, vectors, sample, target)

    low, high = 0, 1
    while not reaches(high):
        if high == search_parameter.maximum:
            return None
        low, high = high, min(2 * high, search_parameter.maximum)
    while high - low > max(1, high // 10):
        middle = (low + high) // 2
        low, high = (low, middle) if reaches(middle) else (middle, high)
    return high


def _reaches(
    index: VectorIndex, vectors: NDArray[np.float32], sample: Sample, target: float
) -> bool:
    recalls = recall_per_query(index, vectors, sample)
    error = recalls.std() / np.sqrt(len(recalls))
    return bool(recalls.mean() - error >= target or recalls.mean() == 1)
