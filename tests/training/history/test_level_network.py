"""Features of enlarged tiles, and of earlier stages of a backbone."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.functional import interpolate, normalize

from rsretrieve.network.network import EmbeddingNetwork, build_network
from rsretrieve.training.history.level_network import SIDE_PX, LevelNetwork


class Stages(nn.Sequential):
    """Three stages of convolutions, and a mean."""

    def __init__(self) -> None:
        sizes = [(3, 4, 2), (4, 5, 1), (5, 6, 2), (6, 7, 2)]
        layers = [nn.Conv2d(a, b, 3, stride, padding=1) for a, b, stride in sizes]
        super().__init__(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())


class OfOneSize(nn.Module):
    """Takes tiles of 32 pixels only, as vision transformers do."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 5, 32)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        if pixels.shape[-1] != 32:
            raise ValueError("32 pixels only")
        return self.layer(pixels).flatten(1)


def test_the_blocks_are_unit_vectors_of_the_last_layer_and_of_earlier_stages() -> None:
    torch.manual_seed(0)
    backbone, tiles = Stages(), torch.randn(3, 3, 32, 32)
    network = LevelNetwork(EmbeddingNetwork(backbone, 7, 4), 3, 32)
    assert (network.side_px, network.sizes) == (SIDE_PX, (7, 6, 5))
    with torch.no_grad():
        found = network.features(tiles)
        large = interpolate(tiles, size=(128, 128), mode="bicubic", align_corners=False)
        maps = [large]
        for layer in list(backbone)[:4]:
            maps.append(layer(maps[-1]))
        wanted = [normalize(m.mean(dim=(2, 3))) for m in (maps[4], maps[3], maps[2])]
    torch.testing.assert_close(found, torch.cat(wanted, dim=1))


def test_large_tiles_and_those_of_a_backbone_of_one_size_are_not_enlarged() -> None:
    large = LevelNetwork(EmbeddingNetwork(Stages(), 7, 4), 3, 160)
    assert large.side_px == 160
    fixed = LevelNetwork(EmbeddingNetwork(OfOneSize(), 5, 4), 3, 32)
    assert (fixed.side_px, fixed.sizes) == (32, (5,))
    assert fixed.features(torch.randn(2, 3, 32, 32)).shape == (2, 5)


@pytest.mark.medium
@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet18", "squeezenet1_1"])
def test_hooks_are_removed_and_training_mode_stays(name: str) -> None:
    network = build_network(name, bands=3, size_px=64, dimensions=8).train()
    levels = LevelNetwork(network, 3, 64).train()
    assert len(levels.sizes) > 1
    levels.features(torch.randn(2, 3, 64, 64))
    assert not any(module._forward_hooks for module in network.modules())
    assert network.backbone.training
