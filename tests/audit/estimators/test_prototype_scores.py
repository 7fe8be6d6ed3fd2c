"""Label scores against plain loops over the formula, and their extremes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from rsretrieve.audit.estimators import unit_vectors as module
from rsretrieve.audit.estimators.prototype_scores import (
    LabelScores,
    LeftOut,
    nearest_classes,
    score_labels,
)
from rsretrieve.audit.estimators.unit_vectors import UnitRows

Vectors = NDArray[np.float32]
SIGMA = 0.05


def unit_rows(rows: int, seed: int) -> Vectors:
    vectors = np.random.default_rng(seed).standard_normal((rows, 6))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def at_degrees(*angles: float) -> Vectors:
    return np.array([[math.cos(a), math.sin(a)] for a in np.radians(angles)], np.float32)


def random_scores(rows: int, classes: int, seed: int, sigma: float = SIGMA) -> LabelScores:
    labels = np.random.default_rng(seed).integers(0, classes, rows)
    return score_labels(
        UnitRows(unit_rows(rows, seed)), labels, unit_rows(classes, seed + 1), sigma
    )


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_scores_are_a_softmax_over_the_own_and_the_best_other_class(classes: int) -> None:
    vectors, prototypes = unit_rows(30, 1), unit_rows(classes, 2)
    labels = np.random.default_rng(3).integers(0, classes, 30)
    scores = score_labels(UnitRows(vectors), labels, prototypes, SIGMA)
    for i, label in enumerate(labels):
        cosines = [sum(float(a) * float(b) for a, b in zip(w, vectors[i])) for w in prototypes]
        own, best_other = cosines[label], max(c for k, c in enumerate(cosines) if k != label)
        score = math.exp(own / SIGMA) / (math.exp(own / SIGMA) + math.exp(best_other / SIGMA))
        assert scores.label_score[i] == pytest.approx(score, abs=1e-5)
        assert scores.margin[i] == pytest.approx(own - best_other, abs=1e-6)
        assert scores.own_similarity[i] == pytest.approx(own, abs=1e-6)
        assert scores.predicted[i] == cosines.index(max(cosines))
        assert scores.predicted_similarity[i] == pytest.approx(max(cosines), abs=1e-6)
        assert scores.is_issue[i] == (best_other > own)


def test_scores_by_hand() -> None:
    # Prototypes at 0° and 90°; cosines of 30° are √¾ and ½.
    scores = score_labels(
        UnitRows(at_degrees(30, 30, 45)), np.array([0, 1, 0]), at_degrees(0, 90), 0.5
    )
    gap = math.sqrt(0.75) - 0.5
    assert scores.label_score.tolist() == pytest.approx(
        [1 / (1 + math.exp(-gap / 0.5)), 1 / (1 + math.exp(gap / 0.5)), 0.5], abs=1e-6
    )
    assert scores.is_issue.tolist()[:2] == [False, True]
    assert scores.predicted.tolist()[:2] == [0, 0]


def test_a_label_as_good_as_the_best_other_is_no_issue() -> None:
    prototypes = np.array([[1, 0], [1, 0], [0, 1]], np.float32)
    scores = score_labels(UnitRows(at_degrees(0, 0)), np.array([0, 1]), prototypes, SIGMA)
    assert scores.label_score.tolist() == [0.5, 0.5]
    assert scores.is_issue.tolist() == [False, False]


@pytest.mark.parametrize("sigma", [1e-9, 1e-4, 1e4])
def test_scores_of_any_temperature_lie_within_their_range(sigma: float) -> None:
    scores = random_scores(50, 4, 0, sigma)
    assert ((scores.label_score >= 0) & (scores.label_score <= 1)).all()
    assert (np.abs(scores.margin) <= 2).all()


@settings(deadline=None, max_examples=40)
@given(st.integers(2, 6), st.integers(0, 1000), st.floats(0.01, 2))
def test_scores_order_tiles_as_margins_do(classes: int, seed: int, sigma: float) -> None:
    scores = random_scores(20, classes, seed, sigma)
    ordered = scores.label_score[np.argsort(scores.margin)]
    assert (np.diff(ordered) >= 0).all()


@settings(deadline=None, max_examples=40)
@given(st.integers(2, 6), st.integers(0, 1000))
def test_a_label_is_an_issue_where_another_is_predicted(classes: int, seed: int) -> None:
    scores = random_scores(20, classes, seed)
    labels = np.random.default_rng(seed).integers(0, classes, 20)
    assert np.array_equal(scores.is_issue, scores.predicted != labels)
    assert np.array_equal(scores.is_issue, scores.margin < 0)


@pytest.mark.parametrize("block_bytes", [1, 100])
def test_the_size_of_blocks_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, block_bytes: int
) -> None:
    whole = random_scores(23, 5, 0)
    monkeypatch.setattr(module, "BLOCK_BYTES", block_bytes)
    parted = random_scores(23, 5, 0)
    assert parted.label_score == pytest.approx(whole.label_score, abs=1e-6)
    assert parted.predicted.tolist() == whole.predicted.tolist()


def test_no_tiles_have_no_scores() -> None:
    scores = score_labels(
        UnitRows(np.empty((0, 6), np.float32)), np.empty(0, int), unit_rows(3, 0), SIGMA
    )
    assert len(scores.label_score) == len(scores.predicted) == len(scores.is_issue) == 0


def test_the_vectors_given_are_left_as_they_are() -> None:
    vectors, prototypes = unit_rows(5, 0), unit_rows(3, 1)
    before = vectors.copy(), prototypes.copy()
    score_labels(UnitRows(vectors), np.zeros(5, int), prototypes, SIGMA)
    assert np.array_equal(vectors, before[0])
    assert np.array_equal(prototypes, before[1])


@pytest.mark.parametrize("block_bytes", [100, module.BLOCK_BYTES])
def test_left_out_similarities_are_those_to_the_mean_of_the_others(
    monkeypatch: pytest.MonkeyPatch, block_bytes: int
) -> None:
    monkeypatch.setattr(module, "BLOCK_BYTES", block_bytes)
    vectors, labels = unit_rows(30, 4), np.random.default_rng(5).integers(0, 3, 30)
    members = np.random.default_rng(6).random(30) < 0.7
    sums = np.stack([vectors[members & (labels == c)].sum(axis=0) for c in range(3)])
    norms = np.linalg.norm(sums, axis=1)
    prototypes = (sums / norms[:, None]).astype(np.float32)
    left_out = LeftOut(norms.astype(np.float64), members)
    scores = score_labels(UnitRows(vectors), labels, prototypes, SIGMA, left_out)
    for i, label in enumerate(labels):
        rest = [vectors[j] for j in range(30) if members[j] and labels[j] == label and j != i]
        mean = np.sum(rest, axis=0)
        expected = float(mean @ vectors[i]) / float(np.linalg.norm(mean))
        assert scores.own_similarity[i] == pytest.approx(expected, abs=1e-5)
        cosines = {c: float(prototypes[c] @ vectors[i]) for c in range(3)} | {label: expected}
        best_other = max(cosine for c, cosine in cosines.items() if c != label)
        assert scores.margin[i] == pytest.approx(expected - best_other, abs=1e-5)
        assert scores.predicted[i] == max(cosines, key=lambda c: cosines[c])
        assert scores.predicted_similarity[i] == pytest.approx(max(cosines.values()), abs=1e-5)


def test_what_is_left_of_a_prototype_may_be_short() -> None:
    # Of three members at 0°, 70° and 200° the last two add up to a vector at 135°, which is
    # 2·cos 65° = 0.85 long.
    vectors = at_degrees(0, 70, 200)
    norm = np.linalg.norm(vectors.sum(axis=0))
    own = (vectors[:1] @ vectors.sum(axis=0) / norm).astype(np.float32)
    left_out = LeftOut(np.array([norm], np.float64), np.ones(1, bool))
    found = left_out.own_similarity(own, np.zeros(1, int), slice(0, 1))
    assert found == pytest.approx([math.cos(math.radians(135))], abs=1e-5)
    assert found.dtype == np.float32


@pytest.mark.parametrize("cosine", [-1, 1])
def test_rounding_leaves_cosines_between_minus_one_and_one(cosine: int) -> None:
    own = np.array([cosine * (1 + 2**-21)], np.float32)  # as products of unit rows may be
    left_out = LeftOut(np.full(1, 100.0), np.ones(1, bool))
    found = left_out.own_similarity(own, np.zeros(1, int), slice(0, 1))
    assert found.tolist() == [cosine]


def test_scores_have_the_types_that_are_promised() -> None:
    scores = random_scores(5, 3, 0)
    assert scores.label_score.dtype == scores.margin.dtype == np.float64
    for similarity in (scores.own_similarity, scores.predicted_similarity):
        assert similarity.dtype == scores.runner_up_similarity.dtype == np.float32
    assert scores.predicted.dtype == scores.runner_up.dtype == np.int64
    classes, similarity = nearest_classes(UnitRows(unit_rows(5, 0)), unit_rows(3, 1))
    assert (classes.dtype, similarity.dtype) == (np.int64, np.float32)


def test_progress_tells_of_every_tile_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK_BYTES", 100)
    scored, found = list[int](), list[int]()
    vectors, prototypes = UnitRows(unit_rows(23, 0)), unit_rows(3, 1)
    score_labels(vectors, np.zeros(23, int), prototypes, SIGMA, advance=scored.append)
    nearest_classes(vectors, prototypes, found.append)
    assert sum(scored) == sum(found) == 23
    assert len(scored) == len(found) > 1


def test_of_the_only_member_of_a_class_nothing_is_known() -> None:
    vectors = unit_rows(3, 0)
    left_out = LeftOut(np.ones(3), np.ones(3, bool))
    scores = score_labels(UnitRows(vectors), np.arange(3), vectors, SIGMA, left_out)
    assert scores.own_similarity.tolist() == [0, 0, 0]


def test_the_runner_up_is_the_second_nearest_class() -> None:
    vectors, prototypes = unit_rows(30, 1), unit_rows(7, 2)
    labels = np.random.default_rng(3).integers(0, 7, 30)
    scores = score_labels(UnitRows(vectors), labels, prototypes, SIGMA)
    for i in range(30):
        cosines = {c: float(prototypes[c] @ vectors[i]) for c in range(7)}
        first, second = sorted(cosines, key=lambda c: -cosines[c])[:2]
        assert (scores.predicted[i], scores.runner_up[i]) == (first, second)
        assert scores.runner_up_similarity[i] == pytest.approx(cosines[second], abs=1e-5)
    nearest, similarity = nearest_classes(UnitRows(vectors), prototypes)
    assert np.array_equal(nearest, scores.predicted)
    assert np.array_equal(similarity, scores.predicted_similarity)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_rows_of_any_length_and_type_are_made_unit(dtype: type) -> None:
    source = (unit_rows(5, 0) * np.array([[1], [2], [0.5], [7], [3]])).astype(dtype)
    rows = UnitRows(source, np.array([4, 2]))
    assert len(rows) == 2
    assert rows[:].dtype == np.float32
    assert rows[:] == pytest.approx(unit_rows(5, 0)[[4, 2]], abs=2e-3)
    assert rows[np.array([1])] == pytest.approx(unit_rows(5, 0)[[2]], abs=2e-3)


def test_settled_labels_are_right_beyond_all_others_and_the_rest_is_as_it_was() -> None:
    scores = random_scores(rows=12, classes=4, seed=5)
    rows = np.arange(12) % 3 == 0
    settled = scores.with_confirmed(rows)
    assert (settled.label_score[rows] == 1).all()
    assert (settled.margin[rows] == 2).all()  # two unit vectors lie no further apart
    assert not settled.is_issue[rows].any()
    for name in ("label_score", "margin"):
        assert np.array_equal(getattr(settled, name)[~rows], getattr(scores, name)[~rows])
    for name in ("own_similarity", "predicted", "predicted_similarity", "runner_up"):
        assert getattr(settled, name) is getattr(scores, name)
    assert settled.runner_up_similarity is scores.runner_up_similarity
