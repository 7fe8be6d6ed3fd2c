"""Views, beliefs and decisions, against plain loops and against labels that were made wrong."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from rsretrieve.audit.estimators.classifiers import Discriminant, Prototypical, Votes, folds_of
from rsretrieve.audit.estimators.dawid_skene import _Judge, beliefs_of
from rsretrieve.audit.estimators.unit_vectors import UnitRows
from rsretrieve.audit.issue_selection import Choice, issues_among
from rsretrieve.audit.noise_rate import rate_interval, share_intervals
from rsretrieve.audit.posterior import by_beliefs
from rsretrieve.errors import InvalidArgument
from rsretrieve.evaluation.label_error_metrics import auroc

CLASSES, PER_CLASS = 4, 40


def clusters(seed: int = 0, spread: float = 0.8) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """(N, 6) unit rows around four directions, and their classes."""
    rng = np.random.default_rng(seed)
    true = np.repeat(np.arange(CLASSES), PER_CLASS)
    rows = 2 * np.eye(CLASSES, 6)[true] + rng.normal(0, spread, (len(true), 6))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), true


def noisy(true: NDArray[np.int64], rate: float, seed: int = 1) -> NDArray[np.int64]:
    rng = np.random.default_rng(seed)
    moved = rng.integers(1, CLASSES, len(true)) * (rng.random(len(true)) < rate)
    return np.asarray((true + moved) % CLASSES, np.int64)


# Views


def test_folds_hold_as_many_of_every_class() -> None:
    labels = np.repeat([0, 1, 2], [10, 25, 5])
    folds = folds_of(labels, 5)
    for label, count in enumerate((10, 25, 5)):
        assert np.bincount(folds[labels == label], minlength=5).tolist() == [count // 5] * 5


def test_a_discriminant_is_that_of_scikit_learn_on_the_other_folds() -> None:
    rows, true = clusters(spread=0.5)
    folds = folds_of(true, 4)
    found = Discriminant(rows, folds).opinions(np.eye(CLASSES, dtype=np.float32)[true])
    for fold in range(4):
        others, judged = folds != fold, folds == fold
        oracle = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.1)
        oracle.fit(rows[others], true[others])
        agree = oracle.predict(rows[judged]) == found[judged].argmax(axis=1)
        assert agree.mean() > 0.97


def test_a_tile_s_own_belief_says_nothing_of_it() -> None:
    rows, true = clusters()
    belief = np.eye(CLASSES, dtype=np.float32)[true]
    views = (Discriminant(rows, folds_of(true, 5)), Votes.among(UnitRows(rows), true))
    for view in views:
        before = view.opinions(belief)
        changed = belief.copy()
        changed[7] = np.roll(changed[7], 1)
        after = view.opinions(changed)
        np.testing.assert_array_equal(after[7], before[7])
        assert not np.array_equal(after, before)


def test_votes_are_counted_by_a_loop() -> None:
    rows, true = clusters()
    belief = np.eye(CLASSES, dtype=np.float32)[true]
    found = Votes.among(UnitRows(rows), true).shares(belief)
    for i in (0, 50, 159):
        cosines = sorted(
            ((float(rows[i] @ rows[j]), j) for j in range(len(rows)) if j != i), reverse=True
        )[:15]
        weights = [math.exp(s / 0.1) for s, _ in cosines]
        shares = np.zeros(CLASSES)
        for weight, (_, j) in zip(weights, cosines):
            shares[true[j]] += weight / sum(weights)
        np.testing.assert_allclose(found[i], shares, atol=1e-4)


def test_tiles_that_were_never_seen_have_no_opinion_and_give_none() -> None:
    rows, true = clusters()
    rows[3] = 0
    belief = np.eye(CLASSES, dtype=np.float32)[true]
    for view in (Discriminant(rows, folds_of(true, 5)), Votes.among(UnitRows(rows), true)):
        scores = view.opinions(belief)
        assert np.ptp(scores[3]) == 0
        changed = belief.copy()
        changed[3] = 1 / CLASSES
        np.testing.assert_array_equal(view.opinions(changed), scores)


# Beliefs


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.3])
def test_wrong_labels_are_found_and_counted(rate: float) -> None:
    rows, true = clusters(spread=0.4)
    given = noisy(true, rate)
    wrong = given != true
    views = [Discriminant(rows, folds_of(given, 5)), Votes.among(UnitRows(rows), given)]
    judgement = by_beliefs(beliefs_of(given, CLASSES, views, []), given)
    probability = judgement.issue_probability
    assert probability.mean() == pytest.approx(wrong.mean(), abs=0.03)
    flagged = issues_among(probability, judgement.margin, Choice(), is_calibrated=True)
    assert (flagged != wrong).mean() < 0.03
    assert judgement.counts.sum() == pytest.approx(len(given), rel=1e-4)
    if rate:
        found = auroc(-judgement.margin, wrong)
        assert found is not None
        assert found > 0.97
        assert (judgement.ranked[flagged & wrong, 0] == true[flagged & wrong]).mean() > 0.95


def test_a_view_that_learned_the_labels_by_heart_is_not_believed() -> None:
    rows, true = clusters(spread=0.6)
    given = noisy(true, 0.3)
    honest = [Discriminant(rows, folds_of(given, 5)), Votes.among(UnitRows(rows), given)]
    parrot = Prototypical(np.eye(CLASSES, dtype=np.float32)[given])
    alone = by_beliefs(beliefs_of(given, CLASSES, honest, []), given)
    beside = by_beliefs(beliefs_of(given, CLASSES, honest, [parrot]), given)
    trusting = by_beliefs(beliefs_of(given, CLASSES, [*honest, parrot], []), given)
    wrong = given != true
    figures = [auroc(-found.margin, wrong) or 0 for found in (alone, beside, trusting)]
    assert figures[1] > 0.9
    assert figures[1] > figures[2]


def test_the_area_under_the_margin_is_heard_where_it_is_known() -> None:
    rows, true = clusters(spread=1.0)
    given = noisy(true, 0.3)
    wrong = given != true
    rng = np.random.default_rng(3)
    telling = np.where(wrong, -2, 2) + rng.normal(0, 1.0, len(true)).astype(np.float32)
    views = [Discriminant(rows, folds_of(given, 5)), Votes.among(UnitRows(rows), given)]
    told = Prototypical(np.zeros((len(true), CLASSES), np.float32))
    unknown = np.full(len(true), np.nan, np.float32)
    found = {}
    for name, areas in (("none", None), ("unknown", unknown), ("telling", telling)):
        beliefs = beliefs_of(given, CLASSES, views, [told], areas)
        found[name] = by_beliefs(beliefs, given).margin
    figures = {name: auroc(-margin, wrong) or 0 for name, margin in found.items()}
    np.testing.assert_allclose(found["unknown"], found["none"], atol=1e-3)
    assert figures["telling"] > figures["none"] + 0.02


def test_the_area_is_believed_as_all_other_views_together_bear_it_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows, true = clusters(spread=1.4)
    given = noisy(true, 0.3)
    wrong = given != true
    witnesses: list[NDArray[np.float32]] = []

    def heard(
        judge: _Judge, areas: NDArray[np.float32], witness: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        witnesses.append(witness)
        return np.zeros_like(witness)

    monkeypatch.setattr(_Judge, "by_area", heard)
    views = [Discriminant(rows, folds_of(given, 5)), Votes.among(UnitRows(rows), given)]
    knowing = Prototypical(np.eye(CLASSES, dtype=np.float32)[true])
    areas = np.zeros(len(true), np.float32)
    beliefs_of(given, CLASSES, views, [knowing], areas)
    honest = beliefs_of(given, CLASSES, views, []).posterior
    labels = np.arange(len(true)), given
    by_all, by_honest = (auroc(-found[labels], wrong) or 0 for found in (witnesses[-1], honest))
    assert by_all > by_honest + 0.05


def test_what_trained_views_say_twice_counts_once() -> None:
    rows, true = clusters(spread=1.2)
    given = noisy(true, 0.3)
    free = [Discriminant(rows[:, :3].copy(), folds_of(given, 5))]
    learned = Prototypical(rows @ np.eye(6, CLASSES, dtype=np.float32))
    once, thrice = (beliefs_of(given, CLASSES, free, [learned] * n).posterior for n in (1, 3))
    np.testing.assert_allclose(thrice, once, atol=0.06)


def test_beliefs_sum_to_one_and_transitions_too() -> None:
    rows, true = clusters()
    given = noisy(true, 0.2)
    advanced: list[int] = []
    found = beliefs_of(
        given, CLASSES, [Discriminant(rows, folds_of(given, 5))], [], None, advanced.append
    )
    np.testing.assert_allclose(found.posterior.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(found.transitions.sum(axis=1), 1)
    assert sum(advanced) == 6 * len(given)


# Decisions


def test_issues_have_the_highest_expected_f1() -> None:
    rng = np.random.default_rng(0)
    probability = rng.beta(0.4, 1, 60)
    margin = np.log(1 / probability - 1)
    flagged = issues_among(probability, margin, Choice(), is_calibrated=True)
    worst = sorted(probability, reverse=True)
    expected = [2 * sum(worst[:n]) / (n + sum(worst)) for n in range(1, 61)]
    best = min(1 + expected.index(max(expected)), sum(p > 1 / 3 for p in worst))
    assert flagged.sum() == best
    assert probability[flagged].min() >= probability[~flagged].max()


def test_a_budget_a_precision_and_even_odds() -> None:
    probability = np.array([0.2, 0.99, 0.6, 0.9])
    margin = np.log(1 / probability - 1)

    def chosen(choice: Choice, *, is_calibrated: bool = True) -> list[int]:
        flagged = issues_among(probability, margin, choice, is_calibrated=is_calibrated)
        return np.flatnonzero(flagged).tolist()

    assert chosen(Choice(budget=2)) == [1, 3]
    assert chosen(Choice(budget=9)) == [0, 1, 2, 3]
    assert chosen(Choice(expected_precision=0.94)) == [1, 3]
    assert chosen(Choice(expected_precision=0.8)) == [1, 2, 3]
    assert chosen(Choice(expected_precision=1.0)) == []
    assert chosen(Choice(), is_calibrated=False) == [1, 2, 3]


def test_of_a_clean_set_nothing_is_an_issue() -> None:
    probability = np.full(10, 0.01)
    flagged = issues_among(probability, np.log(1 / probability - 1), Choice(), is_calibrated=True)
    assert not flagged.any()


@pytest.mark.parametrize(
    "wrong", [{"budget": 0}, {"expected_precision": 0.0}, {"budget": 3, "expected_precision": 0.9}]
)
def test_choices_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidArgument):
        Choice(**wrong)  # type: ignore[arg-type]


def test_an_interval_is_that_of_drawing_tiles_and_labels_anew() -> None:
    rng = np.random.default_rng(0)
    probability = rng.beta(0.5, 2, 300)
    means = []
    for _ in range(3000):
        drawn = probability[rng.integers(0, 300, 300)]
        means.append((rng.random(300) < drawn).mean())
    low, high = rate_interval(probability)
    assert low == pytest.approx(np.quantile(means, 0.025), abs=0.012)
    assert high == pytest.approx(np.quantile(means, 0.975), abs=0.012)


def test_intervals_of_many_shares_are_those_of_each_alone() -> None:
    shares, counts = np.tile([0.0, 0.1, 1.0], 5_000), np.tile([7, 400, 3], 5_000)
    low, high = share_intervals(shares, counts)
    # Of 400 tiles with 0.1 the middle 95 % of the binomial lies in 28…52.
    assert low[1::3] == pytest.approx(28 / 400, abs=0.02)
    assert high[1::3] == pytest.approx(52 / 400, abs=0.02)
    for ends in (low, high):
        assert not ends[::3].any()
        assert (ends[2::3] == 1).all()
