"""The ranking by examples against plain loops."""

from __future__ import annotations

import numpy as np
import pytest

from rsretrieve.search.finding.kind_classifier import KindClassifier
from rsretrieve.search.finding.kind_ranking import Example, KindSearch
from rsretrieve.search.finding.neighbour_graph import NeighbourGraph
from tests.support.indexes.vectors import clustered_rows

VECTORS = clustered_rows(80, 8, 4, seed=3)


def examples(*rows: tuple[int, bool]) -> list[Example]:
    return [Example(wanted, VECTORS[row], row) for row, wanted in rows]


def pulled_by(given: list[Example]) -> np.ndarray:
    """The mean of what spreads from positives, minus half of that from negatives, by a loop."""
    graph = NeighbourGraph.of(VECTORS)
    sums = {True: np.zeros(80), False: np.zeros(80)}
    for example in given:
        source = np.zeros((80, 1), np.float32)
        source[example.row] = 1
        sums[example.wanted] += graph.spread(source)[:, 0]
    counts = {w: max(sum(e.wanted is w for e in given), 1) for w in (True, False)}
    return sums[True] / counts[True] - 0.5 * sums[False] / counts[False]


def classified(given: list[Example]) -> KindClassifier:
    vectors = np.stack([example.vector for example in given])
    return KindClassifier.fit(vectors, np.array([e.wanted for e in given]), VECTORS)


def rank_among(scores: np.ndarray, score: float) -> int:
    """The rank, in the middle of equal scores."""
    better = sum(float(other) > score + 1e-9 for other in scores)
    not_worse = sum(float(other) >= score - 1e-9 for other in scores)
    return (better + not_worse) // 2 + 1


@pytest.mark.parametrize("given", [[(5, True)], [(5, True), (9, True), (20, False), (31, False)]])
def test_tiles_are_ranked_by_the_mean_logarithm_of_two_ranks(given):
    found = KindSearch(VECTORS).rank(examples(*given))
    pulled, linear = pulled_by(examples(*given)), VECTORS @ classified(examples(*given)).weights
    both = [
        np.log(rank_among(pulled, pulled[row])) + np.log(rank_among(linear, linear[row]))
        for row in found.rows
    ]
    # What spreads to far tiles is too little to be ranked the same in float32 and float64.
    assert (np.diff(both[:20]) >= -1e-9).all()
    assert np.corrcoef(np.argsort(np.argsort(both)), np.arange(80))[0, 1] > 0.99
    assert found.ranks[found.rows].tolist() == [*range(1, 81)]


def test_the_own_rank_of_an_example_is_that_without_it():
    given = examples((5, True), (9, True), (20, False), (31, False))
    found = KindSearch(VECTORS).rank(given)
    pulled, classifier = pulled_by(given), classified(given)
    linear = VECTORS @ classifier.weights
    both = np.array(
        [
            np.log(rank_among(pulled, a)) + np.log(rank_among(linear, b))
            for a, b in zip(pulled, linear)
        ]
    )
    for number, example in enumerate(given):
        others = [e for e in given if e is not example]
        own = np.log(rank_among(pulled, pulled_by(others)[example.row])) + np.log(
            rank_among(linear, classifier.own_scores[number])
        )
        better = int((both < own - 1e-6).sum())
        assert abs(found.own_ranks[example.row] - 1 - better) <= 3


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
