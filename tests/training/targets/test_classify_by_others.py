"""Classifiers that see a tile only through the labels of other tiles."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from torch import Tensor

from rsretrieve.training.targets.classify_by_others import (
    FOLDS,
    Neighbourhood,
    assigned_folds,
    discriminant_scores,
)


def unit_rows(count: int, seed: int) -> Tensor:
    rows = torch.randn(count, 4, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(rows, dim=1)


@pytest.mark.parametrize("block_bytes", [1, 4 * 40 * 7, 1 << 20])
@pytest.mark.parametrize("count", [2, 5, 40])
def test_votes_are_those_of_a_plain_loop(count: int, block_bytes: int) -> None:
    rows, q = unit_rows(count, 1), torch.from_numpy(np.random.default_rng(0).dirichlet([1] * 3, 40))
    q = q[:count].float()
    found = Neighbourhood.of(rows, block_bytes=block_bytes).votes(q)
    for i in range(count):
        cosines = {j: float(rows[i] @ rows[j]) for j in range(count) if j != i}
        nearest = sorted(cosines, key=lambda j: -cosines[j])[:15]
        weights = [math.exp(cosines[j] / 0.1) for j in nearest]
        shares = sum(w * q[j] for w, j in zip(weights, nearest)) / sum(weights)
        torch.testing.assert_close(found[i], (shares + 0.02).log(), atol=1e-4, rtol=1e-4)


def test_each_class_is_spread_over_all_folds() -> None:
    labels = torch.tensor([0] * 23 + [1] * 12 + [2] * 2)
    folds = assigned_folds(labels, 3)
    for label in range(3):
        sizes = torch.bincount(folds[labels == label], minlength=FOLDS)
        assert int(sizes.max() - sizes.min()) <= 1
    assert not torch.equal(folds, assigned_folds(labels, 4))


def test_the_discriminant_predicts_as_scikit_learn_does_on_the_other_folds() -> None:
    chance = np.random.default_rng(0)
    labels = np.arange(300) % 3
    rows = chance.normal(size=(300, 5)) + 2 * np.eye(3, 5)[labels]
    folds = assigned_folds(torch.from_numpy(labels), 0)
    q = torch.nn.functional.one_hot(torch.from_numpy(labels), 3).double()
    found = discriminant_scores(torch.from_numpy(rows), folds, q).argmax(dim=1).numpy()
    for fold in range(FOLDS):
        others, own = (folds != fold).numpy(), (folds == fold).numpy()
        judge = LinearDiscriminantAnalysis().fit(rows[others], labels[others])
        assert (judge.predict(rows[own]) == found[own]).mean() > 0.95


def test_the_own_label_changes_no_score() -> None:
    rows, labels = unit_rows(60, 2), torch.arange(60) % 3
    folds = assigned_folds(labels, 0)
    q = torch.nn.functional.one_hot(labels, 3).float()
    other = q.clone()
    other[7] = torch.tensor([0.0, 0.0, 1.0]) if labels[7] != 2 else torch.tensor([1.0, 0.0, 0.0])
    vectors = Neighbourhood.of(rows)
    for before, after in (
        (discriminant_scores(rows, folds, q), discriminant_scores(rows, folds, other)),
        (vectors.votes(q), vectors.votes(other)),
    ):
        assert torch.equal(before[7], after[7])
        assert not torch.equal(before, after)
