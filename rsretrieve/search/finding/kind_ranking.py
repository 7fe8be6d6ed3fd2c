"""Rank every tile of an index by how much it looks like the wanted kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rsretrieve.search.composed_query import UNLIKE_WEIGHT
from rsretrieve.search.exact import BLOCK_ROWS
from rsretrieve.search.finding.neighbour_graph import NeighbourGraph

CANDIDATES = 1 << 14
"""Tiles of the graph. In a larger index these are the nearest to the examples by the mean of the
positives minus half the mean of the negatives; the others follow in this order."""


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
        candidates: the most tiles that the graph holds.
    """

    def __init__(self, vectors: NDArray[np.float32], candidates: int = CANDIDATES) -> None:
        self._vectors, self._most = vectors, candidates
        self._graph: _CandidateGraph | None = None

    def rank(self, examples: Sequence[Example]) -> KindRanking:
        """Rank all tiles.

        A tile's score is the mean of what spreads to it from the positives, minus half the mean of
        what spreads to it from the negatives.

        Args:
            examples: with at least one positive.

        Returns:
            The ranking. Equal tiles are in the order of rows.
        """
        wanted = np.array([example.wanted for example in examples])
        pulls = _pulls(wanted)
        nearest = _order(self._similarities(examples, pulls))
        graph = self._graph_of(np.sort(nearest[: self._most]))
        spread = graph.spread(examples)
        scores = spread @ pulls
        count = len(graph.rows)
        first = graph.rows[_order(scores)]
        rows = first if count == len(self._vectors) else np.concatenate((first, nearest[count:]))
        ranks = np.empty(len(rows), np.int64)
        ranks[rows] = np.arange(1, len(rows) + 1)
        own = self._own_ranks(examples, wanted, graph, spread, scores)
        beyond = {e.row: int(ranks[e.row]) for e in examples if e.row is not None}
        return KindRanking(rows, ranks, beyond | own)

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

    @staticmethod
    def _own_ranks(
        examples: Sequence[Example],
        wanted: NDArray[np.bool_],
        graph: _CandidateGraph,
        spread: NDArray[np.float32],
        scores: NDArray[np.float32],
    ) -> dict[int, int]:
        """The ranks of examples that are candidates, each by the other examples only."""
        falling = np.sort(-scores)
        found = {}
        for number, example in enumerate(examples):
            place = graph.place_of(example.row)
            others = np.arange(len(examples)) != number
            if place is None or not (wanted & others).any():
                continue
            score = spread[place, others] @ _pulls(wanted[others])
            # Half of the equal ones are before it: on average, the rank that it would have.
            low, high = (np.searchsorted(falling, -score, side) for side in ("left", "right"))
            found[int(graph.rows[place])] = int(low + high) // 2 + 1
        return found


class _CandidateGraph:
    """The graph of the candidates, and what has spread over it from examples."""

    def __init__(self, rows: NDArray[np.int64], vectors: NDArray[np.float32]) -> None:
        self.rows = rows
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


def _order(scores: NDArray[np.float32]) -> NDArray[np.int64]:
    return np.argsort(-scores, kind="stable")
