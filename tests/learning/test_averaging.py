"""The moving average of a model: it warms up, and takes buffers along."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from rsretrieve.learning.averaging import average_of


class Numbers(nn.Module):
    """A parameter, a buffer and a counter that are all one number."""

    level: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.register_buffer("level", torch.zeros(1))
        self.register_buffer("count", torch.zeros(1, dtype=torch.int64))

    def set(self, value: float) -> None:
        self.weight.data.fill_(value)
        self.level.fill_(value)
        self.count.fill_(int(value))


def averaged(decay: float, values: list[float]) -> AveragedModel:
    model = Numbers()
    average = average_of(model, decay)  # type: ignore[arg-type]  # any module will do
    for value in values:
        model.set(value)
        average.update_parameters(model)
    return average


@pytest.mark.parametrize("decay", [0.0, 0.15, 0.5, 0.99])
def test_the_decay_rises_with_the_steps_to_its_limit(decay: float) -> None:
    values = [float(value) for value in (3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5)]
    expected = values[0]
    for steps, value in enumerate(values[1:], start=1):
        now = min(decay, (1 + steps) / (10 + steps))
        expected = now * expected + (1 - now) * value
    average = averaged(decay, values).module
    assert average.weight.item() == pytest.approx(expected)
    assert average.level.item() == pytest.approx(expected)


def test_counters_are_copied() -> None:
    assert averaged(0.99, [3, 8]).module.count.item() == 8


def test_the_average_stands_apart_from_the_model() -> None:
    model = Numbers()
    average = average_of(model, 0.9)  # type: ignore[arg-type]
    model.set(7)
    assert average.module.weight.item() == 0
