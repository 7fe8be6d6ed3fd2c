"""Which tiles are proposed."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from rsretrieve.search.finding.kind_ranking import Example, KindSearch
from rsretrieve.search.finding.proposals import Proposer, Reason
from rsretrieve.search.finding.relevance_curve import fit_curve
from tests.support.indexes.vectors import clustered_rows

VECTORS = clustered_rows(300, 8, 5, seed=3)
RANKING = KindSearch(VECTORS).rank([Example(True, VECTORS[0], 0)])
CURVE = fit_curve(300, np.array([5, 70]), np.array([True, False]))


def proposed(count, decided=(0,), seed=0):
    proposer = Proposer(VECTORS, RANKING, CURVE, set(decided))
    return proposer.propose(count, np.random.default_rng(seed))


def test_a_round_mixes_likely_uncertain_and_random_tiles():
    found = proposed(10)
    assert Counter(p.reason for p in found) == {
        Reason.LIKELY: 2,
        Reason.RANDOM: 2,
        Reason.UNCERTAIN: 6,
    }
    likely = [p.row for p in found if p.reason is Reason.LIKELY]
    assert likely == [row for row in RANKING.rows.tolist() if row != 0][:2]
    middle = CURVE.rank_of(0.5)
    uncertain = [p.rank for p in found if p.reason is Reason.UNCERTAIN]
    assert all(middle // 2 < rank <= 3 * middle + 20 for rank in uncertain)


@pytest.mark.parametrize("count", [1, 2, 7, 10, 31])
def test_as_many_as_asked_for_are_proposed_none_twice_none_decided(count):
    decided = [0, *RANKING.rows[:15].tolist()]
    rows = [p.row for p in proposed(count, decided)]
    assert len({*rows}) == len(rows) == count
    assert not {*rows} & {*decided}


def test_all_are_proposed_when_few_are_left():
    decided = RANKING.rows[:-4].tolist()
    rows = [p.row for p in proposed(10, decided)]
    assert sorted(rows) == sorted(RANKING.rows[-4:].tolist())
    assert proposed(10, range(300)) == []


def test_ranks_and_probabilities_belong_to_the_rows():
    for each in proposed(10):
        assert RANKING.rows[each.rank - 1] == each.row
        assert each.probability == CURVE.probabilities(np.array([each.rank]))[0]


def test_uncertain_tiles_differ_more_than_chance_would_choose():
    rows = [p.row for p in proposed(10) if p.reason is Reason.UNCERTAIN]
    middle = CURVE.rank_of(0.5)
    band = RANKING.rows[middle // 2 : 3 * middle + 20]
    rng = np.random.default_rng(0)

    def nearest(chosen):
        similar = VECTORS[chosen] @ VECTORS[chosen].T
        return (similar - 2 * np.eye(len(chosen))).max()

    by_chance = np.median([nearest(rng.choice(band, 6, replace=False)) for _ in range(50)])
    assert nearest(rows) < by_chance


def test_other_random_numbers_give_other_tiles():
    assert [p.row for p in proposed(10, seed=0)] != [p.row for p in proposed(10, seed=1)]
