"""Depthwise convolutions that processors are slow at in bfloat16, and wrong.

oneDNN has no vector code for the bfloat16 gradient of a depthwise convolution with a stride or
a large kernel: it takes ten times as long as in float32 (more than half of a training step of
MobileNetV2, PyTorch 2.15), and over a single pixel it reads memory that nobody wrote. These few
layers compute in float32 while they learn; what they give is rounded back.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

_FAST_KERNEL = 3


class DepthwiseInFloat32(nn.Conv2d):
    """A depthwise convolution that learns in float32 on a processor, whatever is asked for.

    Args:
        layer: whose arguments and parameters it takes over.
    """

    def __init__(self, layer: nn.Conv2d) -> None:
        with torch.device("meta"):  # no new parameters: they would be drawn by chance
            super().__init__(
                layer.in_channels,
                layer.out_channels,
                layer.kernel_size,  # type: ignore[arg-type]
                layer.stride,  # type: ignore[arg-type]
                layer.padding,  # type: ignore[arg-type]
                layer.dilation,  # type: ignore[arg-type]
                layer.groups,
                bias=layer.bias is not None,
                padding_mode=layer.padding_mode,
            )
        self.weight, self.bias = layer.weight, layer.bias

    def forward(self, pixels: Tensor) -> Tensor:
        """As any convolution; in the type of `pixels`."""
        if not self.training or pixels.device.type != "cpu":
            return super().forward(pixels)
        with torch.autocast("cpu", enabled=False):
            return super().forward(pixels.float()).to(pixels.dtype)


def keep_depthwise_in_float32(backbone: nn.Module) -> None:
    """Put `DepthwiseInFloat32` in place of the layers that gain by it."""
    for name, layer in list(backbone.named_modules()):
        if type(layer) is nn.Conv2d and _is_slow(layer):
            backbone.set_submodule(name, DepthwiseInFloat32(layer))


def _is_slow(layer: nn.Conv2d) -> bool:
    depthwise = layer.groups == layer.in_channels > 1
    return depthwise and (max(layer.stride) > 1 or max(layer.kernel_size) > _FAST_KERNEL)
