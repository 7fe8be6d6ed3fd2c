"""The moving average of a model: it warms up, and takes buffers along."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from rsretrieve.training.ema import MovingAverage


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


def averaged(decay: float, values: list[float]) -> MovingAverage:
    model = Numbers()
    average = MovingAverage(model, decay)
    for value in values:
        model.set(value)
        average.update()
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
    average = MovingAverage(model, 0.9)
    model.set(7)
    assert average.module.weight.item() == 0


def test_an_average_goes_on_from_its_state() -> None:
    whole = averaged(0.99, [3, 1, 4, 1, 5])
    model = Numbers()
    later = MovingAverage(model, 0.99)
    later.load_state_dict(averaged(0.99, [3, 1, 4]).state_dict())
    for value in (1, 5):
        model.set(value)
        later.update()
    assert later.state_dict().keys() == whole.state_dict().keys()
    for name, tensor in whole.state_dict().items():
        assert torch.equal(later.state_dict()[name], tensor)


@pytest.mark.parametrize("decay", [0.5, 0.999])
def test_the_average_is_pytorchs(decay: float) -> None:
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3)).to(
        memory_format=torch.channels_last
    )

    def rule(mean: Tensor, value: Tensor, steps: Tensor) -> Tensor:
        now = min(decay, (1 + int(steps)) / (10 + int(steps)))
        return mean + (value - mean) * (1 - now) if mean.is_floating_point() else value

    theirs = AveragedModel(model, avg_fn=rule, use_buffers=True)
    ours = MovingAverage(model, decay)
    for _ in range(7):
        with torch.no_grad():
            for tensor in model.parameters():
                tensor.add_(torch.randn_like(tensor))
        model(torch.randn(4, 2, 5, 5))
        theirs.update_parameters(model)
        ours.update()
    for name, tensor in theirs.module.state_dict().items():
        torch.testing.assert_close(ours.module.state_dict()[name], tensor)
    assert int(ours.n_averaged) == 7
