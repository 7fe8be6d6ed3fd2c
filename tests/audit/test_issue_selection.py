"""Which labels are fixed without review."""

from __future__ import annotations

import numpy as np
import pytest

from rsretrieve.audit.issue_selection import noise_concentration, select_fixes


def test_fixes_are_the_most_probable_candidates() -> None:
    probability = np.array([0.9999999, 0.2, 0.999999, 0.9999999, 0.6])
    candidates, spread = np.array([True, True, True, False, True]), np.zeros(5)
    fixed = select_fixes(probability, candidates, 0.95, spread)
    assert fixed.tolist() == [True, False, True, False, False]
    assert select_fixes(probability, candidates, 0.01, spread).tolist() == candidates.tolist()


def test_fixes_take_no_probability_at_its_word() -> None:
    # 0.97 says 97 of 100; its log odds of 3.48, divided by 1.75, say 88 of 100.
    probability, all_of_them, spread = np.full(50, 0.97), np.ones(50, bool), np.zeros(50)
    assert not select_fixes(probability, all_of_them, 0.95, spread).any()
    assert not select_fixes(probability, all_of_them, 0.89, spread).any()
    assert select_fixes(probability, all_of_them, 0.87, spread).all()


def test_fixes_between_classes_whose_noise_is_concentrated_need_more_evidence() -> None:
    probability, both = np.full(2, 0.999), np.ones(2, bool)
    # Log odds 6.91, less 1.5 · 2, divided by 1.75: 90 of 100 instead of 98.
    fixed = select_fixes(probability, both, 0.95, np.array([0.0, 2.0]))
    assert fixed.tolist() == [True, False]


def test_one_doubtful_suggestion_does_not_hide_among_certain_ones() -> None:
    probability = np.append(np.full(99, 1 - 1e-9), 0.75)
    fixed = select_fixes(probability, np.ones(100, bool), 0.95, np.zeros(100))
    assert fixed[:99].all()
    assert not fixed[99]


@pytest.mark.parametrize("precision", [0.5, 0.9, 0.99])
def test_fixes_are_as_many_as_the_precision_allows(precision: float) -> None:
    rng = np.random.default_rng(3)
    probability, candidates = 1 - 10 ** -rng.uniform(0, 9, 300), rng.random(300) < 0.7
    concentration = rng.uniform(0, 3, 300)
    chosen = select_fixes(probability, candidates, precision, concentration)
    odds = np.log(probability / (1 - probability)) - 1.5 * concentration
    cautious = 1 / (1 + np.exp(-odds / 1.75))
    may_be = np.sort(cautious[candidates & (1 - cautious <= 3 * (1 - precision))])[::-1]
    best = max(n for n in range(len(may_be) + 1) if not n or may_be[:n].mean() >= precision)
    assert chosen.sum() == best
    assert not chosen[~candidates].any()
    left = cautious[candidates & ~chosen]
    assert cautious[chosen].min() >= left.max(initial=0)


def test_no_candidate_is_no_fix() -> None:
    assert not select_fixes(np.ones(3), np.zeros(3, bool), 0.5, np.zeros(3)).any()
    assert not select_fixes(np.empty(0), np.empty(0, bool), 0.5, np.empty(0)).any()


def test_noise_that_is_spread_has_no_concentration() -> None:
    counts = np.full((4, 4), 10.0) + np.diag(np.full(4, 60.0))  # rate 0.3
    given, suggested = np.array([0, 1, 3]), np.array([1, 3, 0])
    assert noise_concentration(counts, given, suggested) == pytest.approx(np.zeros(3))


def test_noise_between_two_classes_is_concentrated() -> None:
    true = np.repeat([0, 1, 2, 3], 100)
    given = true.copy()
    given[:30] = 1  # 30 of 100 tiles of class 0 are labelled 1; nothing else is wrong
    counts = np.zeros((4, 4))
    np.add.at(counts, (given, true), 1)
    odds = np.log(0.3 / 1.0)  # T_{0,1} / T_{1,1}
    uniform = np.log(0.075 / 3 / 0.925)
    found = noise_concentration(counts, np.array([1, 2]), np.array([0, 3]))
    assert found == pytest.approx([odds - uniform, 0.0])


def test_a_class_without_tiles_gives_a_finite_concentration() -> None:
    counts = np.diag([5.0, 0.0, 5.0])
    found = noise_concentration(counts, np.array([1, 0]), np.array([0, 1]))
    assert np.isfinite(found).all()
