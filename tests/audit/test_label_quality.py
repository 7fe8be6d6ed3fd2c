"""Which classifiers are used, for tiles that the model was trained on and for others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from rsretrieve.audit.estimators.prototype_scores import score_labels
from rsretrieve.audit.estimators.unit_vectors import UnitRows
from rsretrieve.audit.evidence.evidence import Evidence
from rsretrieve.audit.findings import LabelFindings
from rsretrieve.audit.issue_selection import IssueSelection
from rsretrieve.audit.label_quality import AssessmentOptions, assess_labels
from rsretrieve.audit.posterior import LabelPosterior
from rsretrieve.data.labels.confirmed import ConfirmedLabel, Rule
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import Tile, TileSet

CLASSES, PER_CLASS, RATE = 8, 60, 0.27
NAMES = tuple("abcdefgh")


def unit(rows: NDArray[np.float64]) -> NDArray[np.float32]:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def evidence(known: float, seed: int = 0) -> tuple[Evidence, NDArray[np.bool_]]:
    """Evidence from a model that was trained on some of the tiles; and which labels are wrong.

    For these tiles the embedding follows the label, right or wrong, and the starting features
    follow the picture. For the others the embedding follows the picture.
    """
    rng = np.random.default_rng(seed)
    true = np.repeat(np.arange(CLASSES), PER_CLASS)
    moved = rng.integers(1, CLASSES, len(true)) * (rng.random(len(true)) < RATE)
    given = (true + moved) % CLASSES
    trained_on = rng.random(len(true)) < known
    learned = np.where(trained_on, given, true)
    directions = np.eye(CLASSES, 24)
    embedded = unit(directions[learned] + rng.normal(0, 0.12, (len(true), 24)))
    first = unit(directions[true] + rng.normal(0, 0.17, (len(true), 24)))
    first[~trained_on] = 0
    tiles = tuple(Tile(str(i), str(i), NAMES[label]) for i, label in enumerate(given))
    sizes = np.bincount(given, minlength=CLASSES)
    found = Evidence(
        *(TileSet("here", tiles), NAMES, UnitRows(embedded)),
        *(unit(directions), 0.1, sizes),
        starting_features=first if trained_on.any() else None,
    )
    return found, moved > 0


def judged(
    found: Evidence,
    budget: int | None = None,
    confirmed: NDArray[np.bool_] | None = None,
    said: list[str] | None = None,
) -> tuple[LabelPosterior, LabelFindings]:
    scores = score_labels(found.vectors, found.labels, found.prototypes, found.temperature)
    options = AssessmentOptions(IssueSelection(budget=budget))
    if confirmed is not None:
        rows = np.flatnonzero(confirmed).tolist()
        decided = [found.tiles[row] for row in rows]
        kept = {tile.id: ConfirmedLabel(Rule.REJECT, tile.label) for tile in decided}
        found = replace(found, tiles=found.tiles.with_confirmed(kept))
    notices = [] if said is None else said
    context = RunContext(listener=lambda event: notices.append(str(event)))
    return assess_labels(found, scores, options, context)


@pytest.mark.parametrize("known", [0.0, 0.01, 0.1, 0.3, 0.5, 0.9, 1.0])
@pytest.mark.medium
def test_errors_are_found_however_many_tiles_the_training_knew(known: float) -> None:
    found, wrong = evidence(known)
    posterior, findings = judged(found)
    assert (findings.is_label_issue & wrong).sum() > 0.9 * wrong.sum()
    assert (findings.is_label_issue & ~wrong).sum() < 0.1 * wrong.sum()
    assert posterior.issue_probability.mean() == pytest.approx(wrong.mean(), abs=0.03)


def test_classes_that_are_shifted_in_a_delivery_are_named_with_the_part() -> None:
    found, _ = evidence(0.5)
    true = np.repeat(np.arange(CLASSES), PER_CLASS)
    labels, said = np.where(found.seen, found.labels, (true + 1) % CLASSES), list[str]()
    posterior, _ = judged(with_labels(found, labels), said=said)
    named = [text for text in said if "most tiles labelled" in text]
    assert len(named) == CLASSES
    assert all("among the tiles that the model was not trained on" in text for text in named)
    assert (posterior.issue_probability[~found.seen] > 0.5).mean() > 0.95


def unseen(seed: int = 0) -> tuple[Evidence, NDArray[np.bool_]]:
    found, wrong = evidence(0.0, seed)
    return replace(found, trained_on=np.zeros(len(found.tiles), bool)), wrong


def with_labels(found: Evidence, labels: NDArray[np.int64]) -> Evidence:
    tiles = tuple(Tile(str(i), str(i), NAMES[label]) for i, label in enumerate(labels))
    return replace(found, tiles=TileSet("here", tiles))


@pytest.mark.parametrize("known", [0.3, 0.5, 0.7])
@pytest.mark.parametrize("clean", ["trained on", "new"])
@pytest.mark.medium
def test_right_labels_of_one_part_do_not_hide_wrong_labels_of_the_other(
    known: float, clean: str
) -> None:
    """A delivery is audited together with the tiles that the model was trained on."""
    found, wrong = evidence(known)
    true = np.repeat(np.arange(CLASSES), PER_CLASS)
    is_clean = found.seen if clean == "trained on" else ~found.seen
    labels, wrong = np.where(is_clean, true, found.labels), wrong & ~is_clean
    posterior, findings = judged(with_labels(found, labels))
    assert (findings.is_label_issue & wrong).sum() > 0.9 * wrong.sum()
    assert (findings.is_label_issue & ~wrong).sum() < 0.1 * wrong.sum()
    assert posterior.issue_probability.mean() == pytest.approx(wrong.mean(), abs=0.02)
    assert posterior.rates.low <= wrong.mean() <= posterior.rates.high


@pytest.mark.parametrize("known", [0.0, 1.0])
def test_labels_of_tiles_whose_classes_were_shifted_are_all_wrong(known: float) -> None:
    """Of tiles that the training has not seen, and of its tiles with their names of today."""
    found, _ = evidence(known) if known else unseen()
    learned = np.repeat(np.arange(CLASSES), PER_CLASS) if not known else found.labels
    notices: list[str] = []
    context = RunContext(listener=lambda event: notices.append(str(event)))
    shifted = with_labels(found, (learned + 1) % CLASSES)
    true = np.repeat(np.arange(CLASSES), PER_CLASS)
    scores = score_labels(shifted.vectors, shifted.labels, shifted.prototypes, shifted.temperature)
    posterior, findings = assess_labels(shifted, scores, AssessmentOptions(), context)
    wrong = (shifted.labels != true).mean()  # some that were wrong before became right
    assert posterior.issue_probability.mean() == pytest.approx(wrong, abs=0.02)
    assert posterior.rates.low <= wrong <= posterior.rates.high
    assert (findings.predicted == true).mean() > 0.98
    assert sum("most tiles labelled" in notice for notice in notices) == CLASSES


def test_a_class_that_the_prototypes_contradict_leaves_the_rate_undetermined() -> None:
    """Either the labels of the class are wrong, or the model does not fit its tiles."""
    found, _ = unseen()
    right = with_labels(found, np.repeat(np.arange(CLASSES), PER_CLASS))
    assert judged(right)[0].rates.can_be_told
    prototypes = np.eye(CLASSES, 24, dtype=np.float32)
    prototypes[0] = np.eye(24)[23]  # near no tile
    prototypes[1, 0] = 0.5
    misfit = replace(right, prototypes=unit(prototypes.astype(np.float64)))
    posterior, findings = judged(misfit)
    assert not posterior.rates.can_be_told
    assert posterior.rates.high > 1 / CLASSES
    assert not findings.is_label_issue.any()
    assert judged(replace(misfit, trained_on=None))[0].rates.can_be_told


@pytest.mark.parametrize(
    "given",
    [
        lambda true: np.zeros_like(true),  # one label for all
        lambda true: np.where(true < 4, 0, true),  # three classes that no tile is labelled as
        lambda true: true // 2,
    ],
)
def test_labels_that_lack_classes_which_the_prototypes_find_are_not_right_for_certain(
    given: Callable[[NDArray[np.int64]], NDArray[np.int64]],
) -> None:
    found, _ = unseen()
    true = np.repeat(np.arange(CLASSES), PER_CLASS)
    labels, notices = given(true), list[str]()
    posterior, _ = judged(with_labels(found, labels), said=notices)
    wrong = (labels != true).mean()
    rates = posterior.rates
    assert not rates.can_be_told
    assert rates.low <= wrong <= rates.high
    assert any("lie nearest to the prototype" in notice for notice in notices)


def test_a_few_tiles_of_a_class_that_no_label_names_widen_the_range() -> None:
    found, _ = unseen()
    true = np.repeat(np.arange(CLASSES), PER_CLASS)
    kept = np.flatnonzero((true > 0) | (np.arange(len(true)) < 12))
    labels = np.where(true == 0, 1, true)
    posterior, _ = judged(with_labels(found, labels).taken(kept))
    assert posterior.rates.can_be_told
    assert posterior.rates.low <= 12 / len(kept) <= posterior.rates.high


def test_a_few_tiles_of_the_training_do_not_hide_shifted_classes() -> None:
    found, _ = evidence(0.05)
    true = np.repeat(np.arange(CLASSES), PER_CLASS)
    shifted = with_labels(
        replace(found, trained_on=np.zeros(len(found.tiles), bool)), (true + 1) % CLASSES
    )
    posterior, _ = judged(shifted)
    assert posterior.issue_probability.mean() > 0.9


def test_tiles_of_a_training_without_starting_features_are_not_unseen() -> None:
    """A network that begins with random weights records none."""
    found, _ = evidence(0.0)
    true = np.repeat(np.arange(CLASSES), PER_CLASS)
    seen = np.ones(len(true), bool)
    posterior, _ = judged(with_labels(replace(found, trained_on=seen), true))
    assert np.isnan(posterior.independent).all()


def test_prototypes_of_another_set_of_tiles_are_independent() -> None:
    found, wrong = unseen()
    posterior, findings = judged(found)
    assert np.isfinite(posterior.independent).all()
    assert posterior.issue_probability.mean() == pytest.approx(wrong.mean(), abs=0.03)
    assert (findings.is_label_issue == wrong).mean() > 0.97


@pytest.mark.medium
def test_where_the_rate_cannot_be_told_nothing_is_flagged_but_a_budget() -> None:
    found, _ = evidence(0.0)
    random = np.random.default_rng(2).permutation(found.labels)
    for budget, flagged in ((None, 0), (7, 7)):
        posterior, findings = judged(with_labels(found, random), budget)
        assert not posterior.rates.can_be_told
        assert findings.is_label_issue.sum() == flagged


@pytest.mark.parametrize(
    ("known", "is_independent"), [(0.0, False), (0.05, False), (0.5, True), (1, True)]
)
def test_only_classifiers_not_trained_on_the_label_are_independent(
    known: float, is_independent: bool
) -> None:
    found, _ = evidence(known)
    posterior, findings = judged(found)
    assert np.isfinite(posterior.independent).all() == is_independent
    assert np.isnan(findings.witnessed_probability).all() == (not is_independent)


def scarce(found: Evidence) -> Evidence:
    """So few of the tiles that only prototypes are used."""
    few = np.arange(0, len(found.tiles), 12)
    assert found.starting_features is not None
    return replace(
        found,
        tiles=found.tiles.select(few.tolist()),
        vectors=UnitRows(found.vectors[few]),
        starting_features=found.starting_features[few],
    )


def test_prototypes_of_a_trained_model_are_not_independent() -> None:
    posterior, findings = judged(scarce(evidence(1.0)[0]))
    assert not posterior.is_calibrated
    assert np.isnan(findings.witnessed_probability).all()


@pytest.mark.medium
@pytest.mark.parametrize("few", [False, True])
def test_what_a_person_confirmed_is_right_and_costs_no_budget(few: bool) -> None:
    found = scarce(evidence(1.0)[0]) if few else evidence(1.0)[0]
    plain, _ = judged(found)
    confirmed = np.zeros(len(found.tiles), bool)
    confirmed[np.argsort(plain.margin)[:9]] = True
    posterior, findings = judged(found, 9, confirmed)
    assert posterior.is_calibrated == (not few)
    assert findings.is_label_issue.sum() == 9
    assert not (findings.is_label_issue & confirmed).any()
    assert posterior.issue_probability[confirmed].max() < 1e-6
    labels = found.labels
    assert posterior.expected_counts.sum() == pytest.approx(len(labels), rel=1e-4)
    gained = np.trace(posterior.expected_counts) - np.trace(plain.expected_counts)
    # The person errs in all nine decisions. The other labels count as before.
    assert gained == pytest.approx(plain.issue_probability[confirmed].sum(), abs=0.01)
    others = posterior.issue_probability[~confirmed]
    np.testing.assert_allclose(others, plain.issue_probability[~confirmed], atol=0.001)
    everyone, all_findings = judged(found, 9, np.ones_like(confirmed))
    assert not all_findings.is_label_issue.any()
    assert everyone.issue_probability.max() < 1e-6
