"""The estimates: within what is possible, and right as often as they say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsretrieve.search.finding.kind_estimate import Population, Targets, estimate_kind
from rsretrieve.search.finding.relevance_curve import fit_curve

SIZE = 2000


def estimate_of(ranks, wanted, found_to=100, seed=0):
    curve = fit_curve(SIZE, np.array(ranks), np.array(wanted))
    is_open = ~np.isin(np.arange(1, SIZE + 1), ranks)
    open_ranks = np.flatnonzero(is_open) + 1
    population = Population(int(np.sum(wanted)), open_ranks, open_ranks <= found_to)
    return estimate_kind(curve, population, Targets(), seed)


@pytest.mark.medium
@settings(max_examples=20, deadline=None)
@given(
    answers=st.dictionaries(st.integers(1, SIZE), st.booleans(), min_size=1, max_size=30),
    found_to=st.integers(0, SIZE),
)
def test_estimates_are_possible(answers, found_to):
    found = estimate_of([*answers], [*answers.values()], found_to)
    count = found.count
    confirmed, refused = sum(answers.values()), sum(not yes for yes in answers.values())
    assert confirmed <= count.low <= count.value <= count.high <= SIZE - refused
    for share in (found.precision, found.recall):
        assert 0 <= share.low <= share.value <= share.high <= 1
    assert 0 <= found.reached <= 1


def test_the_same_seed_gives_the_same_estimate():
    one, again = (estimate_of([3, 50, 400], [True, True, False]) for _ in range(2))
    assert one == again


@pytest.mark.medium
def test_more_answers_narrow_the_interval():
    rng = np.random.default_rng(0)
    ranks = rng.permutation(np.arange(1, 400))
    few, many = (estimate_of(r := ranks[:n], r <= 100) for n in (10, 200))
    assert many.count.high - many.count.low < few.count.high - few.count.low
    assert many.count.low <= 100 <= many.count.high


@pytest.mark.slow
def test_the_interval_holds_the_truth_as_often_as_it_says():
    """True curves of other shapes than the model's: a normal distribution over the log rank."""
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(100):
        middle, width = rng.uniform(np.log(20), np.log(300)), rng.uniform(0.2, 0.9)
        x = np.log(np.arange(1, SIZE + 1))
        p = 0.5 - 0.5 * np.tanh((x - middle) / width)
        truth = rng.random(SIZE) < p
        ranks = np.unique(np.exp(rng.uniform(0, np.log(SIZE), 30)).astype(int))
        found = estimate_of(ranks, truth[ranks - 1])
        held += found.count.low <= truth.sum() <= found.count.high
    assert held >= 93
