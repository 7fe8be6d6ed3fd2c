"""Make plain PyTorch layers of some of timm's own, which are slower.

Two of them hide from what is done with plain layers: from folding batch norms into convolutions
(`fuse_batchnorm`), and from the faster gradients of `replace_convolutions`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

Padding = tuple[int, int, int, int]
"""Left, right, top, bottom, in pixels."""


def make_same_padding_static(model: nn.Module, tile: Tensor) -> dict[str, Padding]:
    """Turn convolutions that pad by the size of each input into plain ones without padding.

    Args:
        model: a model of timm, changed in place.
        tile: (1, C, S, S), a tile of the only size that the model will be used with.

    Returns:
        The padding that each of them needs, by its name; see `add_padding`.
    """
    from timm.layers.conv2d_same import Conv2dSame

    layers = {n: layer for n, layer in model.named_modules() if isinstance(layer, Conv2dSame)}
    sizes: dict[str, list[int]] = {}

    def note(name: str, layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        sizes[name] = list(inputs[0].shape[-2:])

    hooks = [layer.register_forward_pre_hook(partial(note, name)) for name, layer in layers.items()]
    with torch.inference_mode():
        model(tile)
    for hook in hooks:
        hook.remove()
    found = {}
    for name, size in sizes.items():
        rows, columns = (_around(side, layers[name], axis) for axis, side in enumerate(size))
        layers[name].__class__ = nn.Conv2d  # type: ignore[assignment]  # it only pads no more
        found[name] = (*columns, *rows)
    return found


def _around(side: int, layer: nn.Conv2d, axis: int) -> tuple[int, int]:
    """Zeros before and after a side, so that the result has side / stride values, rounded up."""
    stride, reach = layer.stride[axis], (layer.kernel_size[axis] - 1) * layer.dilation[axis]
    total = max((-(-side // stride) - 1) * stride + reach + 1 - side, 0)
    return total // 2, total - total // 2


def add_padding(model: nn.Module, paddings: Mapping[str, Padding]) -> None:
    """Pad the input of convolutions with zeros before they run.

    Args:
        model: changed in place.
        paddings: by the names of the convolutions.
    """
    for name, padding in paddings.items():
        if any(padding):
            model.get_submodule(name).register_forward_pre_hook(partial(_pad, padding))


def _pad(padding: Padding, layer: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (functional.pad(inputs[0], padding), *inputs[1:])


def separate_activations(backbone: nn.Module) -> nn.Module:
    """Split layers that are a batch norm and an activation in one, in place.

    The names of tensors change: only for networks that embed.
    """
    for name, layer in list(backbone.named_modules()):
        if isinstance(layer, nn.BatchNorm2d) and type(layer).__name__ == "BatchNormAct2d":
            backbone.set_submodule(name, _separated(layer))
    return backbone


def _separated(layer: Any) -> nn.Sequential:
    norm = nn.BatchNorm2d(
        layer.num_features,
        layer.eps,
        layer.momentum,
        layer.affine,
        layer.track_running_stats,
    )
    norm.load_state_dict(
        {key: value for key, value in layer.state_dict().items() if key in norm.state_dict()}
    )
    norm.to(next(layer.buffers()).device)
    return nn.Sequential(norm, layer.drop, layer.act).train(layer.training)
