"""Pool the feature maps of several levels of a network.

The last layer of a network that was trained to classify photographs has forgotten what its classes
do not need, such as the texture of fields. Earlier levels have it: with them, tiles of data sets
that the network never saw are retrieved better (`benchmarks/RESULTS.md` has the figures).
"""

from __future__ import annotations

import inspect
from math import sqrt
from typing import Any

import torch
from torch import Tensor, nn

from rsretrieve._core.text import first_line
from rsretrieve.errors import InvalidArgument
from rsretrieve.network.backbones.level_names import Level, LevelsName
from rsretrieve.network.backbones.timm_layers import add_padding
from rsretrieve.network.backbones.timm_models import build_timm
from rsretrieve.network.runtime.bf16_convolutions import replace_convolutions


class PooledLevels(nn.Module):
    """The pooled features of a network, and statistics of feature maps of earlier levels.

    Args:
        network: a model of timm without its classifying layer.
        levels: the levels, in ascending order.

    Attributes:
        sizes: the numbers of features of the blocks: first those of the network, then for each
            level the means and the standard deviations, as far as they are kept.
    """

    def __init__(self, network: nn.Module, levels: tuple[Level, ...]) -> None:
        super().__init__()
        self.network = network
        self.levels = levels
        self.sizes: tuple[int, ...] = ()
        # EfficientNets count all blocks with it; without it only those before a smaller map.
        whole: Any = network
        taken = inspect.signature(whole.forward_intermediates).parameters
        self._options = {"extra_blocks": True} if "extra_blocks" in taken else {}

    def blocks(self, pixels: Tensor) -> list[Tensor]:
        """(B, C, S, S) normalised pixels → one (B, F_i) for each block."""
        network: Any = self.network
        numbers = [level.number for level in self.levels]
        last, maps = network.forward_intermediates(pixels, indices=numbers, **self._options)
        pooled = [network.forward_head(last, pre_logits=True).flatten(1).float()]
        for level, values in zip(self.levels, maps):
            pooled += _pooled(values, level)
        return pooled

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, C, S, S) normalised pixels → (B, F)."""
        return torch.cat(self.blocks(pixels), dim=1)


def build_levels(name: LevelsName, bands: int, size_px: int) -> tuple[PooledLevels, int]:
    """Build a backbone of several levels, with random weights.

    Args:
        name: its name.
        bands: C, the bands of a tile.
        size_px: S, the side of a tile in pixels.

    Returns:
        The backbone, in evaluation mode, and F: it turns (B, C, S, S) into (B, F).

    Raises:
        InvalidArgument: the network has no such level, or no feature maps.
        RuntimeError, ValueError, TypeError, AssertionError: it does not take such tiles.
    """
    built = build_timm(name.network, bands, size_px)
    network = built.module
    replace_convolutions(network)
    add_padding(network, built.paddings)
    if not hasattr(network, "forward_intermediates"):
        raise InvalidArgument(f"{name.network} does not give the feature maps of its levels")
    backbone = PooledLevels(network, name.levels).eval()
    try:
        with torch.inference_mode():
            blocks = backbone.blocks(torch.zeros(1, bands, size_px, size_px))
    except AssertionError as error:  # timm's, for a number
        raise InvalidArgument(
            f"{name.network} has no level {name.levels[-1].number} ({first_line(error)})",
            hint="levels are counted from 0, as timm's forward_intermediates counts them",
        ) from error
    backbone.sizes = tuple(block.shape[1] for block in blocks)
    return backbone, sum(backbone.sizes)


def _pooled(maps: Tensor, level: Level) -> list[Tensor]:
    """(B, F, H, W) feature maps → the means and the standard deviations that a level keeps."""
    values = maps.flatten(2).float()  # bfloat16 has too few digits for deviations
    means = values.mean(dim=2, keepdim=True)
    kept = [means.squeeze(2)] if level.has_mean else []
    if level.has_deviation:
        lengths = torch.linalg.vector_norm(values - means, dim=2)
        kept.append(lengths / sqrt(values.shape[2]))
    return kept
