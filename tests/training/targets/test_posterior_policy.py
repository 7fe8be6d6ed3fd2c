"""Tiles are taught their most probable class."""

from __future__ import annotations

import torch
from torch import Tensor

from rsretrieve.training.targets.label_posterior import LabelPosterior
from rsretrieve.training.targets.posterior_policy import PosteriorPolicy
from rsretrieve.training.targets.target_settings import PosteriorSettings
from rsretrieve.training.targets.targets import Predictions

SETTINGS = PosteriorSettings(0.25, 0.15, teach_all_after=0.6, iterations=2)


def policy_of(posterior: Tensor, given: Tensor) -> PosteriorPolicy:
    count, classes = posterior.shape
    nobody = torch.zeros(count, dtype=torch.bool)
    folds, by_vectors = torch.arange(count) % 5, posterior.clamp_min(1e-6).log()
    estimate = LabelPosterior(given, nobody, folds, torch.eye(classes), posterior, by_vectors)
    return PosteriorPolicy(SETTINGS, estimate)


def test_first_only_the_certain_half_is_taught() -> None:
    p = torch.tensor([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.45, 0.55]])
    targets = policy_of(p, torch.tensor([1, 0, 1, 0])).first_targets()
    assert targets.labels.tolist() == [0, 0, 1, 1]
    assert targets.weights.tolist() == [1, 0, 1, 0]


def test_a_class_that_no_tile_has_is_taught_by_the_given_labels() -> None:
    p = torch.tensor([[0.9, 0.1, 0.0], [0.6, 0.4, 0.0], [0.2, 0.8, 0.0], [0.55, 0.25, 0.2]])
    targets = policy_of(p, torch.tensor([0, 0, 1, 2])).first_targets()
    assert targets.labels.tolist() == [0, 0, 1, 2]
    assert targets.weights.tolist() == [1, 1, 1, 1]


def test_later_all_tiles_are_taught_whose_class_is_clear() -> None:
    p = torch.tensor([[0.9, 0.1, 0.0], [0.6, 0.3, 0.1], [0.4, 0.3, 0.3]] * 3)
    for row in range(9):
        p[row] = p[row].roll(row // 3)
    given = torch.arange(9) // 3
    policy = policy_of(p, given)
    predictions = Predictions(torch.zeros(9, 4), p.log_softmax(dim=1))
    early = policy.update(predictions, given, policy.first_targets(), 0.3)
    late = policy.update(predictions, given, early, 0.9)
    assert early.weights.tolist() == [1, 1, 0] * 3
    assert late.weights.tolist() == [1, 1, 0] * 3
    p[1::3] = p[2::3]
    policy = policy_of(p, given)
    assert policy.first_targets().weights.tolist() == [1, 1, 0] * 3
    late = policy.update(predictions, given, early, 0.9)
    assert late.weights.tolist() == [1, 0, 0] * 3


def test_a_checkpoint_keeps_the_estimate() -> None:
    policy = policy_of(torch.rand(6, 3).softmax(dim=1), torch.arange(6) % 3)
    other = policy_of(torch.full((6, 3), 1 / 3), torch.arange(6) % 3)
    other.restore(policy.tensors())
    assert torch.equal(other.first_targets().labels, policy.first_targets().labels)
