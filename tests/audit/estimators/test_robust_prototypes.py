"""Prototypes from noisy labels: what wrong labels may not do to them."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from rsretrieve.audit.estimators.prototype_scores import score_labels
from rsretrieve.audit.estimators.robust_prototypes import PASSES, central_half, robust_prototypes
from rsretrieve.audit.estimators.unit_vectors import UnitRows

CLASSES, PER_CLASS, DIMENSIONS = 5, 60, 16
Rows = NDArray[np.float32]


def unit(rows: Rows) -> Rows:
    return np.asarray(rows / np.linalg.norm(rows, axis=-1, keepdims=True), np.float32)


def clusters(spread: float = 0.7, seed: int = 0) -> tuple[Rows, NDArray[np.int64]]:
    """Five classes of 60 around random centres."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(CLASSES), PER_CLASS)
    centres = unit(rng.standard_normal((CLASSES, DIMENSIONS)))
    noise = rng.standard_normal((len(labels), DIMENSIONS)) * spread / np.sqrt(DIMENSIONS)
    return unit(centres[labels] + noise), labels


def class_directions(vectors: Rows, labels: NDArray[np.int64]) -> Rows:
    return unit(np.stack([vectors[labels == c].mean(axis=0) for c in range(CLASSES)]))


def made_wrong(labels: NDArray[np.int64], share: float, step: int = 1) -> NDArray[np.int64]:
    """That share of every class gets the label of another class, the same for all."""
    given = labels.copy()
    for c in range(CLASSES):
        members = np.flatnonzero(labels == c)[: round(share * PER_CLASS)]
        given[members] = (c + step) % CLASSES
    return given


@pytest.mark.parametrize("seed", range(3))
def test_forty_percent_of_one_other_class_do_not_drag_a_prototype(seed: int) -> None:
    vectors, true = clusters(seed=seed)
    given = made_wrong(true, 0.4)
    clean, naive = class_directions(vectors, true), class_directions(vectors, given)
    found = robust_prototypes(UnitRows(vectors), given, CLASSES)
    assert np.einsum("kd,kd->k", naive, clean).min() < 0.9
    assert np.einsum("kd,kd->k", found.vectors, clean).min() > 0.99
    scores = score_labels(
        UnitRows(vectors), given, found.vectors, found.temperature, found.left_out
    )
    assert np.array_equal(scores.is_issue, given != true)
    assert np.array_equal(scores.predicted, true)


def test_a_class_of_two_kinds_of_scene_keeps_both() -> None:
    vectors, true = clusters()
    merged = np.where(true == 4, 3, true)  # two clusters under one label
    halves = central_half(vectors[merged == 3])
    both = class_directions(vectors, true)[3:]
    assert (both @ halves).min() < 0, "the central half is of one of them"
    found = robust_prototypes(UnitRows(vectors), merged, 4)
    assert (both @ found.vectors[3]).min() > 0.5


def test_the_length_and_the_order_of_embeddings_do_not_matter() -> None:
    vectors, true = clusters()
    given = made_wrong(true, 0.2)
    one = robust_prototypes(UnitRows(vectors), given, CLASSES)
    order = np.random.default_rng(1).permutation(len(true))
    lengths = np.random.default_rng(2).uniform(0.5, 20, (len(true), 1))
    other = robust_prototypes(UnitRows((vectors * lengths)[order]), given[order], CLASSES)
    assert other.vectors == pytest.approx(one.vectors, abs=1e-5)
    assert other.temperature == one.temperature


def test_where_tiles_are_sampled_their_given_order_does_not_matter(monkeypatch) -> None:
    for name in ("_SAMPLE", "_MOST_OF_A_CLASS"):
        monkeypatch.setattr(f"rsretrieve.audit.estimators.robust_prototypes.{name}", 7)
    vectors, true = clusters(1.5)
    given, count = made_wrong(true, 0.2), len(true)
    one = robust_prototypes(UnitRows(vectors), given, CLASSES)
    for order in (np.argsort(given), np.random.default_rng(1).permutation(count)):
        by_id = np.argsort(order)
        other = robust_prototypes(UnitRows(vectors[order]), given[order], CLASSES, order=by_id)
        assert other.vectors == pytest.approx(one.vectors, abs=1e-5)
        assert other.temperature == one.temperature


def test_the_temperature_is_larger_where_classes_overlap_and_not_for_noise() -> None:
    def fitted(spread: float, share: float) -> float:
        vectors, true = clusters(spread)
        rng = np.random.default_rng(1)
        given = np.where(rng.random(len(true)) < share, rng.integers(0, CLASSES, len(true)), true)
        return robust_prototypes(UnitRows(vectors), given, CLASSES).temperature

    assert fitted(0.4, 0) < fitted(2.0, 0)
    assert fitted(0.4, 0.3) < 0.2


def test_the_central_half_by_a_loop() -> None:
    vectors, _ = clusters(1.5)
    members = vectors[:41]
    found = central_half(members)
    nearest = sorted(members, key=lambda v: -float(v @ found))[:21]
    assert found == pytest.approx(unit(np.mean(nearest, axis=0)), abs=1e-5)


def test_one_tile_is_its_class() -> None:
    vectors, _ = clusters()
    assert central_half(vectors[:1]) == pytest.approx(vectors[0], abs=1e-6)


def test_a_class_whose_tiles_all_look_like_another_keeps_a_prototype() -> None:
    vectors, true = clusters(0.3)
    given = np.append(true, CLASSES)  # one tile of class 0 is all there is of a sixth class
    vectors = np.concatenate([vectors, vectors[:1]])
    found = robust_prototypes(UnitRows(vectors), given, CLASSES + 1)
    assert np.isfinite(found.vectors).all()
    assert np.linalg.norm(found.vectors, axis=1) == pytest.approx(np.ones(CLASSES + 1), abs=1e-5)


def test_every_pass_is_told_of() -> None:
    vectors, labels = clusters()
    done: list[int] = []
    robust_prototypes(UnitRows(vectors), labels, CLASSES, done.append)
    assert sum(done) == PASSES * len(labels)
