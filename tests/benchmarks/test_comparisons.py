"""The benchmark of verdicts: comparisons whose truth is known."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest
from scipy import stats

from tests.support.repository import ROOT


@pytest.fixture
def comparisons(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return import_module("comparisons")


@pytest.mark.medium
@pytest.mark.parametrize("choices", [2, 4])
def test_verdicts_are_wrong_in_at_most_five_of_a_hundred(comparisons, choices):
    made = list(comparisons.simulated(60, choices, seed=11))
    assert {one.seeds for one in made} == {2, 3, 5}
    assert sum(one.is_wrong for one in made) <= 3
    assert sum(one.misses for one in made) <= stats.binom.ppf(0.999, 60, 0.05)
    assert any(one.shown for one in made)


def test_made_up_effects_have_the_mean_zero_and_their_deviations(comparisons):
    rng = np.random.default_rng(0)
    drawn = np.array([comparisons.effects(rng, (0.03, 0.1, 0.02), (5, 400)) for _ in range(300)])
    assert drawn.mean() == pytest.approx(0, abs=0.005)
    assert drawn.mean(axis=2).std() == pytest.approx(0.03, rel=0.15)
    assert drawn.mean(axis=1).std() == pytest.approx(0.1, rel=0.15)


def test_the_table_has_a_row_for_each_number_of_seeds(comparisons, capsys):
    comparisons.main(count=3, choices=2, seed=0)
    rows = capsys.readouterr().out.splitlines()
    assert [row.split("|")[1].strip() for row in rows[2:]] == ["2", "3", "5", "all"]
