"""The posterior of the curve against plain loops over the grid."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsretrieve.search.finding.curve_prior import CurvePrior
from rsretrieve.search.finding.relevance_curve import RankBins, fit_curve


def probability(rank: float, curve: tuple[float, float, float, float], size: int) -> float:
    """p(r) as the docstring of `relevance_curve` gives it."""
    t, b, c, h = curve
    core = c / (1 + (rank / t) ** b)
    return core + (1 - core) * min(h * t / size, 0.5)


def test_the_posterior_mean_is_that_of_a_loop():
    size, ranks, wanted = 40, [1, 4, 9, 30], [True, True, False, False]
    prior, error = CurvePrior.of(size), 0.02
    total, weighted = 0.0, 0.0
    for log_t, b, c, h, log_weight in zip(
        prior.log_threshold, prior.steepness, prior.top, prior.scattered, prior.log_weights
    ):
        curve = (math.exp(log_t), b, c, h)
        weight = math.exp(log_weight)
        for rank, yes in zip(ranks, wanted):
            p = probability(rank, curve, size)
            seen = (1 - error) * p + error * (1 - p)
            weight *= seen if yes else 1 - seen
        total += weight
        weighted += weight * probability(5, curve, size)
    found = fit_curve(size, np.array(ranks), np.array(wanted))
    assert found.probabilities(np.array([5]))[0] == pytest.approx(weighted / total, rel=1e-3)


@pytest.mark.medium
@given(size=st.integers(1, 100_000))
def test_bins_hold_each_rank_once(size):
    bins = RankBins.of(size)
    assert (bins.edges[0], bins.edges[-1]) == (0, size)
    assert (np.diff(bins.edges) > 0).all()
    ranks = np.unique(np.linspace(1, size, 50).astype(np.int64))
    numbers = bins.numbers(ranks)
    assert ((bins.edges[numbers] < ranks) & (ranks <= bins.edges[numbers + 1])).all()
    assert bins.counts(ranks).sum() == len(ranks)


def test_probabilities_fall_with_the_rank_and_stay_between_0_and_1():
    curve = fit_curve(1000, np.array([3, 20, 90]), np.array([True, True, False]))
    values = curve.probabilities(np.arange(1, 1001))
    assert (np.diff(values) <= 1e-12).all()
    assert (values > 0).all()
    assert (values < 1).all()


def test_the_rank_of_a_probability_is_the_last_that_has_it():
    curve = fit_curve(1000, np.array([3, 20, 90]), np.array([True, True, False]))
    rank = curve.rank_of(0.5)
    values = curve.probabilities(np.array([rank, rank + 1]))
    assert values[0] >= 0.5 > values[1]
    assert curve.rank_of(1.1) == 0


def test_answers_move_the_threshold():
    ranks = np.array([5, 10, 20, 40, 80])
    none, all_wanted = (fit_curve(1000, ranks, np.full(5, value)) for value in (False, True))
    assert none.rank_of(0.5) < 5 < 80 <= all_wanted.rank_of(0.5)
