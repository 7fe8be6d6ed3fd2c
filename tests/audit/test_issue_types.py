"""Types of issue, each where it should be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rsretrieve.audit.estimators.prototype_scores import LabelScores, score_labels
from rsretrieve.audit.estimators.unit_vectors import UnitRows
from rsretrieve.audit.evidence.evidence import Evidence
from rsretrieve.audit.findings import LabelFindings, label_findings
from rsretrieve.audit.issue_types import (
    ISSUE_TYPES,
    NO_ISSUE,
    SMALLEST_CLASS,
    IssueType,
    LabelContext,
    classify_issues,
)
from rsretrieve.audit.posterior import posterior_from_prototypes
from rsretrieve.data.tile import Tile, TileSet

SIGMA = 0.1


def directions(*degrees: float) -> np.ndarray:
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


PROTOTYPES = directions(0, 60, 120)
# 30 good tiles of class 0 and of class 1, within 3 degrees of their prototypes.
GOOD = np.concatenate([np.linspace(-3, 3, 30), 60 + np.linspace(-3, 3, 30)])


def findings_of(degrees: np.ndarray, labels: np.ndarray, scores: LabelScores) -> LabelFindings:
    """By the prototypes alone."""
    tiles = tuple(Tile(str(i), str(i), "abc"[label]) for i, label in enumerate(labels))
    evidence = Evidence(
        *(TileSet("here", tiles), ("a", "b", "c"), UnitRows(directions(*degrees)), PROTOTYPES),
        *(SIGMA, np.bincount(labels, minlength=3)),
    )
    posterior = posterior_from_prototypes(scores, labels, SIGMA, 3)
    return label_findings(evidence, posterior, scores.is_issue, scores, None)


def classified(doubtful: dict[float, int], sizes: tuple[int, ...] = (50, 50, 50), twin: int = -1):
    """Types and confidence of tiles (degrees → given label) among good ones."""
    degrees = np.array([*GOOD, *doubtful])
    labels = np.array([0] * 30 + [1] * 30 + list(doubtful.values()))
    scores = score_labels(UnitRows(directions(*degrees)), labels, PROTOTYPES, SIGMA)
    has_twin = np.arange(len(labels)) == (60 + twin if twin >= 0 else -1)
    said = findings_of(degrees, labels, scores)
    found, sure = classify_issues(scores, said, LabelContext(labels, np.array(sizes), has_twin))
    assert (found[:60] == NO_ISSUE).all()
    assert not sure[:60].any()
    names = [None if kind == NO_ISSUE else ISSUE_TYPES[kind] for kind in found[60:]]
    return names, sure[60:].tolist()


def types(*args, **kwargs):
    return classified(*args, **kwargs)[0]


def test_the_class_of_a_confirmed_label_is_the_predicted_one() -> None:
    degrees, labels = np.array([0.0, 3.0, 61.0, 118.0]), np.array([1, 0, 1, 2])
    scores = score_labels(UnitRows(directions(*degrees)), labels, PROTOTYPES, SIGMA)
    said = findings_of(degrees, labels, scores.with_confirmed(labels == 1))
    assert said.predicted.tolist() == labels.tolist()
    assert said.runner_up.tolist() == [0, 1, 2, 1]
    assert said.predicted_probability == pytest.approx(said.label_score)
    assert said.label_score[[0, 2]] == pytest.approx(1)


def test_types_are_told_apart() -> None:
    doubtful = {2.0: 1, 31.0: 0, 29.0: 0, 240.0: 0, 1.0: 0}
    assert types(doubtful) == [
        IssueType.WRONG_LABEL,  # at class 0, given 1
        IssueType.AMBIGUOUS,  # between the two, and a little nearer to class 1
        None,  # between the two, and a little nearer to its own
        IssueType.OFF_TOPIC,  # far from all
        None,
    ]


@pytest.mark.parametrize(("odds_angle", "kind"), [(33, "ambiguous"), (37, "wrong_label")])
def test_two_classes_are_near_up_to_odds_of_three(odds_angle: float, kind: str) -> None:
    gap = np.cos(np.radians(60 - odds_angle)) - np.cos(np.radians(odds_angle))
    assert (np.exp(gap / SIGMA) < 3) == (kind == "ambiguous")
    assert types({odds_angle: 0}) == [kind]


def test_a_twin_with_another_label_comes_before_every_other_kind() -> None:
    assert types({2.0: 1, 240.0: 0}, twin=1) == [IssueType.WRONG_LABEL, IssueType.DUPLICATE]
    assert types({1.0: 0}, twin=0) == [IssueType.DUPLICATE]


@pytest.mark.parametrize("twin", [-1, 0])
@pytest.mark.parametrize(
    ("degrees", "given", "sizes", "sure"),
    [
        (2.0, 1, (50, 50, 50), True),
        (1.0, 0, (50, 50, 50), False),  # not thought wrong
        (31.0, 0, (50, 50, 50), False),  # between two classes
        (240.0, 1, (50, 50, 50), False),  # of no class
        (2.0, 1, (SMALLEST_CLASS - 1, 50, 50), False),
    ],
)
def test_a_suggestion_is_sure_where_one_class_is_near_twin_or_none(
    degrees: float, given: int, sizes: tuple[int, ...], sure: bool, twin: int
) -> None:
    assert classified({degrees: given}, sizes, twin)[1] == [sure]


@pytest.mark.parametrize("sizes", [(SMALLEST_CLASS - 1, 50, 50), (50, SMALLEST_CLASS - 1, 50)])
def test_a_small_class_neither_accuses_nor_is_accused(sizes: tuple[int, ...]) -> None:
    assert types({2.0: 1}, sizes) == [IssueType.RARE_CLASS]
    assert types({2.0: 1}, tuple(max(s, SMALLEST_CLASS) for s in sizes)) == ["wrong_label"]


def test_of_few_tiles_nobody_is_off_topic() -> None:
    degrees, labels = np.array([0, 60, 300]), np.array([0, 1, 0])
    scores = score_labels(UnitRows(directions(*degrees)), labels, PROTOTYPES, SIGMA)
    rules = LabelContext(labels, np.full(3, 50), np.zeros(3, bool))
    types, confident = classify_issues(scores, findings_of(degrees, labels, scores), rules)
    assert (types == NO_ISSUE).all()
    assert not confident.any()


def test_without_flags_and_twins_there_are_no_types() -> None:
    degrees, labels = np.array([*GOOD]), np.array([0] * 30 + [1] * 30)
    scores: LabelScores = score_labels(UnitRows(directions(*degrees)), labels, PROTOTYPES, SIGMA)
    scores = replace(scores, label_score=np.full(60, 0.9))
    rules = LabelContext(labels, np.full(3, 50), np.zeros(60, bool))
    types, confident = classify_issues(scores, findings_of(degrees, labels, scores), rules)
    assert (types == NO_ISSUE).all()
    assert not confident.any()
