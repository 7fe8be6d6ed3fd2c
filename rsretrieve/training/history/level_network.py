"""Features of a backbone and of its earlier levels, of small tiles after enlarging them.

Networks are trained to classify photographs of 224 pixels. In a tile of 64 pixels, their last
layer sees a map of 2 × 2 and hardly the objects that it knows. Read at 128 pixels, or enlarged to
them, tiles of the same class are nearer to each other; and so they are with the means of maps of
earlier stages, which still have the texture. Figures: benchmarks/RESULTS.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, normalize

from rsretrieve.network.embedder import micro_batch_size
from rsretrieve.network.network import EmbeddingNetwork

SIDE_PX = 128
_LEVELS = 3
_REFUSES = (RuntimeError, ValueError, AssertionError, TypeError)


class LevelNetwork(EmbeddingNetwork):
    """A network whose features are those of its backbone, and the means of earlier maps.

    The maps are those that the stages of the backbone return, its layers at the top: the last of
    each of three sizes above the smallest. Maps within a block are worse.

    Args:
        network: the network; its layers are shared.
        bands: C of the tiles.
        size_px: S of the tiles.

    Attributes:
        side_px: the side of the tiles that the backbone sees; smaller ones are enlarged. S if it is
            larger, or if the backbone takes no others.
        sizes: numbers of features of the blocks, each of which is a unit vector.
    """

    def __init__(self, network: EmbeddingNetwork, bands: int, size_px: int) -> None:
        nn.Module.__init__(self)
        self.backbone, self.projection = network.backbone, network.projection
        self.side_px = max(size_px, SIDE_PX)
        self.sizes: tuple[int, ...] = ()
        try:
            self.sizes = self._sizes(bands)
        except _REFUSES:
            self.side_px = size_px
            self.sizes = self._sizes(bands)

    def _sizes(self, bands: int) -> tuple[int, ...]:
        was_training = self.training
        self.eval()
        with torch.inference_mode():
            weight = self.projection.weight
            tile = torch.zeros(1, bands, self.side_px, self.side_px, device=weight.device)
            found = tuple(block.shape[1] for block in self._blocks(tile))
        self.train(was_training)
        return found

    def features(self, pixels: Tensor) -> Tensor:
        """Normalised pixels (B, C, S, S) → (B, F) float32, the blocks side by side."""
        most = micro_batch_size(pixels.device, self.side_px) or len(pixels)
        return torch.cat([torch.cat(self._blocks(some), 1) for some in torch.split(pixels, most)])

    def _blocks(self, pixels: Tensor) -> list[Tensor]:
        if pixels.shape[-1] != self.side_px:
            side = (self.side_px, self.side_px)
            pixels = interpolate(pixels, size=side, mode="bicubic", align_corners=False)
        with _recorded_maps(self.backbone) as maps:
            blocks = [super().features(pixels)]
        for side_of_map in sorted(maps)[1 : 1 + _LEVELS]:
            blocks.append(maps[side_of_map].flatten(2).float().mean(dim=2))
        return [normalize(block) for block in blocks]


@contextmanager
def _recorded_maps(backbone: nn.Module) -> Iterator[dict[int, Tensor]]:
    """The last square map of each side that a stage of a backbone returns while this is open."""
    maps: dict[int, Tensor] = {}

    def record(layer: nn.Module, inputs: Any, output: Any) -> None:
        if (
            isinstance(output, Tensor)
            and output.dim() == 4
            and output.shape[2] == output.shape[3] > 1
        ):
            maps[output.shape[2]] = output

    stages = getattr(backbone, "features", backbone).children()
    hooks = [stage.register_forward_hook(record) for stage in stages]
    try:
        yield maps
    finally:
        for hook in hooks:
            hook.remove()
