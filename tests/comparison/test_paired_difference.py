"""The interval of a difference: by hand, by slow loops, and by comparisons whose truth is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from rsretrieve.comparison.paired_difference import paired_difference
from rsretrieve.errors import InvalidArgument


def made(seeds, queries, *, of_seeds, of_queries, rest, truth=0.0, seed=0):
    rng = np.random.default_rng(seed)
    baseline = 0.6 + rng.normal(0, 0.05, (seeds, 1)) + rng.normal(0, 0.2, (1, queries))
    baseline = baseline + rng.normal(0, 0.01, (seeds, queries))
    change = rng.normal(0, of_seeds, (seeds, 1)) + rng.normal(0, of_queries, (1, queries))
    return baseline, baseline + truth + change + rng.normal(0, rest, (seeds, queries))


def test_only_seeds_vary_and_the_interval_is_that_of_a_t_test():
    by_seed = np.array([0.010, 0.025, 0.030])
    baseline = np.tile(np.linspace(0.1, 0.9, 50), (3, 1))
    found = paired_difference(baseline, baseline + by_seed[:, None])
    low, high = stats.t.interval(0.95, 2, by_seed.mean(), stats.sem(by_seed))
    assert found.estimate == pytest.approx(by_seed.mean())
    assert (found.low, found.high) == pytest.approx((low, high))
    assert found.by_seed == pytest.approx(tuple(by_seed))


def test_only_queries_vary_and_the_interval_is_that_of_a_bootstrap():
    change = np.random.default_rng(1).exponential(0.1, 300)
    baseline = np.zeros((4, 300))
    found = paired_difference(baseline, baseline + change)
    rng = np.random.default_rng(2)
    means = [rng.choice(change, 300).mean() for _ in range(4000)]
    low, high = np.quantile(means, (0.025, 0.975))
    assert found.low == pytest.approx(low, abs=0.0015)
    assert found.high == pytest.approx(high, abs=0.0015)
    assert found.high - found.estimate != pytest.approx(found.estimate - found.low, rel=1e-3)


def test_the_parts_are_estimated_as_a_slow_loop_of_the_definition_does():
    baseline, choice = made(4, 60, of_seeds=0.02, of_queries=0.05, rest=0.03)
    d = choice - baseline
    rest = sum(
        (d[s, q] - d[s].mean() - d[:, q].mean() + d.mean()) ** 2
        for s in range(4)
        for q in range(60)
    ) / (3 * 59)
    queries = np.var([d[:, q].mean() for q in range(60)], ddof=1) - rest / 4
    found = paired_difference(baseline, choice)
    assert found.rest_sd == pytest.approx(math.sqrt(rest))
    assert found.query_sd == pytest.approx(math.sqrt(queries))
    assert found.seed_sd == pytest.approx(np.std([d[s].mean() for s in range(4)], ddof=1))


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("of_seeds", [0.0, 0.02])
@pytest.mark.parametrize("of_queries", [0.0, 0.1])
def test_the_interval_covers_the_truth_as_often_as_it_says(seeds, of_seeds, of_queries):
    missed, truth = 0, 0.02
    for number in range(40):
        sds = {"of_seeds": of_seeds, "of_queries": of_queries, "rest": 0.05}
        found = paired_difference(*made(seeds, 80, **sds, truth=truth, seed=number))
        missed += not found.low <= truth <= found.high
    assert missed <= stats.binom.ppf(0.999, 40, 0.05)


def test_a_higher_confidence_is_wider_and_means_the_same_difference():
    both = made(3, 100, of_seeds=0.01, of_queries=0.05, rest=0.05)
    one, other = paired_difference(*both), paired_difference(*both, confidence=0.99)
    assert other.estimate == one.estimate
    assert other.low < one.low
    assert one.high < other.high


def test_the_number_of_seeds_is_the_first_that_is_narrow_enough():
    found = paired_difference(*made(3, 400, of_seeds=0.01, of_queries=0.02, rest=0.02))
    seeds = found.seeds_for(0.01)
    assert seeds is not None
    assert found.half_width(seeds) <= 0.01 < found.half_width(seeds - 1)
    assert found.half_width(3) == pytest.approx((found.high - found.low) / 2, rel=0.15)


def test_no_number_of_seeds_makes_up_for_too_few_queries():
    found = paired_difference(*made(3, 50, of_seeds=0.001, of_queries=0.2, rest=0.01))
    assert found.seeds_for(0.01) is None
    queries = found.queries_for(0.01)
    assert queries > 500
    assert found.half_width(1000, queries * 2) < 0.01
    assert found.queries_for(1e-300) == found.queries_for(5e-324) == 10**12


@pytest.mark.parametrize(
    ("baseline", "choice"),
    [
        (np.zeros((1, 5)), np.zeros((1, 5))),
        (np.zeros((2, 5)), np.zeros((2, 4))),
        (np.zeros((2, 1)), np.zeros((2, 1))),
        (np.zeros((2, 5)), np.full((2, 5), np.nan)),
    ],
)
def test_what_cannot_be_compared_is_refused(baseline, choice):
    with pytest.raises(InvalidArgument):
        paired_difference(baseline, choice)


def test_equal_figures_have_an_interval_of_nothing():
    found = paired_difference(np.ones((3, 10)), np.ones((3, 10)))
    assert (found.low, found.estimate, found.high) == (0, 0, 0)
    assert not found.is_shown
