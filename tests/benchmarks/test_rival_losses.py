"""Losses of others against wrong labels, compared with plain loops."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
import torch
from torch import Tensor

from rsretrieve.data.preprocessing.preprocessing import BandStatistics, Preprocessing
from rsretrieve.enums import LossName
from rsretrieve.network.device import Precision
from rsretrieve.training.initialize import starting_model
from rsretrieve.training.recipe import ROBUST
from rsretrieve.training.step import TrainingSettings
from rsretrieve.training.validate import Examples
from tests.support.repository import ROOT


@pytest.fixture(autouse=True)
def _benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    for name in [name for name in sys.modules if name.split(".")[0] == "grid"]:
        monkeypatch.delitem(sys.modules, name)


def some_log_p(seed: int) -> Tensor:
    return torch.randn(5, 3, generator=torch.Generator().manual_seed(seed)).log_softmax(dim=1)


def test_early_learning_is_the_loss_of_a_plain_loop_over_two_epochs() -> None:
    from grid.rival_losses import EarlyLearning

    loss, rows, labels = EarlyLearning(8, 3), torch.tensor([1, 2, 4, 6, 7]), [0, 1, 2, 0, 1]
    means = [[0.0] * 3 for _ in range(8)]
    for epoch in range(2):
        log_p, total = some_log_p(epoch), 0.0
        for number, row in enumerate(rows.tolist()):
            p = log_p[number].exp().tolist()
            means[row] = [0.7 * t + 0.3 * each for t, each in zip(means[row], p)]
            agreement = sum(t * each for t, each in zip(means[row], p))
            total += -math.log(p[labels[number]]) + 3 * math.log(1 - agreement)
        found = loss(log_p, torch.tensor(labels), rows, 0.5)
        assert float(found) == pytest.approx(total / 5, abs=2e-3)


def test_small_loss_leaves_out_the_largest_by_and_by() -> None:
    from grid.rival_losses import SmallLoss

    log_p, labels, rows = some_log_p(0), torch.tensor([0, 1, 2, 0, 1]), torch.arange(5)
    losses = sorted(float(-log_p[i, labels[i]]) for i in range(5))
    loss = SmallLoss(0.4)
    for progress, kept in ((0.0, 5), (0.125, 4), (0.25, 3), (1.0, 3)):
        found = float(loss(log_p, labels, rows, progress))
        assert found == pytest.approx(sum(losses[:kept]) / kept, abs=1e-5)


@pytest.mark.medium
def test_a_training_takes_its_steps_with_the_loss() -> None:
    from grid.rival_losses import EarlyLearning, RivalLoop

    recipe = ROBUST.changed(
        backbone="squeezenet1_1",
        size_px=32,
        dimensions=8,
        epochs=1,
        batch_size=4,
        loss=LossName.NSL,
    )
    statistics = BandStatistics((100.0,) * 3, (50.0,) * 3, (0.0,) * 3, (255.0,) * 3)
    preprocessing = Preprocessing(32, 3, (1, 2, 3), "uint8", statistics)
    settings = TrainingSettings(recipe, preprocessing, 0, torch.device("cpu"), Precision.FLOAT32)
    model, _ = starting_model(recipe, 3, ("a", "b", "c"), "none", seed=0)
    pixels = np.random.default_rng(0).integers(0, 256, (9, 3, 32, 32), np.uint8)
    loss = EarlyLearning(9, 3)
    before = model.prototypes.weight.detach().clone()
    training = RivalLoop(settings, model, Examples(pixels, np.arange(9) % 3), loss)
    assert math.isfinite(training.run_epoch(0).loss)
    assert not torch.equal(model.prototypes.weight, before)
    torch.testing.assert_close(loss.means.sum(dim=1), torch.full((9,), 0.3))
