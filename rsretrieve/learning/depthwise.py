"""Depthwise convolutions that processors are slow at in bfloat16, and wrong.

oneDNN has no vector code for the bfloat16 gradient of a depthwise convolution with a stride, a
large kernel, or one that reaches over the whole image: it takes ten times as long as in float32
(two thirds of a training step of MobileNetV2, PyTorch 2.15), and over a single pixel it reads
memory that nobody wrote. These layers compute in float32 there; what they give is rounded back.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

_FAST_KERNEL = 3


class DepthwiseInFloat32(nn.Conv2d):
    """A depthwise convolution that learns in float32 on a processor where that is faster.

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
        if not self.training or pixels.device.type != "cpu" or not self._is_slow_over(pixels):
            return super().forward(pixels)
        with torch.autocast("cpu", enabled=False):
            return super().forward(pixels.float()).to(pixels.dtype)

    def _is_slow_over(self, pixels: Tensor) -> bool:
        strides_or_is_large = max(self.stride) > 1 or max(self.kernel_size) > _FAST_KERNEL
        return strides_or_is_large or min(pixels.shape[-2:]) < max(self.kernel_size)


def keep_depthwise_in_float32(backbone: nn.Module) -> None:
    """Put `DepthwiseInFloat32` in place of the depthwise layers."""
    for name, layer in list(backbone.named_modules()):
        if type(layer) is nn.Conv2d and layer.groups == layer.in_channels > 1:
            backbone.set_submodule(name, DepthwiseInFloat32(layer))
