"""Depthwise convolutions with a stride learn in float32, and nothing else changes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from rsretrieve.learning.depthwise import DepthwiseInFloat32, keep_depthwise_in_float32
from rsretrieve.learning.network import build_network


def layer(stride: int = 2, kernel: int = 3, groups: int = 8) -> nn.Conv2d:
    return nn.Conv2d(8, 8, kernel, stride, kernel // 2, groups=groups)


@pytest.mark.parametrize(
    ("convolution", "changes"),
    [
        (layer(), True),
        (layer(groups=1), False),
        (layer(groups=4), False),
        (nn.Conv2d(1, 8, 3, 2), False),
    ],
)
def test_depthwise_layers_are_changed_and_no_others(convolution, changes):
    backbone = nn.Sequential(nn.Sequential(convolution))
    keep_depthwise_in_float32(backbone)
    assert isinstance(backbone[0][0], DepthwiseInFloat32) == changes
    assert backbone[0][0].weight is convolution.weight


@pytest.mark.parametrize(
    ("convolution", "side", "exact"),
    [
        (layer(stride=2), 9, True),
        (layer(stride=1, kernel=5), 9, True),
        (layer(stride=1), 2, True),
        (layer(stride=1), 9, False),
    ],
)
def test_those_that_bfloat16_is_slow_for_compute_in_float32(convolution, side, exact, monkeypatch):
    computed_in = []
    as_before = nn.Conv2d._conv_forward

    def noted(self, pixels, weight, bias):
        computed_in.append(torch.is_autocast_enabled("cpu"))
        return as_before(self, pixels, weight, bias)

    monkeypatch.setattr(nn.Conv2d, "_conv_forward", noted)
    in_bfloat16(DepthwiseInFloat32(convolution).train(), torch.randn(2, 8, side, side))
    assert computed_in == [not exact]


def in_bfloat16(module: nn.Module, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    pixels = pixels.clone().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = module(pixels)
    out.float().square().sum().backward()
    return out.detach(), pixels.grad


def test_it_learns_by_gradients_of_float32_and_gives_bfloat16():
    plain = layer()
    steady = DepthwiseInFloat32(plain).train()
    pixels = torch.randn(4, 8, 9, 9).bfloat16()
    given, gradient = in_bfloat16(steady, pixels)
    assert given.dtype is torch.bfloat16
    exact = plain(pixels.float())
    assert torch.equal(given, exact.detach().bfloat16())
    weights_gradient = steady.weight.grad.clone()
    plain.weight.grad = None
    exact_pixels = pixels.float().requires_grad_()
    out = plain(exact_pixels)
    out.backward(2 * out.detach().bfloat16().float())
    torch.testing.assert_close(weights_gradient, plain.weight.grad, rtol=0.02, atol=0.05)
    torch.testing.assert_close(gradient, exact_pixels.grad.bfloat16(), rtol=0.02, atol=0.02)


def test_in_evaluation_it_computes_as_its_layer_would():
    plain = layer()
    steady = DepthwiseInFloat32(plain).eval()
    pixels = torch.randn(4, 8, 9, 9)
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.no_grad():
        assert torch.equal(steady(pixels), plain(pixels))


def test_a_single_pixel_has_the_right_gradient():
    """Whose bfloat16 gradient reads memory that nobody wrote (oneDNN, PyTorch 2.15)."""
    steady = DepthwiseInFloat32(layer()).train()
    pixels = torch.randn(4, 8, 1, 1).bfloat16()
    _, gradient = in_bfloat16(steady, pixels)
    centre = steady.weight.detach()[:, 0, 1, 1]
    out = pixels.float()[..., 0, 0] * centre + steady.bias.detach()
    expected = 2 * out * centre
    torch.testing.assert_close(gradient.float()[..., 0, 0], expected, rtol=0.03, atol=0.03)


def test_a_network_starts_with_the_weights_it_would_have_without(monkeypatch):
    torch.manual_seed(0)
    ours = build_network("mobilenet_v2", bands=3, size_px=32, dimensions=8).state_dict()
    monkeypatch.setattr(
        "rsretrieve.learning.network.keep_depthwise_in_float32", lambda backbone: None
    )
    torch.manual_seed(0)
    without = build_network("mobilenet_v2", bands=3, size_px=32, dimensions=8).state_dict()
    assert list(ours) == list(without)
    assert all(torch.equal(ours[name], without[name]) for name in ours)
