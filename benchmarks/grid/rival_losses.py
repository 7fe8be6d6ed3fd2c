"""Losses of others against wrong labels, for a linear classifier with a softmax.

*Early-learning regularisation* (Liu et al., NeurIPS 2020): a network learns right labels before
wrong ones. With p_i the probabilities of a tile and t_i their moving average over the epochs,

    loss_i = −log p_{i,y_i} + λ·log(1 − ⟨t_i, p_i⟩),      t_i ← β·t_i + (1 − β)·p_i

*Small loss* (Han et al., NeurIPS 2018, with one network instead of two): of each batch only the
tiles with the smallest loss are learned from. Their share falls from 1 to 1 − η over the first
quarter of the training; as published, η is the true noise rate.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rsretrieve.data.run_context import RunContext
from rsretrieve.network.model import PrototypeModel
from rsretrieve.training.loop import TrainingLoop
from rsretrieve.training.losses import label_log_probability, nsl
from rsretrieve.training.step import Batch, StepResult, TrainingSettings, TrainingStep
from rsretrieve.training.validate import Examples

ELR_WEIGHT, ELR_MEMORY = 3.0, 0.7  # λ and β, as published for CIFAR-10
_RAMP = 0.25


class EarlyLearning:
    """The loss of early-learning regularisation, with the averages of N tiles.

    Args:
        tiles: N.
        classes: K.
    """

    def __init__(self, tiles: int, classes: int) -> None:
        self.means = torch.zeros(tiles, classes)

    def __call__(self, log_p: Tensor, labels: Tensor, rows: Tensor, progress: float) -> Tensor:
        """(B, K) log p_i, (B,) labels and (B,) numbers of the tiles → the mean loss."""
        # As in the published code, away from 0 and 1, so that the logarithm stays finite.
        p = log_p.exp().clamp(1e-4, 1 - 1e-4)
        shares = p.detach() / p.detach().sum(dim=1, keepdim=True)
        self.means[rows] = ELR_MEMORY * self.means[rows] + (1 - ELR_MEMORY) * shares
        agreement = (self.means[rows] * p).sum(dim=1)
        own = nsl(label_log_probability(log_p, labels))
        return (own + ELR_WEIGHT * (1 - agreement).log()).mean()


class SmallLoss:
    """Cross entropy of the tiles of a batch that have the smallest.

    Args:
        rate: η, the share of wrong labels.
    """

    def __init__(self, rate: float) -> None:
        self.rate = rate

    def __call__(self, log_p: Tensor, labels: Tensor, rows: Tensor, progress: float) -> Tensor:
        """See `EarlyLearning.__call__`."""
        losses = nsl(label_log_probability(log_p, labels))
        share = 1 - self.rate * min(1.0, progress / _RAMP)
        return losses.sort().values[: max(1, round(share * len(losses)))].mean()


class RivalStep(TrainingStep):
    """A training step with one of these losses.

    Attributes:
        loss: the loss.
        rows: (B,) the numbers of the batch's tiles; set before each step.
        progress: finished share of the training.
    """

    loss: EarlyLearning | SmallLoss
    rows: Tensor
    progress = 0.0

    def _add_gradients(self, batch: Batch, values: Tensor, rows: slice, first: int) -> StepResult:
        log_p = self._log_p(self._network_input(values[rows]))
        loss = self.loss(log_p, batch.labels[rows], self.rows[rows], self.progress)
        loss.backward()  # type: ignore[no-untyped-call]
        return StepResult(loss.detach(), log_p.detach())


class RivalLoop(TrainingLoop):
    """The training loop with one of these losses; labels are never left out nor replaced.

    Args:
        settings, model, train: see `TrainingLoop`.
        loss: the loss.
    """

    def __init__(
        self,
        settings: TrainingSettings,
        model: PrototypeModel,
        train: Examples,
        loss: EarlyLearning | SmallLoss,
    ) -> None:
        context = RunContext()
        super().__init__(settings, model, train, None, context)
        self._rival = RivalStep(settings, self.model, len(train), context)
        self._rival.loss = loss
        self.step = self._rival

    def _train_batch(self, rows: NDArray[np.int64], progress: float, generator: Any) -> Tensor:
        self._rival.rows, self._rival.progress = torch.from_numpy(rows), progress
        return super()._train_batch(rows, progress, generator)
