"""Replaced convolutions have the outputs and gradients that PyTorch's own should have."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from rsretrieve.network.network import build_network
from rsretrieve.network.runtime.bf16_convolutions import (
    DepthwiseConv2d,
    SmallImageConv2d,
    replace_convolutions,
)


def layer(stride: int = 2, kernel: int = 3, groups: int = 8) -> nn.Conv2d:
    return nn.Conv2d(8, 8, kernel, stride, kernel // 2, groups=groups)


@pytest.mark.parametrize(
    ("convolution", "kind"),
    [
        (layer(), DepthwiseConv2d),
        (layer(kernel=1), DepthwiseConv2d),
        (layer(groups=1), SmallImageConv2d),
        (layer(groups=4), SmallImageConv2d),
        (nn.Conv2d(1, 8, 3, 2), SmallImageConv2d),
        (layer(groups=1, kernel=1), nn.Conv2d),
    ],
)
def test_layers_that_need_a_substitute_get_theirs(convolution, kind):
    backbone = nn.Sequential(nn.Sequential(convolution))
    replace_convolutions(backbone)
    assert type(backbone[0][0]) is kind
    assert backbone[0][0].weight is convolution.weight


def in_bfloat16(module: nn.Module, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    pixels = pixels.clone().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = module(pixels)
    out.float().square().sum().backward()
    return out.detach(), pixels.grad


def exactly(module: nn.Conv2d, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
    """In float64, of what bfloat16 makes of the weights; the loss as in `in_bfloat16`."""
    exact = copy.deepcopy(module).bfloat16().double()
    pixels = pixels.double().requires_grad_()
    out = exact(pixels)
    out.backward(2 * out.detach().bfloat16().double())
    results = {"out": out.detach(), "pixels": pixels.grad, "weight": exact.weight.grad}
    return results if exact.bias is None else {**results, "bias": exact.bias.grad}


LAYERS = {
    "stride": {"stride": 2, "padding": 1},
    "stride down alone": {"stride": (2, 1), "padding": 1},
    "stride of three": {"stride": 3, "padding": 1},
    "single steps": {"padding": 1},
    "no padding": {"stride": 2},
    "padding as wide as the kernel allows": {"stride": 2, "padding": 2},
    "wider padding": {"stride": 2, "padding": 3},
    "bias": {"stride": 2, "padding": 1, "bias": True},
    "dilation": {"stride": 2, "padding": 2, "dilation": 2},
    "mirrored": {"stride": 2, "padding": 1, "padding_mode": "reflect"},
    "large kernel": {"kernel_size": 5, "padding": 2},
    "large kernel, stride": {"kernel_size": 5, "padding": 2, "stride": 2},
    "by name": {"padding": "same"},
    "twice the channels": {"out_channels": 16, "stride": 2, "padding": 1},
}


SMALLEST = {"no padding": 3, "mirrored": 2}
"""PyTorch takes no smaller image there."""


@pytest.mark.parametrize(
    ("name", "side"),
    [(name, side) for name in LAYERS for side in (1, 2, 3, 4, 9) if side >= SMALLEST.get(name, 1)],
)
def test_a_depthwise_layer_learns_what_float64_learns_but_for_rounding(name, side):
    arguments = {"out_channels": 8, "kernel_size": 3, "bias": False, **LAYERS[name]}
    learns_as_float64(DepthwiseConv2d, nn.Conv2d(8, groups=8, **arguments), side)


DENSE = {
    "stride": {"stride": 2, "padding": 1},
    "stride of three": {"stride": 3, "padding": 1, "bias": True},
    "large kernel": {"kernel_size": 5, "padding": 2},
    "large kernel, stride": {"kernel_size": 7, "padding": 3, "stride": 2},
    "dilation": {"stride": 2, "padding": 2, "dilation": 2},
    "not in the middle": {"stride": 2, "padding": 2},
    "even kernel": {"kernel_size": 2, "padding": 1, "stride": 2},
    "mirrored": {"stride": 2, "padding": 1, "padding_mode": "circular"},
    "groups": {"stride": 2, "padding": 1, "groups": 4},
}


@pytest.mark.parametrize("side", [1, 2, 3])
@pytest.mark.parametrize("name", DENSE)
def test_a_dense_layer_learns_what_float64_learns_but_for_rounding(name, side):
    poison = [torch.full((1 << 18,), 1e30) for _ in range(9)]
    del poison  # uninitialised memory holds it now
    arguments = {"out_channels": 32, "kernel_size": 3, "bias": False, **DENSE[name]}
    learns_as_float64(SmallImageConv2d, nn.Conv2d(32, **arguments), side)


def learns_as_float64(kind: type[nn.Conv2d], convolution: nn.Conv2d, side: int) -> None:
    pixels = torch.randn(6, convolution.in_channels, side, side).bfloat16()
    expected = exactly(convolution, pixels)
    given, gradient = in_bfloat16(kind(convolution).train(), pixels)
    assert given.dtype is gradient.dtype is torch.bfloat16
    found = {"out": given, "pixels": gradient}
    found |= {name: parameter.grad for name, parameter in convolution.named_parameters()}
    assert found.keys() == expected.keys()
    for key, exact in expected.items():
        assert found[key].shape == exact.shape
        error = (found[key].double() - exact).norm() / exact.norm()
        assert error < 0.01, (key, float(error))


def test_a_non_square_image_that_is_low_and_wide():
    convolution = layer(stride=2)
    pixels = torch.randn(4, 8, 2, 9).bfloat16()
    expected = exactly(convolution, pixels)
    given, gradient = in_bfloat16(DepthwiseConv2d(convolution).train(), pixels)
    torch.testing.assert_close(given.double(), expected["out"], rtol=0.01, atol=0.01)
    torch.testing.assert_close(gradient.double(), expected["pixels"], rtol=0.02, atol=0.05)


def test_what_needs_no_gradient_is_given_none():
    convolution = layer()
    convolution.weight.requires_grad_(requires_grad=False)
    _, gradient = in_bfloat16(DepthwiseConv2d(convolution).train(), torch.randn(4, 8, 9, 9))
    assert gradient is not None
    assert convolution.weight.grad is None
    assert convolution.bias.grad is not None


@pytest.mark.parametrize(
    ("convolution", "side", "own_way"),
    [
        (layer(stride=2), 9, True),
        (layer(stride=1, kernel=5), 9, False),
        (layer(stride=1), 2, True),
        (layer(stride=1), 9, False),
    ],
)
def test_only_slow_convolutions_are_computed_another_way(convolution, side, own_way):
    pixels = torch.randn(2, 8, side, side, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = DepthwiseConv2d(convolution).train()(pixels)
    assert ("DepthwiseThreeByThree" in out.grad_fn.name()) is own_way


def test_in_float32_it_is_its_layer():
    plain = layer()
    pixels = torch.randn(4, 8, 9, 9)
    assert torch.equal(DepthwiseConv2d(plain).train()(pixels), plain(pixels))
    assert torch.equal(SmallImageConv2d(plain).train()(pixels), plain(pixels))


def test_in_evaluation_it_computes_as_its_layer_would():
    plain = layer()
    quick = DepthwiseConv2d(plain).eval()
    pixels = torch.randn(4, 8, 9, 9)
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.no_grad():
        assert torch.equal(quick(pixels), plain(pixels))


def test_a_single_pixel_has_the_right_gradient():
    """oneDNN's bfloat16 gradient over a single pixel reads uninitialised memory."""
    quick = DepthwiseConv2d(layer()).train()
    pixels = torch.randn(4, 8, 1, 1).bfloat16()
    _, gradient = in_bfloat16(quick, pixels)
    centre = quick.weight.detach()[:, 0, 1, 1]
    out = pixels.float()[..., 0, 0] * centre + quick.bias.detach()
    expected = 2 * out * centre
    torch.testing.assert_close(gradient.float()[..., 0, 0], expected, rtol=0.03, atol=0.03)


def test_a_network_starts_with_the_weights_it_would_have_without(monkeypatch):
    torch.manual_seed(0)
    ours = build_network("mobilenet_v2", bands=3, size_px=32, dimensions=8).state_dict()
    monkeypatch.setattr("rsretrieve.network.network.replace_convolutions", lambda backbone: None)
    torch.manual_seed(0)
    without = build_network("mobilenet_v2", bands=3, size_px=32, dimensions=8).state_dict()
    assert list(ours) == list(without)
    assert all(torch.equal(ours[name], without[name]) for name in ours)
