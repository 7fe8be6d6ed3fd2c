"""timm's own layers as plain ones: the same results, in training and after folding."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from rsretrieve.network.backbones.timm_layers import (
    add_padding,
    make_same_padding_static,
    separate_activations,
)
from rsretrieve.network.fuse_batchnorm import fuse_batchnorm
from rsretrieve.network.network import build_network
from rsretrieve.network.runtime.bf16_convolutions import DepthwiseConv2d

NAME = "tf_efficientnet_lite0"
pytestmark = pytest.mark.medium


@pytest.fixture(scope="module")
def original() -> nn.Module:
    import timm  # it takes seconds

    torch.manual_seed(0)
    model = timm.create_model(NAME, num_classes=0)
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.running_mean, -0.2, 0.2)
            nn.init.uniform_(layer.running_var, 0.5, 2)
    return model.eval()


@pytest.mark.parametrize("size_px", [64, 51])
def test_static_padding_gives_the_same_features(original: nn.Module, size_px: int) -> None:
    pixels = torch.randn(2, 3, size_px, size_px)
    model = copy.deepcopy(original)
    paddings = make_same_padding_static(model, pixels[:1])
    add_padding(model, paddings)
    assert len(paddings) == 5  # of stride 2
    assert not any(type(layer).__name__ == "Conv2dSame" for layer in model.modules())
    assert model.state_dict().keys() == original.state_dict().keys()
    with torch.inference_mode():
        torch.testing.assert_close(model(pixels), original(pixels), rtol=1e-4, atol=1e-5)


def test_separate_activations_give_the_same_features(original: nn.Module) -> None:
    pixels = torch.randn(2, 3, 64, 64)
    model = separate_activations(copy.deepcopy(original))
    assert not any(type(layer).__name__ == "BatchNormAct2d" for layer in model.modules())
    with torch.inference_mode():
        torch.testing.assert_close(model(pixels), original(pixels), rtol=1e-4, atol=1e-5)


def test_batch_norms_are_folded(original: nn.Module) -> None:
    network = build_network(f"timm/{NAME}", bands=3, size_px=64, dimensions=8)
    network.backbone.load_state_dict(original.state_dict())
    folded = fuse_batchnorm(network)
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in folded.backbone.modules())
    pixels = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        expected = original(pixels)
        np.testing.assert_allclose(network.features(pixels), expected, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(folded.features(pixels), expected, rtol=1e-3, atol=1e-4)


def test_depthwise_convolutions_with_a_stride_have_fast_gradients() -> None:
    network = build_network(f"timm/{NAME}", bands=3, size_px=64, dimensions=8)
    strided = [
        layer
        for layer in network.backbone.modules()
        if isinstance(layer, nn.Conv2d) and layer.groups > 1 and layer.stride == (2, 2)
    ]
    assert len(strided) == 4
    assert all(isinstance(layer, DepthwiseConv2d) for layer in strided)
