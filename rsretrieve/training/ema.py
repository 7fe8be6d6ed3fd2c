"""Exponential moving average (EMA) of a model's parameters and buffers."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


class MovingAverage(nn.Module):
    """Averages a model while it trains; `update` is called after every step.

    After n steps the decay is min(decay, (1 + n) / (10 + n)). A constant decay would keep a large
    share of the untrained start for hundreds of steps, and small sets of tiles have no more.

    `torch.optim.swa_utils.AveragedModel` collects the tensors anew at each step, which takes four
    times as long as averaging them. Here they are collected once.

    Args:
        model: the model to average; its tensors may only be changed in place.
        decay: share of the old average that each step keeps, 0…1, after the first steps.

    Attributes:
        module: the averaged model.
    """

    n_averaged: Tensor

    def __init__(self, model: nn.Module, decay: float) -> None:
        super().__init__()
        self.module = copy.deepcopy(model)
        self.register_buffer("n_averaged", torch.tensor(0))
        self._decay = decay
        pairs = list(zip(_tensors(self.module), _tensors(model)))
        self._averaged = [pair for pair in pairs if pair[0].is_floating_point()]
        self._counters = [pair for pair in pairs if not pair[0].is_floating_point()]

    @torch.no_grad()
    def update(self) -> None:
        """Include the model's current tensors in the average."""
        steps = int(self.n_averaged)
        decay = min(self._decay, (1 + steps) / (10 + steps)) if steps else 0.0
        means, values = map(list, zip(*self._averaged))
        get_ema_multi_avg_fn(decay)(means, values, steps)  # type: ignore[no-untyped-call]
        for counter, value in self._counters:  # batches that batch norm has seen
            counter.copy_(value)
        self.n_averaged += 1


def _tensors(model: nn.Module) -> list[Tensor]:
    return [*model.parameters(), *model.buffers()]
