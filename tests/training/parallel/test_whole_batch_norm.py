"""Batch norm of several processes, compared with that of one process, in float64."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rsretrieve.training.parallel.processes import ALONE, Processes
from rsretrieve.training.parallel.whole_batch_norm import WholeBatchStatistics
from tests.support.processes.gloo_processes import in_processes

TILES = 7


def layer(kind: str) -> nn.Module:
    torch.manual_seed(1)
    if kind == "1d":
        return nn.BatchNorm1d(5).double()
    found = nn.BatchNorm2d(5, affine=kind != "no weights", momentum=0.3).double()
    for parameter in found.parameters():
        nn.init.uniform_(parameter, 0.5, 2)
    return found


def inputs(kind: str) -> Tensor:
    torch.manual_seed(2)
    shape = (TILES, 5) if kind == "1d" else (TILES, 5, 3, 2)
    return torch.randn(shape, dtype=torch.float64) * 3 + 100


def weighed(values: Tensor, part: slice) -> Tensor:
    """A share of a loss over all tiles."""
    torch.manual_seed(3)
    factors = torch.randn((TILES, *values.shape[1:]), dtype=values.dtype)[part]
    return (values.square() * factors + values.sin()).sum()


def normalise(processes: Processes, kind: str) -> dict[str, Any]:
    norm, part = layer(kind), processes.part(TILES)
    values = inputs(kind)[part].requires_grad_()
    with WholeBatchStatistics(processes):
        out = norm(values)
    weighed(out, part).backward()
    return {
        "out": out.detach(),
        "values": values.grad,
        "parameters": [parameter.grad for parameter in norm.parameters()],
        "buffers": [*norm.buffers()],
    }


def by_pytorch(kind: str) -> dict[str, Any]:
    norm, values = layer(kind), inputs(kind).requires_grad_()
    out = norm(values)
    weighed(out, slice(None)).backward()
    gradients = [parameter.grad for parameter in norm.parameters()]
    buffers = [*norm.buffers()]
    return {
        "out": out.detach(),
        "values": values.grad,
        "parameters": gradients,
        "buffers": buffers,
    }


def check(found: list[dict[str, Any]], wanted: dict[str, Any]) -> None:
    for name in ("out", "values"):
        whole = torch.cat([part[name] for part in found])
        torch.testing.assert_close(whole, wanted[name], rtol=1e-9, atol=1e-12)
    for gradients in zip(*(part["parameters"] for part in found), wanted["parameters"]):
        torch.testing.assert_close(sum(gradients[:-1]), gradients[-1], rtol=1e-9, atol=1e-9)
    for part in found:
        torch.testing.assert_close(part["buffers"], wanted["buffers"], rtol=1e-9, atol=0)


@pytest.mark.medium
@pytest.mark.parametrize("kind", ["2d", "1d", "no weights"])
@pytest.mark.parametrize("count", [2, 4])
def test_statistics_and_gradients_are_those_of_the_whole_batch(count: int, kind: str) -> None:
    check(in_processes(count, normalise, kind), by_pytorch(kind))


@pytest.mark.parametrize("kind", ["2d", "1d", "no weights"])
def test_a_single_process_normalises_as_pytorch_does(kind: str) -> None:
    check([normalise(ALONE, kind)], by_pytorch(kind))


def test_a_layer_in_evaluation_mode_uses_its_running_statistics() -> None:
    norm, values = layer("2d").eval(), inputs("2d")
    with WholeBatchStatistics(ALONE):
        found = norm(values)
    assert torch.equal(found, norm(values))


def test_bfloat16_values_keep_their_dtype_and_exact_statistics() -> None:
    norm, values = nn.BatchNorm2d(5), inputs("2d").bfloat16().requires_grad_()
    with WholeBatchStatistics(ALONE):
        out = norm(values)
    out.float().square().sum().backward()
    assert out.dtype is values.grad.dtype is torch.bfloat16
    mean = values.detach().float().mean((0, 2, 3))
    torch.testing.assert_close(norm.running_mean, 0.1 * mean)
