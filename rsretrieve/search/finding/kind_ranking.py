"""Rank every tile of an index by how much it looks like the wanted kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsretrieve.search.composed_query import UNLIKE_WEIGHT
from rsretrieve.search.exact import BLOCK_ROWS
from rsretrieve.search.finding.kind_classifier import KindClassifier
from rsretrieve.search.finding.neighbour_graph import NeighbourGraph

CANDIDATES = 1 << 13
"""Tiles of the graph in an index of more than twice as many; else, all are. These are the nearest
to the examples by the mean of the positives minus half the mean of the negatives; the others follow
in this order."""
_BACKGROUND = 2000


@dataclass(frozen=True)
class Example:
    """A tile that a person decided on.

    Attributes:
        wanted: it is of the wanted kind.
        vector: (D,) float32, of unit length.
        row: its row of the index; None for an image or a vector that is no tile of it.
    """

    wanted: bool
    vector: NDArray[np.float32] = field(repr=False, compare=False)
    row: int | None = None


@dataclass(frozen=True)
class KindRanking:
    """All tiles of an index, the likeliest first.

    Attributes:
        rows: (N,) int64, rows of the index, best first.
        ranks: (N,) int64, the rank of each row, from 1.
        own_ranks: the rank that each example would have if it were not an example, by its row.
    """

    rows: NDArray[np.int64]
    ranks: NDArray[np.int64]
    own_ranks: dict[int, int]


class KindSearch:
    """Ranks the tiles of one index. It keeps the graph, and what has spread over it.

    Args:
        vectors: (N, D) float32, unit rows; may be memory-mapped.
        candidates: tiles of the graph in an index of more than twice as many.
    """

    def __init__(self, vectors: NDArray[np.float32], candidates: int = CANDIDATES) -> None:
        self._vectors = vectors
        self._most = candidates if len(vectors) > 2 * candidates else len(vectors)
        self._graph: _CandidateGraph | None = None

    def rank(self, examples: Sequence[Example]) -> KindRanking:
        """Rank all tiles.

        Two rankings are combined, by the mean of the logarithms of their ranks. In the first, a
        tile's score is the mean of what spreads to it from the positives over the graph, minus half
        the mean of what spreads to it from the negatives. The second is a linear classifier's.

        Args:
            examples: with at least one positive.

        Returns:
            The ranking. Equal tiles are in the order of rows.
        """
        wanted = np.array([example.wanted for example in examples])
        nearest = _order(self._similarities(examples, _pulls(wanted)))
        graph = self._graph_of(np.sort(nearest[: self._most]))
        evidence = self._evidence(examples, wanted, graph)
        count = len(graph.rows)
        first = graph.rows[_order(evidence.scores)]
        rows = first if count == len(self._vectors) else np.concatenate((first, nearest[count:]))
        ranks = np.empty(len(rows), np.int64)
        ranks[rows] = np.arange(1, len(rows) + 1)
        beyond = {e.row: int(ranks[e.row]) for e in examples if e.row is not None}
        return KindRanking(rows, ranks, beyond | evidence.own_ranks(graph.rows))

    def _evidence(
        self, examples: Sequence[Example], wanted: NDArray[np.bool_], graph: _CandidateGraph
    ) -> _Evidence:
        """The scores of the candidates, and those of the examples without themselves."""
        spread = graph.spread(examples)
        vectors = np.stack([example.vector for example in examples])
        linear = KindClassifier.fit(vectors, wanted, self._background)
        places, own = [], []
        for number, example in enumerate(examples):
            place = graph.place_of(example.row)
            others = np.arange(len(examples)) != number
            if place is not None and (wanted & others).any():
                places.append(place)
                pulled = float(spread[place, others] @ _pulls(wanted[others]))
                own.append((pulled, linear.own_scores[number]))
        scores = spread @ _pulls(wanted), graph.vectors @ linear.weights
        pairs = np.array(own, np.float64).reshape(-1, 2)
        return _Evidence(*scores, np.array(places, np.int64), pairs)

    @cached_property
    def _background(self) -> NDArray[np.float32]:
        """Random tiles of the index, always the same."""
        count = len(self._vectors)
        chosen = np.random.default_rng(0).choice(count, min(_BACKGROUND, count), replace=False)
        return np.asarray(self._vectors[np.sort(chosen)])

    def _similarities(
        self, examples: Sequence[Example], pulls: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """(N,) the mean similarity to the positives minus half that to the negatives."""
        query = pulls @ np.stack([example.vector for example in examples])
        found = np.empty(len(self._vectors), np.float32)
        for start in range(0, len(found), BLOCK_ROWS):
            found[start : start + BLOCK_ROWS] = self._vectors[start : start + BLOCK_ROWS] @ query
        return found

    def _graph_of(self, rows: NDArray[np.int64]) -> _CandidateGraph:
        if self._graph is None or not np.array_equal(self._graph.rows, rows):
            self._graph = _CandidateGraph(rows, np.asarray(self._vectors[rows]))
        return self._graph


@dataclass(frozen=True)
class _Evidence:
    """Two kinds of scores of M candidates, and of E examples among them without themselves.

    Attributes:
        pulled: (M,) what spreads over the graph.
        linear: (M,) scores of the classifier.
        places: (E,) where the examples are.
        own: (E, 2) both scores of each example.
    """

    pulled: NDArray[np.float32]
    linear: NDArray[np.float32]
    places: NDArray[np.int64]
    own: NDArray[np.float64]

    @cached_property
    def scores(self) -> NDArray[np.float64]:
        """(M,) minus the mean of the logarithms of both ranks."""
        # Tiles that no example reaches are equal: their order of rows must not rank them.
        ranks = [_rank_among(scores, scores) for scores in (self.pulled, self.linear)]
        return np.asarray(-(np.log(ranks[0]) + np.log(ranks[1])) / 2)

    def own_ranks(self, rows: NDArray[np.int64]) -> dict[int, int]:
        """The rank that each example would have, by its row of the index."""
        both = [_rank_among(self.pulled, self.own[:, 0]), _rank_among(self.linear, self.own[:, 1])]
        scores = -(np.log(both[0]) + np.log(both[1])) / 2
        ranks = _rank_among(self.scores, scores).astype(np.int64)
        return dict(zip(rows[self.places].tolist(), ranks.tolist()))


def _rank_among(scores: NDArray[Any], new: NDArray[Any]) -> NDArray[np.float64]:
    """(E,) the rank from 1 that scores have, or would have; in the middle of equal ones."""
    falling = np.sort(-scores.astype(np.float64))
    low, high = (
        np.searchsorted(falling, -new.astype(np.float64), side) for side in ("left", "right")
    )
    return np.asarray(np.minimum((low + high) // 2 + 1, len(scores)), np.float64)


class _CandidateGraph:
    """The graph of the candidates, and what has spread over it from examples."""

    def __init__(self, rows: NDArray[np.int64], vectors: NDArray[np.float32]) -> None:
        self.rows, self.vectors = rows, vectors
        self._graph = NeighbourGraph.of(vectors)
        self._spread: dict[bytes, NDArray[np.float32]] = {}

    def place_of(self, row: int | None) -> int | None:
        """Where a row of the index is among the candidates; None if it is none."""
        if row is None:
            return None
        place = int(np.searchsorted(self.rows, row))
        return place if place < len(self.rows) and self.rows[place] == row else None

    def spread(self, examples: Sequence[Example]) -> NDArray[np.float32]:
        """(M, E) what spreads to each candidate from each example."""
        new = {_key(e): e for e in examples if _key(e) not in self._spread}
        if new:
            sources = np.stack([self._source(example) for example in new.values()], axis=1)
            for key, column in zip(new, self._graph.spread(sources).T):
                self._spread[key] = np.ascontiguousarray(column)
        return np.stack([self._spread[_key(example)] for example in examples], axis=1)

    def _source(self, example: Example) -> NDArray[np.float32]:
        place = self.place_of(example.row)
        if place is None:
            return self._graph.source_of(example.vector)
        source = np.zeros(len(self.rows), np.float32)
        source[place] = 1
        return source


def _key(example: Example) -> bytes:
    return example.vector.tobytes() if example.row is None else b"%d" % example.row


def _pulls(wanted: NDArray[np.bool_]) -> NDArray[np.float32]:
    """What each example counts: 1/P for each of P positives, −1/(2U) for each of U negatives."""
    positives, negatives = max(int(wanted.sum()), 1), max(int((~wanted).sum()), 1)
    return np.where(wanted, 1 / positives, -UNLIKE_WEIGHT / negatives).astype(np.float32)


def _order(scores: NDArray[Any]) -> NDArray[np.int64]:
    return np.argsort(-scores, kind="stable")
