"""Classifiers, the EM fit and the selection, against plain loops and against made-up noise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from rsretrieve.audit.estimators.classifiers import (
    Discriminant,
    FixedScores,
    NeighbourVotes,
    Restricted,
    assign_folds,
)
from rsretrieve.audit.estimators.dawid_skene import ClassifierSet, EMState, fit_dawid_skene
from rsretrieve.audit.estimators.unit_vectors import UnitRows
from rsretrieve.audit.issue_selection import IssueSelection, select_issues
from rsretrieve.audit.noise_rate import share_intervals
from rsretrieve.audit.posterior import posterior_from_em
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


# Classifiers


def test_folds_hold_as_many_of_every_class() -> None:
    labels = np.repeat([0, 1, 2], [10, 25, 5])
    folds = assign_folds(labels, 5)
    for label, count in enumerate((10, 25, 5)):
        assert np.bincount(folds[labels == label], minlength=5).tolist() == [count // 5] * 5


def test_a_discriminant_is_that_of_scikit_learn_on_the_other_folds() -> None:
    rows, true = clusters(spread=0.5)
    folds = assign_folds(true, 4)
    found = Discriminant(rows, folds).class_scores(np.eye(CLASSES, dtype=np.float32)[true])
    for fold in range(4):
        others, scored = folds != fold, folds == fold
        oracle = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.1)
        oracle.fit(rows[others], true[others])
        agree = oracle.predict(rows[scored]) == found[scored].argmax(axis=1)
        assert agree.mean() > 0.97


def test_the_posterior_of_a_tile_does_not_change_its_own_scores() -> None:
    rows, true = clusters()
    posterior = np.eye(CLASSES, dtype=np.float32)[true]
    classifiers = (
        Discriminant(rows, assign_folds(true, 5)),
        NeighbourVotes.among(UnitRows(rows)),
    )
    for classifier in classifiers:
        before = classifier.class_scores(posterior)
        changed = posterior.copy()
        changed[7] = np.roll(changed[7], 1)
        after = classifier.class_scores(changed)
        np.testing.assert_array_equal(after[7], before[7])
        assert not np.array_equal(after, before)


def test_votes_are_counted_by_a_loop() -> None:
    rows, true = clusters()
    posterior = np.eye(CLASSES, dtype=np.float32)[true]
    found = NeighbourVotes.among(UnitRows(rows)).shares(posterior)
    for i in (0, 50, 159):
        cosines = sorted(
            ((float(rows[i] @ rows[j]), j) for j in range(len(rows)) if j != i), reverse=True
        )[:15]
        weights = [math.exp(s / 0.1) for s, _ in cosines]
        shares = np.zeros(CLASSES)
        for weight, (_, j) in zip(weights, cosines):
            shares[true[j]] += weight / sum(weights)
        np.testing.assert_allclose(found[i], shares, atol=1e-4)


def test_unknown_tiles_get_equal_scores_and_do_not_vote() -> None:
    rows, true = clusters()
    rows[3] = 0
    posterior = np.eye(CLASSES, dtype=np.float32)[true]
    for classifier in (
        Discriminant(rows, assign_folds(true, 5)),
        NeighbourVotes.among(UnitRows(rows)),
    ):
        scores = classifier.class_scores(posterior)
        assert np.ptp(scores[3]) == 0
        changed = posterior.copy()
        changed[3] = 1 / CLASSES
        np.testing.assert_array_equal(classifier.class_scores(changed), scores)


# The EM fit


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.3])
def test_wrong_labels_are_found_and_counted(rate: float) -> None:
    rows, true = clusters(spread=0.4)
    given = noisy(true, rate)
    wrong = given != true
    classifiers = [
        Discriminant(rows, assign_folds(given, 5)),
        NeighbourVotes.among(UnitRows(rows)),
    ]
    posterior = posterior_from_em(
        fit_dawid_skene(given, CLASSES, ClassifierSet(classifiers)), given
    )
    probability = posterior.issue_probability
    assert probability.mean() == pytest.approx(wrong.mean(), abs=0.03)
    flagged = select_issues(probability, posterior.margin, IssueSelection(), is_calibrated=True)
    assert (flagged != wrong).mean() < 0.03
    assert posterior.expected_counts.sum() == pytest.approx(len(given), rel=1e-4)
    if rate:
        found = auroc(-posterior.margin, wrong)
        assert found is not None
        assert found > 0.97
        assert (posterior.ranked[flagged & wrong, 0] == true[flagged & wrong]).mean() > 0.95


def test_a_classifier_that_memorised_the_labels_has_little_weight() -> None:
    rows, true = clusters(spread=0.6)
    given = noisy(true, 0.3)
    independent = [
        Discriminant(rows, assign_folds(given, 5)),
        NeighbourVotes.among(UnitRows(rows)),
    ]
    memorised = FixedScores(np.eye(CLASSES, dtype=np.float32)[given])
    alone = posterior_from_em(fit_dawid_skene(given, CLASSES, ClassifierSet(independent)), given)
    beside = posterior_from_em(
        fit_dawid_skene(given, CLASSES, ClassifierSet(independent, [memorised])), given
    )
    trusting = posterior_from_em(
        fit_dawid_skene(given, CLASSES, ClassifierSet([*independent, memorised])), given
    )
    wrong = given != true
    figures = [auroc(-found.margin, wrong) or 0 for found in (alone, beside, trusting)]
    assert figures[1] > 0.9
    assert figures[1] > figures[2]


def test_the_area_under_the_margin_is_used_where_it_is_known() -> None:
    rows, true = clusters(spread=1.0)
    given = noisy(true, 0.3)
    wrong = given != true
    rng = np.random.default_rng(3)
    telling = np.where(wrong, -2, 2) + rng.normal(0, 1.0, len(true)).astype(np.float32)
    classifiers = [
        Discriminant(rows, assign_folds(given, 5)),
        NeighbourVotes.among(UnitRows(rows)),
    ]
    uninformative = FixedScores(np.zeros((len(true), CLASSES), np.float32))
    unknown = np.full(len(true), np.nan, np.float32)
    found = {}
    for name, areas in (("none", None), ("unknown", unknown), ("telling", telling)):
        fitted = fit_dawid_skene(
            given, CLASSES, ClassifierSet(classifiers, [uninformative], areas=areas)
        )
        found[name] = posterior_from_em(fitted, given).margin
    figures = {name: auroc(-margin, wrong) or 0 for name, margin in found.items()}
    np.testing.assert_allclose(found["unknown"], found["none"], atol=1e-3)
    assert figures["telling"] > figures["none"] + 0.02


def test_the_curve_of_the_area_is_fitted_to_the_posterior_of_all_other_classifiers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows, true = clusters(spread=1.4)
    given = noisy(true, 0.3)
    wrong = given != true
    posteriors: list[NDArray[np.float32]] = []

    def recorded(
        state: EMState, areas: NDArray[np.float32], posterior: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        posteriors.append(posterior)
        return np.zeros_like(posterior)

    monkeypatch.setattr(EMState, "log_p_by_area", recorded)
    classifiers = [
        Discriminant(rows, assign_folds(given, 5)),
        NeighbourVotes.among(UnitRows(rows)),
    ]
    knowing = FixedScores(np.eye(CLASSES, dtype=np.float32)[true])
    areas = np.zeros(len(true), np.float32)
    fit_dawid_skene(given, CLASSES, ClassifierSet(classifiers, [knowing], areas=areas))
    independent = fit_dawid_skene(given, CLASSES, ClassifierSet(classifiers)).posterior
    labels = np.arange(len(true)), given
    by_all, by_independent = (
        auroc(-found[labels], wrong) or 0 for found in (posteriors[-1], independent)
    )
    assert by_all > by_independent + 0.05


def test_equal_in_sample_classifiers_count_once() -> None:
    rows, true = clusters(spread=1.2)
    given = noisy(true, 0.3)
    independent = [Discriminant(rows[:, :3].copy(), assign_folds(given, 5))]
    learned = FixedScores(rows @ np.eye(6, CLASSES, dtype=np.float32))
    once, thrice = (
        fit_dawid_skene(given, CLASSES, ClassifierSet(independent, [learned] * n)).posterior
        for n in (1, 3)
    )
    np.testing.assert_allclose(thrice, once, atol=0.06)


def test_posteriors_and_transitions_sum_to_one() -> None:
    rows, true = clusters()
    given = noisy(true, 0.2)
    advanced: list[int] = []
    classifiers = ClassifierSet([Discriminant(rows, assign_folds(given, 5))])
    found = fit_dawid_skene(given, CLASSES, classifiers, advanced.append)
    np.testing.assert_allclose(found.posterior.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(found.transitions.sum(axis=1), 1)
    assert set(advanced) == {len(given)}


# Selection


def test_issues_have_the_highest_expected_f1() -> None:
    rng = np.random.default_rng(0)
    probability = rng.beta(0.4, 1, 60)
    margin = np.log(1 / probability - 1)
    flagged = select_issues(probability, margin, IssueSelection(), is_calibrated=True)
    worst = sorted(probability, reverse=True)
    expected = [2 * sum(worst[:n]) / (n + sum(worst)) for n in range(1, 61)]
    best = min(1 + expected.index(max(expected)), sum(p > 1 / 3 for p in worst))
    assert flagged.sum() == best
    assert probability[flagged].min() >= probability[~flagged].max()


def test_a_budget_a_precision_and_even_odds() -> None:
    probability = np.array([0.2, 0.99, 0.6, 0.9])
    margin = np.log(1 / probability - 1)

    def chosen(choice: IssueSelection, *, is_calibrated: bool = True) -> list[int]:
        flagged = select_issues(probability, margin, choice, is_calibrated=is_calibrated)
        return np.flatnonzero(flagged).tolist()

    assert chosen(IssueSelection(budget=2)) == [1, 3]
    assert chosen(IssueSelection(budget=9)) == [0, 1, 2, 3]
    assert chosen(IssueSelection(expected_precision=0.94)) == [1, 3]
    assert chosen(IssueSelection(expected_precision=0.8)) == [1, 2, 3]
    assert chosen(IssueSelection(expected_precision=1.0)) == []
    assert chosen(IssueSelection(), is_calibrated=False) == [1, 2, 3]


def test_of_a_clean_set_nothing_is_an_issue() -> None:
    probability = np.full(10, 0.01)
    flagged = select_issues(
        probability, np.log(1 / probability - 1), IssueSelection(), is_calibrated=True
    )
    assert not flagged.any()


@pytest.mark.parametrize(
    "wrong", [{"budget": 0}, {"expected_precision": 0.0}, {"budget": 3, "expected_precision": 0.9}]
)
def test_an_impossible_selection_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidArgument):
        IssueSelection(**wrong)  # type: ignore[arg-type]


def test_an_interval_is_that_of_drawing_tiles_and_labels_anew() -> None:
    rng = np.random.default_rng(0)
    probability = rng.beta(0.5, 2, 300)
    means = []
    for _ in range(3000):
        drawn = probability[rng.integers(0, 300, 300)]
        means.append((rng.random(300) < drawn).mean())
    low, high = share_intervals(np.array([probability.mean()]), np.array([300]))
    assert low[0] == pytest.approx(np.quantile(means, 0.025), abs=0.012)
    assert high[0] == pytest.approx(np.quantile(means, 0.975), abs=0.012)


def test_intervals_are_score_intervals_and_contain_their_share() -> None:
    shares = np.array([0.0, 0.1, 1.0, 5.8e-07, 0.9971])
    low, high = share_intervals(shares, np.array([7, 400, 3, 60, 60]))
    # scipy.stats.binomtest(0, 7), (40, 400) and (3, 3): proportion_ci(method="wilson")
    assert low[:3] == pytest.approx([0.0, 0.07430, 0.43850], abs=1e-4)
    assert high[:3] == pytest.approx([0.35433, 0.13331, 1.0], abs=1e-4)
    assert (low <= shares).all()
    assert (shares <= high).all()
    assert (high - low > 0.01).all()


def test_prototypes_by_which_a_class_is_lost_are_not_used() -> None:
    rows, true = clusters(spread=1.2)
    given = noisy(true, 0.1)
    # By the model's prototypes every tile of the last class is certainly of the first one.
    mistaken = 9.0 * np.eye(CLASSES)[np.where(true == CLASSES - 1, 0, true)]
    prototypes = Restricted(FixedScores(mistaken), np.ones(len(true), bool))
    discriminant = Discriminant(rows, assign_folds(given, 5))
    found = fit_dawid_skene(given, CLASSES, ClassifierSet([discriminant, prototypes]))
    alone = fit_dawid_skene(given, CLASSES, ClassifierSet([discriminant]))
    np.testing.assert_array_equal(found.posterior, alone.posterior)
    assert found.rates.low <= float((given != true).mean()) <= found.rates.high
    # Prototypes that tell all classes are used.
    right = Restricted(FixedScores(9.0 * np.eye(CLASSES)[true]), np.ones(len(true), bool))
    joined = fit_dawid_skene(given, CLASSES, ClassifierSet([discriminant, right]))
    assert not np.array_equal(joined.posterior, alone.posterior)
