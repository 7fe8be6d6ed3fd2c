"""Replace convolutions whose bfloat16 gradients are slow or wrong on a processor.

Two faults of oneDNN, the library behind PyTorch's convolutions on processors, are worked around.
Both were measured with PyTorch 2.14.1 and oneDNN 3.12.0 on a processor with AVX-512 BF16.

1. *Slow.* The gradients of a depthwise convolution with a stride, a kernel larger than 3 × 3, or
   an image smaller than its kernel have no vector code for bfloat16. They took up to 40 times
   as long as in float32 (10.3 instead of 0.26 ms for the layer below), which was two thirds of a
   training step of MobileNetV2. No upstream thread about these gradients was found;
   https://github.com/pytorch/pytorch/issues/183815 reports slow bfloat16 convolutions forward.
   `DepthwiseConv2d` computes the same gradients from convolutions that are fast. The gradient of
   the input is a convolution of the output's gradient, with zeros inserted for the stride, with
   the flipped kernel. The gradient of the weights is fast unless the image is smaller than the
   kernel, so such an image is padded with zeros. Larger kernels run in float32, and the result
   is rounded.
2. *Wrong.* Over an image of one pixel, or smaller than the stride, the gradient of the weights has
   values from uninitialised memory. The nearest upstream thread is
   https://github.com/pytorch/pytorch/issues/169688: wrong bfloat16 results forward, with a stride
   and an output one pixel wide. `SmallImageConv2d` runs in float32 instead, and over a single
   pixel it uses the centre of the kernel alone.

To check whether a newer version still needs this, on one thread: time `torch.autograd.grad` of
`nn.Conv2d(96, 96, 3, 2, 1, groups=96)` over (16, 96, 16, 16), channels last, in bfloat16 and in
float32; and compare the weight gradient of `nn.Conv2d(32, 32, 3, 2, 1, bias=False)` over
(6, 32, 1, 1) in bfloat16 with that in float32. This module can go when the oldest supported
PyTorch is as fast and as exact as float32 there.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

_FAST_KERNEL = (3, 3)


class _ReplacedConv2d(nn.Conv2d):
    """A convolution with another implementation for training in bfloat16 on a processor.

    Args:
        layer: the convolution that it replaces; they share their parameters.
    """

    def __init__(self, layer: nn.Conv2d) -> None:
        with torch.device("meta"):  # new parameters would advance the random generator
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
        """(B, C, H, W) → (B, C', H', W'), in the dtype of `pixels` or of autocast."""
        trains_in_bfloat16 = (
            self.training
            and pixels.device.type == "cpu"
            and torch.is_autocast_enabled("cpu")
            and torch.get_autocast_dtype("cpu") is torch.bfloat16
        )
        if not trains_in_bfloat16 or not self._needs_replacement(pixels):
            return super().forward(pixels)
        return self._replacement(pixels.bfloat16())

    def _needs_replacement(self, pixels: Tensor) -> bool:
        raise NotImplementedError

    def _replacement(self, pixels: Tensor) -> Tensor:
        """Run in float32 and round the result."""
        with torch.autocast("cpu", enabled=False):
            return super().forward(pixels.float()).bfloat16()

    def _bfloat16_parameters(self) -> tuple[Tensor, Tensor | None]:
        return self.weight.bfloat16(), None if self.bias is None else self.bias.bfloat16()


class SmallImageConv2d(_ReplacedConv2d):
    """A convolution with correct gradients over images smaller than its stride (fault 2)."""

    def _needs_replacement(self, pixels: Tensor) -> bool:
        return min(pixels.shape[-2:]) < max(2, *self.stride)

    def _replacement(self, pixels: Tensor) -> Tensor:
        if pixels.shape[-2:] != (1, 1) or not self._is_centred():
            return super()._replacement(pixels)
        weight, bias = self._bfloat16_parameters()
        row, column = (side // 2 for side in self.kernel_size)
        centre = weight[:, :, row : row + 1, column : column + 1]
        return functional.conv2d(pixels, centre, bias, groups=self.groups)

    def _is_centred(self) -> bool:
        """Whether the padding puts the kernel's centre on a single pixel, and nothing else."""
        reach = tuple(step * (side // 2) for step, side in zip(self.dilation, self.kernel_size))
        odd = all(side % 2 for side in self.kernel_size)
        return odd and self.padding == reach and self.padding_mode == "zeros"


class DepthwiseConv2d(_ReplacedConv2d):
    """A depthwise convolution with fast gradients (fault 1)."""

    def _needs_replacement(self, pixels: Tensor) -> bool:
        strided_or_large = max(self.stride) > 1 or max(self.kernel_size) > max(_FAST_KERNEL)
        return strided_or_large or min(pixels.shape[-2:]) < max(self.kernel_size)

    def _replacement(self, pixels: Tensor) -> Tensor:
        if not self._has_fast_gradient():
            return super()._replacement(pixels)
        convolved: Tensor
        parameters = self._bfloat16_parameters()
        convolved = DepthwiseThreeByThree.apply(pixels, *parameters, self.stride, self.padding)
        return convolved

    def _has_fast_gradient(self) -> bool:
        return (
            self.kernel_size == _FAST_KERNEL
            and self.dilation == (1, 1)
            and self.padding_mode == "zeros"
            and isinstance(self.padding, tuple)
            and max(self.padding) < max(_FAST_KERNEL)
            and self.out_channels == self.in_channels
        )


class DepthwiseThreeByThree(torch.autograd.Function):
    """A depthwise 3 × 3 convolution with any stride, whose gradient is fast over any image."""

    @staticmethod
    def forward(
        ctx: Any,
        pixels: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        stride: tuple[int, int],
        padding: tuple[int, int],
    ) -> Tensor:
        """Convolve (B, C, H, W) with (C, 1, 3, 3) and (C,) → (B, C, H', W')."""
        ctx.border = (0, 0)
        if min(pixels.shape[-2:]) < max(_FAST_KERNEL):
            ctx.border, padding = padding, (0, 0)
            rows, columns = ctx.border
            pixels = functional.pad(pixels, (columns, columns, rows, rows))
        ctx.save_for_backward(pixels, weight)
        ctx.stride, ctx.padding = stride, padding
        return functional.conv2d(pixels, weight, bias, stride, padding, groups=len(weight))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients of pixels, weight and bias from that of the output, (B, C, H', W')."""
        [gradient] = gradients
        of_pixels, of_weight, of_bias = None, None, None
        if ctx.needs_input_grad[0]:
            of_pixels = _gradient_of_pixels(ctx, gradient)
        if any(ctx.needs_input_grad[1:3]):
            pixels, weight = ctx.saved_tensors
            _, of_weight, of_bias = torch.ops.aten.convolution_backward(
                gradient,
                pixels,
                weight,
                bias_sizes=[len(weight)],
                stride=list(ctx.stride),
                padding=list(ctx.padding),
                dilation=[1, 1],
                transposed=False,
                output_padding=[0, 0],
                groups=len(weight),
                output_mask=[False, *ctx.needs_input_grad[1:3]],
            )
        return of_pixels, of_weight, of_bias, None, None


def _gradient_of_pixels(ctx: Any, gradient: Tensor) -> Tensor:
    """Convolve the output's gradient with the flipped kernel, and cut off the padded border."""
    pixels, weight = ctx.saved_tensors
    around = [max(_FAST_KERNEL) - 1 - padding for padding in ctx.padding]
    spread = _undo_stride(gradient, pixels, ctx.stride, ctx.padding)
    result = functional.conv2d(spread, weight.flip(2, 3), None, 1, around, 1, len(weight))
    rows, columns = ctx.border
    height, width = result.shape[-2:]
    return result[:, :, rows : height - rows, columns : width - columns]


def _undo_stride(
    gradient: Tensor, pixels: Tensor, stride: tuple[int, int], padding: tuple[int, int]
) -> Tensor:
    """Insert zeros for the outputs that the stride left out: (B, C, H', W') → (B, C, H, W)."""
    if max(stride) == 1:
        return gradient
    height, width = (
        side + 2 * around - kernel + 1
        for side, around, kernel in zip(pixels.shape[-2:], padding, _FAST_KERNEL)
    )
    shape = (*gradient.shape[:2], height, width)
    spread = torch.empty(shape, dtype=gradient.dtype, memory_format=torch.channels_last).zero_()
    spread[:, :, :: stride[0], :: stride[1]] = gradient
    return spread


def replace_convolutions(backbone: nn.Module) -> None:
    """Replace the convolutions that have one of the faults, in place."""
    for name, layer in list(backbone.named_modules()):
        if type(layer) is not nn.Conv2d:
            continue
        if layer.groups == layer.in_channels > 1:
            backbone.set_submodule(name, DepthwiseConv2d(layer))
        elif max(layer.kernel_size) > 1:
            backbone.set_submodule(name, SmallImageConv2d(layer))


def restore_convolutions(backbone: nn.Module) -> nn.Module:
    """Turn the replaced convolutions of a backbone into plain ones again, in place."""
    for layer in backbone.modules():
        if isinstance(layer, _ReplacedConv2d):
            layer.__class__ = nn.Conv2d  # type: ignore[assignment]  # they differ in methods only
    return backbone
