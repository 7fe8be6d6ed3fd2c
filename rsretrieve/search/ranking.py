"""Find the rows of the hits of query vectors, and apply the filters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from rsretrieve.data.window import split_window
from rsretrieve.index.store.columns import encode_column
from rsretrieve.index.store.folder import IndexStore
from rsretrieve.index.vectors.choose_kind import EXACT_KEY
from rsretrieve.search.exact import Ranking, exact_search, rank_rows, similarities_to
from rsretrieve.search.filters import Filters

_WIDENING = 8
_LEAST_CANDIDATES = 32
# Exact search takes less time than loading FAISS for up to 256 MB of vectors and four queries over
# as many, or a hundred queries over 10,000 tiles.
FEW_NUMBERS, _FEW_PRODUCTS = 1 << 26, 1 << 28


@dataclass(frozen=True)
class FilteredSearch:
    """A search for the tiles of an index that pass filters.

    With filters, the search is exact over the rows that may pass: an approximate index cannot
    promise k hits if most of its candidates are filtered out. The search is also exact if queries
    and vectors are few. Otherwise the FAISS index finds the candidates, and the stored vectors
    rank them.

    Attributes:
        store: the index.
        filters: conditions on hits.
        rows: (R,) int64, rising, the rows that meet the conditions on label and place; None for
            all.
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
            own: for each query, the rows that are excluded as the query itself.
            k: number of hits; there are fewer only if fewer tiles pass the filters.

        Returns:
            One ranking per query.
        """
        asked = min(k + max(map(len, own), default=0), len(self.store.rows))
        found = (
            self._by_index(queries, asked)
            if self._uses_index(len(queries))
            else self._exact(queries, asked)
        )
        return [
            self._widen(query, rows, ranking, k, asked)
            for query, rows, ranking in zip(queries, own, found)
        ]

    def merged(self, rankings: Sequence[Ranking], own: set[int], k: int) -> Ranking:
        """The k best hits of several queries together: a row has its highest similarity.

        Args:
            rankings: of the queries, each with k hits.
            own: the rows that are excluded.
            k: number of hits.
        """
        best: dict[int, float] = {}
        for ranking in rankings:
            for row, similarity in zip(ranking.rows.tolist(), ranking.similarities.tolist()):
                best[row] = max(similarity, best.get(row, similarity))
        rows = np.array(sorted(best), np.int64)
        similarities = np.array([best[row] for row in rows.tolist()], np.float64)
        return self._hits(rank_rows(rows, similarities, len(rows)), own, k)

    def _uses_index(self, queries: int) -> bool:
        manifest = self.store.manifest
        numbers = manifest.tiles * manifest.dimensions
        few = numbers <= FEW_NUMBERS and queries * numbers <= _FEW_PRODUCTS
        approximate = manifest.faiss_key != EXACT_KEY
        return self.filters.is_unrestricted and not few and (approximate or self.gpu is not None)

    def _exact(self, queries: NDArray[np.float32], count: int) -> list[Ranking]:
        return exact_search(self.store.vectors, queries, count, self.rows)

    def _by_index(self, queries: NDArray[np.float32], count: int) -> list[Ranking]:
        # Powers of two, so that k and k + 1 hits mostly come from the same candidates.
        candidates = max(_LEAST_CANDIDATES, 1 << (2 * count - 1).bit_length())
        _, rows = self.store.open_vector_index(self.gpu).search(queries, candidates)
        return [self._rerank(query, found, count) for query, found in zip(queries, rows)]

    def _rerank(self, query: NDArray[np.float32], found: NDArray[np.int64], count: int) -> Ranking:
        rows = np.sort(found[found >= 0])
        if len(rows) < count:  # too few cells were probed
            return self._exact(query[None], count)[0]
        return rank_rows(rows, similarities_to(query, self.store.vectors[rows]), count)

    def _widen(
        self, query: NDArray[np.float32], own: set[int], ranking: Ranking, k: int, asked: int
    ) -> Ranking:
        """The hits of a ranking; of ever longer rankings while fewer than k pass."""
        hits = self._hits(ranking, own, k)
        while len(hits) < k and asked < self._candidates and self._may_have_more(ranking):
            asked *= _WIDENING
            [ranking] = self._exact(query[None], asked)
            hits = self._hits(ranking, own, k)
        return hits

    @property
    def _candidates(self) -> int:
        return len(self.store.rows) if self.rows is None else len(self.rows)

    def _may_have_more(self, ranking: Ranking) -> bool:
        least = self.filters.min_similarity
        return len(ranking) > 0 and (least is None or ranking.similarities[-1] >= least)

    def _hits(self, ranking: Ranking, own: set[int], k: int) -> Ranking:
        """The first k rows of a ranking that pass all filters."""
        passing = ~np.isin(ranking.rows, list(own))
        if self.filters.min_similarity is not None:
            passing &= ranking.similarities >= self.filters.min_similarity
        places = np.flatnonzero(passing)
        if self.filters.depends_on_better_hits:
            places = np.array(self._distinct(ranking.rows, places, k), np.int64)
        return Ranking(ranking.rows[places[:k]], ranking.similarities[places[:k]])

    def _distinct(self, rows: NDArray[np.int64], places: NDArray[np.int64], k: int) -> list[int]:
        """The places of the first k rows that repeat no scene and no image of a better hit."""
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
        """(N,) int64, a number for each file; if no path is known, for the file in the id."""
        codes, paths = encode_column(self.store.rows, "path")
        if "" in paths:
            ids = self.store.rows.columns.column("id")
            numbers: dict[str, int] = {}
            for row in np.flatnonzero(codes == paths.index("")).tolist():
                scene = split_window(ids[row].as_py())[0]
                codes[row] = numbers.setdefault(scene, len(paths) + len(numbers))
        return codes
