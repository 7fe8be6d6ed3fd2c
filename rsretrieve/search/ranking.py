"""Find the rows of the hits of query vectors, and apply the filters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from rsretrieve.data.window import split_window
from rsretrieve.index.store.columns import number_texts
from rsretrieve.index.store.folder import IndexStore
from rsretrieve.index.vectors.choose_kind import EXACT_KEY
from rsretrieve.search.exact import Ranking, exact_search, rank_rows, similarities_to
from rsretrieve.search.expansion import NEIGHBOURS, by_ranking
from rsretrieve.search.filters import Filters
from rsretrieve.search.overlaps import Extent, Extents

_WIDENING = 8
_LEAST_CANDIDATES = 32
# Exact search takes less time than loading FAISS for up to 256 MB of vectors and four queries over
# as many, or a hundred queries over 10,000 tiles.
FEW_NUMBERS, _FEW_PRODUCTS = 1 << 26, 1 << 28


@dataclass(frozen=True)
class Asked:
    """A query as it is searched.

    Attributes:
        vectors: (P, D) float32, unit rows; a tile has the highest of its similarities to them.
        own: the rows that are excluded as the query itself.
        extents: where its examples lie; hits may not overlap them with the filter `no_overlap`.
    """

    vectors: NDArray[np.float32]
    own: frozenset[int] = frozenset()
    extents: tuple[Extent, ...] = ()


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

    def rankings(self, queries: Sequence[Asked], k: int) -> list[Ranking]:
        """Find the k best hits of each query.

        Args:
            queries: the queries.
            k: number of hits; there are fewer only if fewer tiles pass the filters.

        Returns:
            One ranking per query.
        """
        asked = min(k + max((len(query.own) for query in queries), default=0), len(self.store.rows))
        vectors = np.concatenate([query.vectors for query in queries])
        uses_index = self._uses_index(len(vectors))
        found = (self._by_index if uses_index else self._exact)(vectors, asked)
        hits, start = [], 0
        for query in queries:
            stop = start + len(query.vectors)
            hits.append(self._widen(query, _merged(found[start:stop], asked), k, asked))
            start = stop
        return hits

    def expanded(self, queries: Sequence[Asked]) -> list[NDArray[np.float32]]:
        """The vectors (P, D) of each query, each expanded by its nearest hits; see `expansion`."""
        alone = [replace(q, vectors=vector[None]) for q in queries for vector in q.vectors]
        nearest = iter(self.rankings(alone, NEIGHBOURS))
        return [
            np.stack([by_ranking(v, self.store.vectors, next(nearest)) for v in query.vectors])
            for query in queries
        ]

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

    def _widen(self, query: Asked, ranking: Ranking, k: int, asked: int) -> Ranking:
        """The hits of a ranking; of ever longer rankings while fewer than k pass."""
        hits = self._hits(ranking, query, k)
        while len(hits) < k and asked < self._candidates and self._may_have_more(ranking):
            asked *= _WIDENING
            ranking = _merged(self._exact(query.vectors, asked), asked)
            hits = self._hits(ranking, query, k)
        return hits

    @property
    def _candidates(self) -> int:
        return len(self.store.rows) if self.rows is None else len(self.rows)

    def _may_have_more(self, ranking: Ranking) -> bool:
        least = self.filters.min_similarity
        return len(ranking) > 0 and (least is None or ranking.similarities[-1] >= least)

    def _hits(self, ranking: Ranking, query: Asked, k: int) -> Ranking:
        """The first k rows of a ranking that pass all filters."""
        passing = ~np.isin(ranking.rows, list(query.own))
        if self.filters.min_similarity is not None:
            passing &= ranking.similarities >= self.filters.min_similarity
        places = np.flatnonzero(passing)
        if self.filters.depends_on_better_hits:
            places = places[self._distinct(ranking.rows[places], query, k)]
        return Ranking(ranking.rows[places[:k]], ranking.similarities[places[:k]])

    def _distinct(self, rows: NDArray[np.int64], query: Asked, k: int) -> NDArray[np.int64]:
        """The places of the first k rows that repeat no scene, image or ground of a better hit."""
        kept: list[int] = []
        scenes: set[int] = set()
        extents = Extents(self.store, rows) if self.filters.no_overlap else None
        taken = np.zeros(len(rows), bool)
        if extents is not None:
            taken = extents.touching_any(query.extents)
        for place, row in enumerate(rows.tolist()):
            if len(kept) == k:
                break
            if taken[place] or (self.filters.distinct_scene and int(self._scenes[row]) in scenes):
                continue
            if self._is_duplicate(row, rows[kept]):
                continue
            kept.append(place)
            if self.filters.distinct_scene:
                scenes.add(int(self._scenes[row]))
            if extents is not None:
                taken |= extents.touching(extents[place])
        return np.array(kept, np.int64)

    def _is_duplicate(self, row: int, better: NDArray[np.int64]) -> bool:
        least = self.filters.duplicate_similarity
        if least is None or not len(better):
            return False
        vectors = self.store.vectors
        return bool(similarities_to(vectors[row], vectors[better]).max() >= least)

    @cached_property
    def _scenes(self) -> NDArray[np.int64]:
        """(N,) int64, a number for each file; if no path is known, for the file in the id."""
        codes, paths = number_texts(self.store.rows.columns.column("path"))
        if (unknown := paths.index("").as_py()) >= 0:
            ids = self.store.rows.columns.column("id")
            numbers: dict[str, int] = {}
            for row in np.flatnonzero(codes == unknown).tolist():
                scene = split_window(ids[row].as_py())[0]
                codes[row] = numbers.setdefault(scene, len(paths) + len(numbers))
        return codes


def _merged(rankings: Sequence[Ranking], count: int) -> Ranking:
    """The first rows of several rankings together: a row has its highest similarity.

    Each ranking has `count` rows, or all. So have the first `count` rows of all together: what
    is among these is among the first of the ranking in which it is best.
    """
    if len(rankings) == 1:
        return rankings[0]
    best: dict[int, float] = {}
    for ranking in rankings:
        for row, similarity in zip(ranking.rows.tolist(), ranking.similarities.tolist()):
            best[row] = max(similarity, best.get(row, similarity))
    rows = np.array(sorted(best), np.int64)
    return rank_rows(rows, np.array([best[row] for row in rows.tolist()], np.float64), count)
