"""Batch norm over the tiles of all processes, on processors and on GPUs.

Each process holds a share of a batch. With statistics of its share alone, what a network learns
would depend on the number of processes: of a batch of 64 tiles, eight processes would each see
8. `torch.nn.SyncBatchNorm` uses the whole batch, but runs on GPUs only, and takes the place of
layers, also of those of timm that include an activation. Here the layers stay as they are: while
`WholeBatchStatistics` is active, `torch.nn.functional.batch_norm` uses the whole batch.

The result is that of a single process, except for rounding: sums over a batch are added in
another order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from rsretrieve.training.parallel.processes import Processes


class WholeBatchStatistics(TorchFunctionMode):
    """A context in which batch norm in training mode uses the statistics of all processes.

    Args:
        processes: those of the training; each one runs the same layers in the same order.
    """

    def __init__(self, processes: Processes) -> None:
        super().__init__()
        self._processes = processes

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run a function of PyTorch; see the base class."""
        if func is functional.batch_norm:
            return self._batch_norm(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))

    def _batch_norm(
        self,
        values: Tensor,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Tensor:
        if not training:
            return functional.batch_norm(
                values, running_mean, running_var, weight, bias, False, momentum, eps
            )
        statistics = _WholeStatistics.of(values, self._processes)
        if running_mean is not None and running_var is not None:
            statistics.update(running_mean, running_var, momentum)
        normalised: Tensor = _Normalise.apply(
            values, weight, bias, statistics, eps, self._processes
        )
        return normalised


class _WholeStatistics:
    """Mean and variance of each of C channels over all processes.

    Args:
        count: the number of values a channel.
        mean: (C,) float32, or float64 for values in float64.
        variance: (C,) the mean square of the deviation.
    """

    def __init__(self, count: Tensor, mean: Tensor, variance: Tensor) -> None:
        self.count, self.mean, self.variance = count, mean, variance

    @classmethod
    def of(cls, values: Tensor, processes: Processes) -> _WholeStatistics:
        """Measure (B, C, …) values and combine the statistics of all processes.

        Not as the mean of squares minus the square of the mean, which loses digits (Chan, Golub
        & LeVeque 1983).
        """
        variance, mean = torch.var_mean(_wide(values.detach()), _other_dims(values), correction=0)
        own = torch.cat([mean.new_tensor([values.numel() / len(mean)]), mean, variance])
        sizes = [1, len(mean), len(mean)]
        counts, means, variances = torch.split(processes.stacked(own), sizes, dim=1)
        count = counts.sum()
        share = counts / count
        whole = (share * means).sum(dim=0)
        return cls(count, whole, (share * (variances + (means - whole).square())).sum(dim=0))

    def update(self, running_mean: Tensor, running_var: Tensor, momentum: float) -> None:
        """Include the statistics in running ones, whose variance is without bias."""
        unbiased = self.variance * (self.count / (self.count - 1))
        running_mean.lerp_(self.mean.to(running_mean.dtype), momentum)
        running_var.lerp_(unbiased.to(running_var.dtype), momentum)


class _Normalise(torch.autograd.Function):
    """Normalise values by statistics that depend on the values of all processes.

    With x̂ = (x − mean) / √(variance + ε), g the gradient of the loss with respect to x̂, and means
    over all processes, the gradient with respect to x is

        (g − mean(g) − x̂ · mean(g · x̂)) / √(variance + ε).

    The gradients of weight and bias are those of this process's share, as for other parameters.
    """

    @staticmethod
    def forward(
        ctx: Any,
        values: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        statistics: _WholeStatistics,
        eps: float,
        processes: Processes,
    ) -> Tensor:
        """(B, C, …) → (B, C, …) in the same dtype."""
        mean, variance, count = statistics.mean, statistics.variance, statistics.count
        ctx.save_for_backward(values, weight, mean, (variance + eps).rsqrt(), count)
        ctx.processes = processes
        return functional.batch_norm(values, mean, variance, weight, bias, False, 0.0, eps)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients of values, weight and bias."""
        values, weight, mean, factor, count = ctx.saved_tensors
        dims = _other_dims(values)
        wide = _wide(gradient)
        # x̂, computed again: to keep it would double the memory of the layer.
        normalised = (_wide(values) - _along(mean, values)) * _along(factor, values)
        of_bias, of_weight = wide.sum(dims), (wide * normalised).sum(dims)
        sums = ctx.processes.sum_(torch.stack([of_bias, of_weight])) / count
        scale = factor if weight is None else factor * weight
        whole = wide - _along(sums[0], values) - normalised * _along(sums[1], values)
        of_values = (whole * _along(scale, values)).to(values.dtype)
        if weight is None:
            return of_values, None, None, None, None, None
        return of_values, of_weight.to(weight.dtype), of_bias.to(weight.dtype), None, None, None


def _wide(values: Tensor) -> Tensor:
    return values if values.dtype is torch.float64 else values.float()


def _other_dims(values: Tensor) -> list[int]:
    return [dim for dim in range(values.dim()) if dim != 1]


def _along(channels: Tensor, values: Tensor) -> Tensor:
    """(C,) → (C, 1, …), to be combined with (B, C, …) values."""
    return channels.view(-1, *[1] * (values.dim() - 2))
