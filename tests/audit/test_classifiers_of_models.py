"""The evidence by several models: averaged, with seen and unseen tiles told apart by model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from rsretrieve.audit.classifiers_of_models import classifiers_of, has_starting_features, is_unseen
from rsretrieve.audit.estimators.prototype_scores import score_labels
from rsretrieve.audit.estimators.unit_vectors import UnitRows
from rsretrieve.audit.evidence.evidence import Evidence
from rsretrieve.audit.evidence.from_models import joined
from rsretrieve.audit.label_quality import AssessmentOptions, assess_labels
from rsretrieve.audit.posterior import LabelPosterior
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.evaluation.label_error_metrics import average_precision

CLASSES, PER_CLASS, RATE = 8, 50, 0.3
NAMES = tuple("abcdefgh")
TILES = CLASSES * PER_CLASS

Labels = NDArray[np.int64]


def unit(rows: NDArray[np.float64]) -> NDArray[np.float32]:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def labels() -> tuple[Labels, Labels]:
    rng = np.random.default_rng(1)
    true = np.repeat(np.arange(CLASSES), PER_CLASS)
    return true, (true + rng.integers(1, CLASSES, TILES) * (rng.random(TILES) < RATE)) % CLASSES


def by_model(
    seed: int, dimensions: int, seen: NDArray[np.bool_], *, spread: float = 0.3
) -> Evidence:
    """The evidence by a model that memorised half of the wrong labels of the tiles it has seen."""
    true, given = labels()
    rng = np.random.default_rng(seed)
    learned = np.where(seen & (rng.random(TILES) < 0.5), given, true)
    directions = np.eye(CLASSES, dimensions)
    noise = rng.normal(0, spread, (2, TILES, dimensions))
    first = unit(directions[true] + noise[1])
    first[~seen] = 0
    tiles = tuple(Tile(str(i), str(i), NAMES[label]) for i, label in enumerate(given))
    areas = np.where(learned == given, 2, -2) + rng.normal(0, 2, TILES)
    return Evidence(
        *(TileSet("here", tiles), NAMES, UnitRows(unit(directions[learned] + noise[0]))),
        *(unit(directions), 0.1, np.bincount(given, minlength=CLASSES)),
        trained_on=seen,
        starting_features=first if seen.any() else None,
        area_under_margin=np.where(seen, areas, np.nan).astype(np.float32),
    )


def assessed(found: Evidence) -> LabelPosterior:
    scores = score_labels(found.vectors, found.labels, found.prototypes, found.temperature)
    return assess_labels(found, scores, AssessmentOptions(), RunContext())[0]


def precision_of(found: Evidence) -> float:
    true, given = labels()
    reached = average_precision(-assessed(found).margin, given != true)
    assert reached is not None
    return reached


EVERY, NONE = np.ones(TILES, bool), np.zeros(TILES, bool)
EVEN = np.arange(TILES) % 2 == 0


@pytest.mark.medium
@pytest.mark.parametrize(
    "seen",
    [(EVERY, EVERY), (NONE, NONE), (EVERY, NONE), (EVEN, ~EVEN)],
    ids=["both", "neither", "one", "half each"],
)
def test_two_models_rank_better_than_each_alone(
    seen: tuple[NDArray[np.bool_], NDArray[np.bool_]],
) -> None:
    members = [by_model(2, 24, seen[0]), by_model(3, 10, seen[1])]
    both = joined(members)
    assert precision_of(both) > max(map(precision_of, members))
    true, given = labels()
    posterior = assessed(both)
    rate = float((given != true).mean())
    assert posterior.rates.low <= rate <= posterior.rates.high
    assert posterior.issue_probability.mean() == pytest.approx(rate, abs=0.04)


def test_the_similarity_is_the_mean_of_those_of_the_models() -> None:
    members = [by_model(2, 24, EVERY), by_model(3, 10, EVERY)]
    both, rows = joined(members), np.arange(TILES)
    found = both.vectors[rows] @ both.prototypes.T
    expected = np.zeros((20, CLASSES))
    for each in members:
        for tile, vector in enumerate(each.vectors[rows[:20]]):
            for number, prototype in enumerate(each.prototypes):
                expected[tile, number] += sum(v * w for v, w in zip(vector, prototype)) / 2
    np.testing.assert_allclose(found[:20], expected, atol=1e-6)


def test_what_a_model_has_seen_is_in_sample_for_this_model_alone() -> None:
    both = joined([by_model(2, 24, EVEN), by_model(3, 10, NONE)])
    assert np.array_equal(both.seen, EVEN)
    assert has_starting_features(both)
    assert not is_unseen(both)
    built, _ = classifiers_of(both, both.labels, [], 5)
    posterior = np.eye(CLASSES)[both.labels]
    for classifier in built.in_sample:  # votes and prototypes of the first model
        scores = classifier.class_scores(posterior)
        assert not scores[~EVEN].any()
        assert scores[EVEN].any()
    said = [each.class_scores(posterior).any(axis=1) for each in built.out_of_sample]
    assert [bool(each[EVEN].any()) for each in said] == [False] * 3 + [True] * 3
    assert all(each[~EVEN].all() for each in said)
    assert len(built.independent) == 2  # of the starting features of the first model


def test_equal_starting_features_count_once() -> None:
    one, other = by_model(2, 24, EVERY), by_model(3, 10, EVERY)
    assert len(classifiers_of(joined([one, other]), one.labels, [], 5)[0].independent) == 4
    assert one.starting_features is not None
    turned = one.starting_features @ np.linalg.qr(np.random.default_rng(0).normal(size=(24, 24)))[0]
    same = replace(other, starting_features=turned.astype(np.float32))
    built, _ = classifiers_of(joined([one, same]), one.labels, [], 5)
    assert len(built.independent) == 2
    assert built.views == 1


def test_areas_of_several_models_are_averaged_in_units_of_their_spread() -> None:
    one, other = by_model(2, 24, EVERY), by_model(3, 10, EVEN)
    assert one.area_under_margin is not None
    assert other.area_under_margin is not None
    built, _ = classifiers_of(joined([one, other]), one.labels, [], 5)
    assert built.areas is not None
    a, b = one.area_under_margin, other.area_under_margin
    a, b = a / a.std(), b / b[EVEN].std()
    np.testing.assert_allclose(built.areas[EVEN], (a + b)[EVEN] / 2, rtol=1e-4)
    np.testing.assert_allclose(built.areas[~EVEN], a[~EVEN], rtol=1e-4)


@pytest.mark.parametrize("seed", [3, 12])
def test_a_model_that_memorised_wrong_labels_does_not_say_that_there_are_none(seed: int) -> None:
    true, given = labels()
    posterior = assessed(by_model(seed, 24, EVERY, spread=0.45))
    assert posterior.issue_probability.mean() < 0.1 < (given != true).mean()
    assert not posterior.rates.can_be_told
    assert posterior.rates.low <= (given != true).mean() <= posterior.rates.high
