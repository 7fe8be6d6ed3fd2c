"""Trainings that diverged are refused; those that learned something are not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from rsretrieve.errors import TrainingDiverged
from rsretrieve.training.outcome import (
    BeforeTraining,
    SampledEmbeddings,
    notice_implausible,
    require_distinct,
    require_finite,
    require_taught,
)


def embeddings(spread: float, tiles: int = 40) -> SampledEmbeddings:
    """Unit vectors whose mean similarity is about 1 − `spread`."""
    rng = np.random.default_rng(0)
    apart = rng.standard_normal((tiles, 8))
    apart[:, 0] = 0
    apart *= np.sqrt(spread / np.square(apart).sum(axis=1).mean())
    apart[:, 0] = np.sqrt(np.maximum(1 - np.square(apart).sum(axis=1), 0))
    vectors = apart / np.linalg.norm(apart, axis=1, keepdims=True)
    return SampledEmbeddings(vectors.astype(np.float32), np.zeros(tiles, np.int64))


def layer(largest: float = 1.0) -> nn.Module:
    made = nn.Linear(3, 2)
    with torch.no_grad():
        made.weight.fill_(largest)
        made.bias.zero_()
    return made


@pytest.mark.parametrize("name", ["weight", "bias", "running_mean", "running_var"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_values_that_are_not_finite_are_refused(name: str, value: float) -> None:
    normalised = nn.BatchNorm1d(4)
    require_finite(normalised, 0)
    with torch.no_grad():
        normalised.state_dict()[name][2] = value
    with pytest.raises(TrainingDiverged, match="after epoch 3"):
        require_finite(normalised, 2)


@pytest.mark.parametrize(
    ("before", "after", "growth", "steps"),
    [
        (1.0, 5e-5, 1.0, 9),  # weights that told tiles apart
        (0.6, 1e-3, 1.0, 9),
        (1e-9, 3e-4, 100.0, 9),  # random weights that exploded
        (1e-3, 5e-5, 1.0, 200),  # random weights after many steps
        (1e-3, 0.0, 1.0, 200),
    ],
)
def test_embeddings_that_are_nearly_the_same_are_refused(
    before: float, after: float, growth: float, steps: int
) -> None:
    model = layer(growth)
    with pytest.raises(TrainingDiverged, match="nearly the same embedding"):
        require_distinct(model, embeddings(after), BeforeTraining(before, 1.0), steps)


@pytest.mark.parametrize(
    ("before", "after", "growth", "steps"),
    [
        (1.0, 0.9, 1.0, 500),
        (1.0, 0.15, 1.8, 9),
        (1e-9, 5e-3, 1.0, 500),
        (1e-3, 2e-4, 1.2, 9),
        (1.0, 0.5, 100.0, 500),  # large weights alone do no harm
    ],
)
def test_embeddings_that_differ_are_not(
    before: float, after: float, growth: float, steps: int
) -> None:
    model = layer(growth)
    assert require_distinct(model, embeddings(after), BeforeTraining(before, 1.0), steps) == ""


def test_a_few_steps_from_random_weights_give_a_notice() -> None:
    text = require_distinct(layer(), embeddings(1e-6), BeforeTraining(1e-6, 1.0), 9)
    assert "more --epochs" in text


def test_embeddings_that_are_not_finite_are_refused() -> None:
    broken = SampledEmbeddings(np.full((3, 2), np.nan, np.float32), np.zeros(3, np.int64))
    with pytest.raises(TrainingDiverged, match="not finite"):
        require_distinct(layer(), broken, BeforeTraining(0.5, 1.0), 5)


@pytest.mark.parametrize("taught", [0.0, 0.01, 0.04])
def test_a_training_that_keeps_nearly_nothing_is_refused(taught: float) -> None:
    with pytest.raises(TrainingDiverged, match="labels are used"):
        require_taught(taught, None, 0.5, could_learn=False)


@pytest.mark.parametrize("passing", [0.0, 0.03])
def test_labels_that_are_all_truncated_are_refused(passing: float) -> None:
    with pytest.raises(TrainingDiverged, match="--truncation"):
        require_taught(1.0, passing, 0.999, could_learn=True)
    assert require_taught(1.0, passing, 0.5, could_learn=False) == ""


def test_probabilities_do_not_count_where_the_truncation_has_no_share() -> None:
    assert require_taught(0.9, 0.01, None, could_learn=True) == ""
    assert "--truncation" not in require_taught(0.2, 0.01, None, could_learn=True)
    with pytest.raises(TrainingDiverged, match="labels are used") as caught:
        require_taught(0.01, 0.01, None, could_learn=True)
    assert "--truncation" not in caught.value.hint
    assert "--truncation" not in notice_implausible(0.35, 0.8, None)
    assert "--truncation" in notice_implausible(0.35, 0.8, 0.5)


def test_few_kept_labels_are_told_and_many_are_not() -> None:
    assert "20.0%" in require_taught(0.2, 0.2, 0.5, could_learn=True)
    assert require_taught(0.39, 0.38, 0.5, could_learn=True) == ""
    assert require_taught(1.0, None, 0.5, could_learn=True) == ""


def test_fewer_labels_used_than_are_predicted_are_told() -> None:
    text = notice_implausible(0.35, 0.8, 0.5)
    assert all(part in text for part in ("35.0%", "80.0%", "--epochs"))
    assert notice_implausible(0.7, 0.8, 0.5) == ""
    assert notice_implausible(0.35, None, 0.5) == ""
