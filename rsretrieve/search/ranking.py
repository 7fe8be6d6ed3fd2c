"""From the vectors of queries to the rows of their hits, filtered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from rsretrieve.data.window import split_window
from rsretrieve.index.store.columns import codes_of
from rsretrieve.index.store.folder import IndexStore
from rsretrieve.index.vectors.vector_index import EXACT_KEY
from rsretrieve.search.exact import Ranking, exact_search, ranked, similarities_to
from rsretrieve.search.filters import Filters

_WIDER = 8
_LEAST_CANDIDATES = 32
# Looked at one by one in less time than FAISS takes to load: vectors of 256 MB, and four
# queries of so many, or a hundred of 10,000 tiles.
_FEW_NUMBERS, _FEW_PRODUCTS = 1 << 26, 1 << 28


@dataclass(frozen=True)
class FilteredSearch:
    """A search in an index of which some tiles may be hits.

    Where anything is filtered, every vector that may be a hit is looked at: an approximate
    index gives no promise of k hits when most of what it finds is filtered away. So it is
    where queries and vectors are few. Any other search of all tiles goes by the index, and
    its hits are ranked by the stored vectors.

    Attributes:
        store: the index.
        filters: what a hit must be.
        rows: the rows, rising, that pass by label and place; None for all.
        gpu: the number of the GPU to search on, or None.
    """

    store: IndexStore
    filters: Filters
    rows: NDArray[np.int64] | None
    gpu: int | None

    def rankings(
        self, queries: NDArray[np.float32], own: Sequence[set[int]], k: int
    ) -> list[Ranking]:
        """Find the k best hits of each query.

        Args:
            queries: (Q, D) float32, unit rows.
            own: for each query the rows that are no hits.
            k: how many; fewer come only where fewer pass.
        """
        asked = min(k + max(map(len, own), default=0), len(self.store.rows))
        found = (
            self._by_index(queries, asked)
            if self._goes_by_index(len(queries))
            else self._exact(queries, asked)
        )
        return [
            self._widened(query, rows, ranking, k, asked)
            for query, rows, ranking in zip(queries, own, found)
        ]

    def _goes_by_index(self, queries: int) -> bool:
        manifest = self.store.manifest
        numbers = manifest.tiles * manifest.dimensions
        few = numbers <= _FEW_NUMBERS and queries * numbers <= _FEW_PRODUCTS
        approximate = manifest.faiss_key != EXACT_KEY
        return self.filters.pass_all and not few and (approximate or self.gpu is not None)

    def _exact(self, queries: NDArray[np.float32], count: int) -> list[Ranking]:
        return exact_search(self.store.vectors, queries, count, self.rows)

    def _by_index(self, queries: NDArray[np.float32], count: int) -> list[Ranking]:
        # Steps of two, so that k and k + 1 hits mostly come from the same candidates.
        candidates = max(_LEAST_CANDIDATES, 1 << (2 * count - 1).bit_length())
        _, rows = self.store.open_vector_index(self.gpu).search(queries, candidates)
        return [self._ranked_again(query, found, count) for query, found in zip(queries, rows)]

    def _ranked_again(
        self, query: NDArray[np.float32], found: NDArray[np.int64], count: int
    ) -> Ranking:
        rows = np.sort(found[found >= 0])
        if len(rows) < count:  # it looked at too few of its cells
            return self._exact(query[None], count)[0]
        return ranked(rows, similarities_to(query, self.store.vectors[rows]), count)

    def _widened(
        self, query: NDArray[np.float32], own: set[int], ranking: Ranking, k: int, asked: int
    ) -> Ranking:
        """The hits of a ranking, or of a longer one as long as there are too few."""
        hits = self._hits(ranking, own, k)
        while len(hits) < k and asked < self._candidates and self._may_go_on(ranking):
            asked *= _WIDER
            [ranking] = self._exact(query[None], asked)
            hits = self._hits(ranking, own, k)
        return hits

    @property
    def _candidates(self) -> int:
        return len(self.store.rows) if self.rows is None else len(self.rows)

    def _may_go_on(self, ranking: Ranking) -> bool:
        least = self.filters.min_similarity
        return len(ranking) > 0 and (least is None or ranking.similarities[-1] >= least)

    def _hits(self, ranking: Ranking, own: set[int], k: int) -> Ranking:
        """The first k of a ranking that pass."""
        passing = ~np.isin(ranking.rows, list(own))
        if self.filters.min_similarity is not None:
            passing &= ranking.similarities >= self.filters.min_similarity
        places = np.flatnonzero(passing)
        if self.filters.judge_hits:
            places = np.array(self._judged(ranking.rows, places, k), np.int64)
        return Ranking(ranking.rows[places[:k]], ranking.similarities[places[:k]])

    def _judged(self, rows: NDArray[np.int64], places: NDArray[np.int64], k: int) -> list[int]:
        """The places of at most k rows that no better one makes superfluous."""
        kept: list[int] = []
        scenes: set[int] = set()
        for place in places.tolist():
            if len(kept) == k:
                break
            if self.filters.distinct_scene and int(self._scenes[rows[place]]) in scenes:
                continue
            if self._is_duplicate(int(rows[place]), rows[kept]):
                continue
            kept.append(place)
            if self.filters.distinct_scene:
                scenes.add(int(self._scenes[rows[place]]))
        return kept

    def _is_duplicate(self, row: int, better: NDArray[np.int64]) -> bool:
        least = self.filters.duplicate_similarity
        if least is None or not len(better):
            return False
        vectors = self.store.vectors
        return bool(similarities_to(vectors[row], vectors[better]).max() >= least)

    @cached_property
    def _scenes(self) -> NDArray[np.int64]:
        """(N,) a number for each file; where none is known, for what the id says it is."""
        codes, paths = codes_of(self.store.rows, "path")
        if "" in paths:
            ids = self.store.rows.columns.column("id")
            numbers: dict[str, int] = {}
            for row in np.flatnonzero(codes == paths.index("")).tolist():
                scene = split_window(ids[row].as_py())[0]
                codes[row] = numbers.setdefault(scene, len(paths) + len(numbers))
        return codes
