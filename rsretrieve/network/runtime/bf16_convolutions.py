"""Convolutions that processors are slow at in bfloat16, or wrong.

oneDNN has no vector code for bfloat16 gradients of a depthwise convolution with a stride, a
large kernel, or one that reaches over the whole image: they take ten times as long as in float32
(two thirds of a training step of MobileNetV2, PyTorch 2.15). But convolutions themselves are
fast, and the gradient of the pixels is one: the kernel, turned round, in single steps over the
gradient of the results, with zeros for those that a stride leaves out. That of the weights is
fast wherever the image is larger than the kernel, and zeros around a small one make it so.
Larger kernels compute in float32; what they give is rounded back.

And over a single pixel the gradient of any kernel's weights is of memory that nobody wrote,
where the convolution has a stride. There a padded kernel is its centre alone.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

_FAST_KERNEL = (3, 3)


class _Substitute(nn.Conv2d):
    """A convolution that goes its own way where it learns in bfloat16 on a processor.

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
        """As any convolution; in the type of `pixels`, or of autocast."""
        learns_in_bfloat16 = (
            self.training
            and pixels.device.type == "cpu"
            and torch.is_autocast_enabled("cpu")
            and torch.get_autocast_dtype("cpu") is torch.bfloat16
        )
        if not learns_in_bfloat16 or not self._goes_its_own_way_over(pixels):
            return super().forward(pixels)
        return self._own_way(pixels.bfloat16())

    def _goes_its_own_way_over(self, pixels: Tensor) -> bool:
        raise NotImplementedError

    def _own_way(self, pixels: Tensor) -> Tensor:
        """In float32, where there is nothing faster that is right."""
        with torch.autocast("cpu", enabled=False):
            return super().forward(pixels.float()).bfloat16()

    @property
    def _parameters_in_bfloat16(self) -> tuple[Tensor, Tensor | None]:
        return self.weight.bfloat16(), None if self.bias is None else self.bias.bfloat16()


class SmallImageConv2d(_Substitute):
    """A convolution whose gradient is right over images smaller than its stride, too."""

    def _goes_its_own_way_over(self, pixels: Tensor) -> bool:
        return min(pixels.shape[-2:]) < max(2, *self.stride)

    def _own_way(self, pixels: Tensor) -> Tensor:
        if pixels.shape[-2:] != (1, 1) or not self._is_centred:
            return super()._own_way(pixels)
        weight, bias = self._parameters_in_bfloat16
        down, across = (side // 2 for side in self.kernel_size)
        centre = weight[:, :, down : down + 1, across : across + 1]
        return functional.conv2d(pixels, centre, bias, groups=self.groups)

    @property
    def _is_centred(self) -> bool:
        """Zeros around a single pixel leave one place for the kernel, its middle on the pixel."""
        reach = tuple(step * (side // 2) for step, side in zip(self.dilation, self.kernel_size))
        odd = all(side % 2 for side in self.kernel_size)
        return odd and self.padding == reach and self.padding_mode == "zeros"


class DepthwiseConv2d(_Substitute):
    """A depthwise convolution that learns as fast on a processor as it can."""

    def _goes_its_own_way_over(self, pixels: Tensor) -> bool:
        strides_or_is_large = max(self.stride) > 1 or max(self.kernel_size) > max(_FAST_KERNEL)
        return strides_or_is_large or min(pixels.shape[-2:]) < max(self.kernel_size)

    def _own_way(self, pixels: Tensor) -> Tensor:
        if not self._is_fast_in_disguise:
            return super()._own_way(pixels)
        convolved: Tensor
        parameters = self._parameters_in_bfloat16
        convolved = _ThreeByThree.apply(pixels, *parameters, self.stride, self.padding)
        return convolved

    @property
    def _is_fast_in_disguise(self) -> bool:
        return (
            self.kernel_size == _FAST_KERNEL
            and self.dilation == (1, 1)
            and self.padding_mode == "zeros"
            and isinstance(self.padding, tuple)
            and max(self.padding) < max(_FAST_KERNEL)
            and self.out_channels == self.in_channels
        )


class _ThreeByThree(torch.autograd.Function):
    """A depthwise 3 × 3 convolution with any stride, over any image, whose gradient is fast."""

    @staticmethod
    def forward(
        ctx: Any,
        pixels: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        stride: tuple[int, int],
        padding: tuple[int, int],
    ) -> Tensor:
        """(B, C, H, W), (C, 1, 3, 3) and (C,) → (B, C, H', W')."""
        ctx.border = (0, 0)
        if min(pixels.shape[-2:]) < max(_FAST_KERNEL):
            ctx.border, padding = padding, (0, 0)
            down, across = ctx.border
            pixels = functional.pad(pixels, (across, across, down, down))
        ctx.save_for_backward(pixels, weight)
        ctx.stride, ctx.padding = stride, padding
        return functional.conv2d(pixels, weight, bias, stride, padding, groups=len(weight))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Of (B, C, H', W'), to the three tensors."""
        [gradient] = gradients
        pixels, weight = ctx.saved_tensors
        channels = len(weight)
        of_pixels, of_weight, of_bias = None, None, None
        if ctx.needs_input_grad[0]:
            around = [max(_FAST_KERNEL) - 1 - padding for padding in ctx.padding]
            spread = _in_single_steps(gradient, pixels, ctx.stride, ctx.padding)
            of_pixels = functional.conv2d(spread, weight.flip(2, 3), None, 1, around, 1, channels)
            down, across = ctx.border
            height, width = of_pixels.shape[-2:]
            of_pixels = of_pixels[:, :, down : height - down, across : width - across]
        if any(ctx.needs_input_grad[1:3]):
            _, of_weight, of_bias = torch.ops.aten.convolution_backward(
                gradient,
                pixels,
                weight,
                [channels],
                list(ctx.stride),
                list(ctx.padding),
                [1, 1],
                False,
                [0, 0],
                channels,
                [False, *ctx.needs_input_grad[1:3]],
            )
        return of_pixels, of_weight, of_bias, None, None


def _in_single_steps(
    gradient: Tensor, pixels: Tensor, stride: tuple[int, int], padding: tuple[int, int]
) -> Tensor:
    """A gradient where the results lie that a convolution without a stride would have, too."""
    if max(stride) == 1:
        return gradient
    height, width = (
        side + 2 * around - kernel + 1
        for side, around, kernel in zip(pixels.shape[-2:], padding, _FAST_KERNEL)
    )
    shape = (*gradient.shape[:2], height, width)
    everywhere = torch.empty(shape, dtype=gradient.dtype, memory_format=torch.channels_last).zero_()
    everywhere[:, :, :: stride[0], :: stride[1]] = gradient
    return everywhere


def replace_convolutions(backbone: nn.Module) -> None:
    """Put substitutes in place of the convolutions that need one somewhere."""
    for name, layer in list(backbone.named_modules()):
        if type(layer) is not nn.Conv2d:
            continue
        if layer.groups == layer.in_channels > 1:
            backbone.set_submodule(name, DepthwiseConv2d(layer))
        elif max(layer.kernel_size) > 1:
            backbone.set_submodule(name, SmallImageConv2d(layer))


def restore_convolutions(backbone: nn.Module) -> nn.Module:
    """Let the substitutes of a backbone be plain convolutions again, in place."""
    for layer in backbone.modules():
        if isinstance(layer, _Substitute):
            layer.__class__ = nn.Conv2d  # type: ignore[assignment]  # which they are, but for how they learn
    return backbone
