"""An audit's figures against hand-worked examples and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import (
    average_precision_score,
    f1_score,
    precision_score,
    recall_score,
    roc_auc_score,
)

from rsretrieve.evaluation.label_error_metrics import (
    AuditFigures,
    audit_figures,
    auroc,
    average_precision,
)

Mask = NDArray[np.bool_]

judged = st.lists(
    st.tuples(st.integers(-3, 3), st.booleans(), st.booleans(), st.booleans()),
    min_size=1,
    max_size=25,
)
unhurried = settings(deadline=None, max_examples=60)


def mask(*values: int) -> Mask:
    return np.array(values, bool)


def columns(
    rows: list[tuple[int, bool, bool, bool]],
) -> tuple[NDArray[np.float64], Mask, Mask, Mask]:
    badness, flagged, wrong, right = zip(*rows)
    return np.array(badness, float), mask(*flagged), mask(*wrong), mask(*right)


def test_figures_by_hand() -> None:
    badness = np.array([4.0, 3.0, 2.0, 1.0, 0.0])
    flagged, wrong = mask(1, 1, 1, 0, 0), mask(1, 0, 1, 1, 0)
    figures = audit_figures(badness, flagged, wrong, suggestion_right=mask(1, 0, 0, 1, 1))
    assert figures == AuditFigures(
        noise_rate=3 / 5,
        # Of six pairs of a wrong and a right label four are in order: 4>3, 4>0, 2>0, 1>0.
        auroc=4 / 6,
        average_precision=pytest.approx((1 / 1 + 2 / 3 + 3 / 4) / 3),
        precision=2 / 3,
        recall=2 / 3,
        f1=2 / 3,
        suggestion_accuracy=1 / 2,
    )


@unhurried
@given(judged)
def test_auroc_equals_scikit_learns(rows: list[tuple[int, bool, bool, bool]]) -> None:
    badness, _, wrong, _ = columns(rows)
    assume(0 < wrong.sum() < len(wrong))
    assert auroc(badness, wrong) == pytest.approx(roc_auc_score(wrong, badness))


@unhurried
@given(judged)
def test_auroc_is_the_share_of_pairs_in_order(rows: list[tuple[int, bool, bool, bool]]) -> None:
    badness, _, wrong, _ = columns(rows)
    pairs = [(b, g) for b in badness[wrong] for g in badness[~wrong]]
    assume(pairs)
    in_order = sum(1.0 if b > g else 0.5 if b == g else 0.0 for b, g in pairs)
    assert auroc(badness, wrong) == pytest.approx(in_order / len(pairs))


@unhurried
@given(judged)
def test_average_precision_equals_scikit_learns(
    rows: list[tuple[int, bool, bool, bool]],
) -> None:
    badness, _, wrong, _ = columns(rows)
    assume(wrong.any())
    expected = average_precision_score(wrong, badness)
    assert average_precision(badness, wrong) == pytest.approx(expected)


@pytest.mark.medium
@unhurried
@given(judged)
def test_precision_recall_and_f1_equal_scikit_learns(
    rows: list[tuple[int, bool, bool, bool]],
) -> None:
    badness, flagged, wrong, right = columns(rows)
    assume(flagged.any() and wrong.any())
    figures = audit_figures(badness, flagged, wrong, right)
    assert figures.precision == pytest.approx(precision_score(wrong, flagged))
    assert figures.recall == pytest.approx(recall_score(wrong, flagged))
    assert figures.f1 == pytest.approx(f1_score(wrong, flagged))


@unhurried
@given(judged)
def test_figures_hang_on_no_order(rows: list[tuple[int, bool, bool, bool]]) -> None:
    one, other = audit_figures(*columns(rows)), audit_figures(*columns(rows[::-1]))
    assert one.auroc == pytest.approx(other.auroc)
    assert one.average_precision == pytest.approx(other.average_precision)


def figures(flagged: Mask, wrong: Mask) -> AuditFigures:
    return audit_figures(np.arange(len(wrong), dtype=float), flagged, wrong, wrong)


def test_without_a_wrong_label_what_is_found_of_them_is_undefined() -> None:
    found = figures(mask(1, 0, 0), mask(0, 0, 0))
    assert (found.noise_rate, found.precision, found.f1) == (0, 0, 0)
    assert found.auroc is None
    assert found.average_precision is None
    assert found.recall is None
    assert found.suggestion_accuracy is None


def test_without_a_flag_precision_is_undefined() -> None:
    found = figures(mask(0, 0, 0), mask(1, 0, 0))
    assert (found.recall, found.f1) == (0, 0)
    assert found.precision is None
    assert found.suggestion_accuracy is None


def test_without_flags_and_wrong_labels_f1_is_undefined() -> None:
    assert figures(mask(0, 0), mask(0, 0)).f1 is None


def test_where_every_label_is_wrong_there_is_nothing_to_rank() -> None:
    found = figures(mask(1, 1), mask(1, 1))
    assert found.auroc is None
    assert found.average_precision == 1
    assert found.noise_rate == 1


def test_a_perfect_audit_is_perfect() -> None:
    found = audit_figures(np.array([2.0, 1.0, 0.0]), mask(1, 1, 0), mask(1, 1, 0), mask(1, 1, 1))
    assert found == AuditFigures(pytest.approx(2 / 3), 1, 1, 1, 1, 1, 1)
