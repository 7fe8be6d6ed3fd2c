"""An exponential moving average of a model's parameters and buffers."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


class MovingAverage(nn.Module):
    """An average of a model as it learns, to be updated after every step.

    After n steps the decay is min(decay, (1 + n) / (10 + n)): a fixed one would hold on to
    the untrained start for hundreds of steps, and small sets of tiles have no more.

    PyTorch's own looks for the tensors anew at each step, which takes four times as long as
    averaging them.

    Args:
        model: what is averaged; its tensors are changed in place only.
        decay: of the average for each step, 0…1, once it has warmed up.

    Attributes:
        module: the average, a model of its own.
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
        """Take in the model as it is now."""
        steps = int(self.n_averaged)
        now = min(self._decay, (1 + steps) / (10 + steps)) if steps else 0.0
        means, values = map(list, zip(*self._averaged))
        get_ema_multi_avg_fn(now)(means, values, steps)  # type: ignore[no-untyped-call]
        for counter, value in self._counters:
            counter.copy_(value)  # of batches
        self.n_averaged += 1


def _tensors(model: nn.Module) -> list[Tensor]:
    return [*model.parameters(), *model.buffers()]
