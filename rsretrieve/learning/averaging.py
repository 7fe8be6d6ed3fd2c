"""An exponential moving average of a model's parameters and buffers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from rsretrieve.learning.model import PrototypeModel


def average_of(model: PrototypeModel, decay: float) -> AveragedModel:
    """Start an average of a model, to be updated after every step.

    After n steps the decay is min(decay, (1 + n) / (10 + n)): a fixed one would hold on to
    the untrained start for hundreds of steps, and small sets of tiles have no more.

    Args:
        model: what is averaged.
        decay: of the average for each step, 0…1, once it has warmed up.
    """

    def rule(averaged: Sequence[Tensor], current: Sequence[Tensor], steps: Tensor | int) -> None:
        now = min(decay, (1 + int(steps)) / (10 + int(steps)))
        if averaged[0].is_floating_point():  # they come sorted by type
            all_at_once = get_ema_multi_avg_fn(now)  # type: ignore[no-untyped-call]
            all_at_once(averaged, current, steps)
            return
        for count, value in zip(averaged, current):
            count.copy_(value)  # of batches

    with torch.no_grad():
        return AveragedModel(model, multi_avg_fn=rule, use_buffers=True)
