"""The ranking by examples against plain loops."""

from __future__ import annotations

import numpy as np
import pytest

from rsretrieve.search.finding.kind_ranking import Example, KindSearch
from rsretrieve.search.finding.neighbour_graph import NeighbourGraph
from tests.support.vectors import clustered_rows

VECTORS = clustered_rows(80, 8, 4, seed=3)


def examples(*rows: tuple[int, bool]) -> list[Example]:
    return [Example(wanted, VECTORS[row], row) for row, wanted in rows]


def scores_of(given: list[Example]) -> np.ndarray:
    """The mean of what spreads from positives, minus half of that from negatives, by a loop."""
    graph = NeighbourGraph.of(VECTORS)
    sums = {True: np.zeros(80), False: np.zeros(80)}
    for example in given:
        source = np.zeros((80, 1), np.float32)
        source[example.row] = 1
        sums[example.wanted] += graph.spread(source)[:, 0]
    counts = {w: max(sum(e.wanted is w for e in given), 1) for w in (True, False)}
    return sums[True] / counts[True] - 0.5 * sums[False] / counts[False]


@pytest.mark.parametrize("given", [[(5, True)], [(5, True), (9, True), (20, False), (31, False)]])
def test_tiles_are_ranked_by_what_spreads_to_them(given):
    found = KindSearch(VECTORS).rank(examples(*given))
    scores = scores_of(examples(*given))
    ranked = scores[found.rows]
    assert (np.diff(ranked) <= 1e-6).all()
    assert found.ranks[found.rows].tolist() == [*range(1, 81)]


def test_the_own_rank_of_an_example_is_that_without_it():
    given = examples((5, True), (9, True), (20, False), (31, False))
    found = KindSearch(VECTORS).rank(given)
    everywhere = scores_of(given)
    for example in given:
        others = [e for e in given if e is not example]
        score = scores_of(others)[example.row]
        better = int((everywhere > score + 1e-6).sum())
        assert abs(found.own_ranks[example.row] - 1 - better) <= 1


def test_few_candidates_come_first_and_the_others_by_similarity():
    given = examples((5, True), (20, False))
    found = KindSearch(VECTORS, candidates=30).rank(given)
    similarity = VECTORS @ VECTORS[5] - 0.5 * (VECTORS @ VECTORS[20])
    order = np.argsort(-similarity, kind="stable")
    assert {*found.rows[:30].tolist()} == {*order[:30].tolist()}
    assert found.rows[30:].tolist() == order[30:].tolist()
    assert sorted(found.rows.tolist()) == [*range(80)]
    assert found.own_ranks[20] > 30


def test_an_example_that_is_no_tile_counts_too():
    alone = Example(True, VECTORS[5])
    assert KindSearch(VECTORS).rank([alone]).ranks[5] <= 20


def test_the_same_search_ranks_again_as_a_new_one_does():
    search = KindSearch(VECTORS)
    search.rank(examples((1, True)))
    again = search.rank(examples((5, True), (9, False)))
    fresh = KindSearch(VECTORS).rank(examples((5, True), (9, False)))
    assert again.rows.tolist() == fresh.rows.tolist()
    assert again.own_ranks == fresh.own_ranks
