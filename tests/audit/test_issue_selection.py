"""Which labels are fixed without review."""

from __future__ import annotations

import numpy as np
import pytest

from rsretrieve.audit.issue_selection import select_fixes


def test_fixes_are_the_most_probable_candidates() -> None:
    probability = np.array([0.9999999, 0.2, 0.999999, 0.9999999, 0.6])
    candidates = np.array([True, True, True, False, True])
    assert select_fixes(probability, candidates, 0.95).tolist() == [True, False, True, False, False]
    assert select_fixes(probability, candidates, 0.01).tolist() == candidates.tolist()


def test_fixes_take_no_probability_at_its_word() -> None:
    # 0.97 says 97 of 100; its log odds of 3.5, divided by 2.5, say 80 of 100.
    probability, all_of_them = np.full(50, 0.97), np.ones(50, bool)
    assert not select_fixes(probability, all_of_them, 0.95).any()
    assert not select_fixes(probability, all_of_them, 0.81).any()
    assert select_fixes(probability, all_of_them, 0.79).all()


@pytest.mark.parametrize("precision", [0.5, 0.9, 0.99])
def test_fixes_are_as_many_as_the_precision_allows(precision: float) -> None:
    rng = np.random.default_rng(3)
    probability, candidates = 1 - 10 ** -rng.uniform(0, 9, 300), rng.random(300) < 0.7
    chosen = select_fixes(probability, candidates, precision)
    cautious = 1 / (1 + np.exp(-np.log(probability / (1 - probability)) / 2.5))
    best = max(
        n
        for n in range(candidates.sum() + 1)
        if not n or np.sort(cautious[candidates])[::-1][:n].mean() >= precision
    )
    assert chosen.sum() == best
    left = cautious[candidates & ~chosen]
    assert cautious[chosen].min() >= left.max(initial=0)


def test_no_candidate_is_no_fix() -> None:
    assert not select_fixes(np.ones(3), np.zeros(3, bool), 0.5).any()
    assert not select_fixes(np.empty(0), np.empty(0, bool), 0.5).any()
