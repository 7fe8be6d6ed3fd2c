"""A network with fused batch norm has the same embeddings."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from rsretrieve.network.device import Precision, autocast
from rsretrieve.network.fuse_batchnorm import fuse_batchnorm
from rsretrieve.network.network import EmbeddingNetwork, build_network

CPU = torch.device("cpu")
BACKBONES = {"mobilenet_v2": 3, "resnet18": 6, "shufflenet_v2_x0_5": 3, "densenet121": 3}
SIZE_PX = 32


def as_if_trained(module: nn.Module) -> None:
    """Give batch norms random statistics, so that fusing them is not trivial."""
    generator = torch.Generator().manual_seed(0)
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            for tensor, least in (
                (norm.running_mean, -0.5),
                (norm.running_var, 0.5),
                (norm.weight.data, 0.5),
                (norm.bias.data, -0.5),
            ):
                assert tensor is not None
                tensor.copy_(torch.rand(tensor.shape, generator=generator) + least)


def network_of(name: str, bands: int) -> EmbeddingNetwork:
    network = build_network(name, bands=bands, size_px=SIZE_PX, dimensions=8)
    as_if_trained(network)
    return network.eval()


def embedded(network: EmbeddingNetwork, pixels: torch.Tensor, precision: Precision) -> torch.Tensor:
    with torch.inference_mode(), autocast(precision, CPU):
        result: torch.Tensor = network(pixels)
    return result


def layers(network: EmbeddingNetwork, kind: type[nn.Module]) -> int:
    """How many layers of a kind a backbone has."""
    return sum(isinstance(layer, kind) for layer in network.backbone.modules())


@pytest.mark.medium
@pytest.mark.parametrize("name", BACKBONES)
def test_a_folded_network_embeds_alike(name: str) -> None:
    network = network_of(name, BACKBONES[name])
    pixels = torch.randn(5, BACKBONES[name], SIZE_PX, SIZE_PX)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    quick = fuse_batchnorm(network)
    expected = embedded(network, pixels, Precision.FLOAT32)
    torch.testing.assert_close(
        embedded(quick, pixels, Precision.FLOAT32), expected, rtol=1e-3, atol=1e-4
    )
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_in_bfloat16_a_folded_network_is_no_farther_from_float32() -> None:
    network = network_of("mobilenet_v2", 3)
    pixels = torch.randn(16, 3, SIZE_PX, SIZE_PX)
    exact = embedded(network, pixels, Precision.FLOAT32)
    quick = fuse_batchnorm(network)
    as_it_is, as_folded = (
        (embedded(one, pixels, Precision.BFLOAT16) * exact).sum(dim=1).mean().item()
        for one in (network, quick)
    )
    assert as_folded > min(0.999, as_it_is)


@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet18"])
def test_no_batch_norm_is_left_where_each_follows_a_convolution(name: str) -> None:
    network = network_of(name, 3)
    quick = fuse_batchnorm(network)
    assert layers(network, nn.BatchNorm2d) > 0
    assert layers(quick, nn.BatchNorm2d) == 0
    assert layers(quick, nn.Conv2d) == layers(network, nn.Conv2d)


class Branching(nn.Module):
    """A convolution whose output goes two ways, another with a bias, and a batch norm alone."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 1)
        self.norm, self.second_norm = nn.BatchNorm2d(4), nn.BatchNorm2d(4)
        self.plain_norm, self.bare_norm = nn.BatchNorm2d(3), nn.BatchNorm2d(4, affine=False)
        self.third = nn.Conv2d(4, 4, 1, bias=False)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        seen = self.first(self.plain_norm(pixels))
        both = seen + self.norm(seen)
        after: torch.Tensor = self.bare_norm(self.third(self.second_norm(self.second(both))))
        return after.flatten(1)


def test_what_cannot_be_folded_stays() -> None:
    backbone = Branching().eval()
    backbone.bare_norm.running_var = torch.full((4,), 2.0)
    as_if_trained(nn.ModuleList([backbone.norm, backbone.second_norm, backbone.plain_norm]))
    network = EmbeddingNetwork(backbone, 4 * 6 * 6, 8).eval()
    quick = fuse_batchnorm(network)
    assert layers(quick, nn.BatchNorm2d) == 2
    pixels = torch.randn(2, 3, 8, 8)
    with torch.inference_mode():
        torch.testing.assert_close(quick(pixels), network(pixels))


class Deciding(Branching):
    """What it does hangs on what it sees, so that it cannot be traced."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        found = super().forward(pixels)
        return found if found.sum() > 0 else -found


@pytest.mark.parametrize("backbone", [Deciding(), nn.Conv2d(3, 4, 8)])
def test_a_backbone_that_cannot_be_folded_stays_as_it_is(backbone: nn.Module) -> None:
    network = EmbeddingNetwork(backbone, 4, 8)
    assert fuse_batchnorm(network) is network


def test_a_shared_layer_is_folded_only_where_that_is_right() -> None:
    """A convolution that two batch norms follow in turn is folded with neither."""

    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.one, self.other = (
                nn.Conv2d(3, 3, 1),
                nn.BatchNorm2d(3),
                nn.BatchNorm2d(3),
            )

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            found: torch.Tensor = self.other(self.layer(self.one(self.layer(pixels))))
            return found.flatten(1)

    network = EmbeddingNetwork(Twice(), 3 * 16, 8).eval()
    as_if_trained(network)
    pixels = torch.randn(2, 3, 4, 4)
    with torch.inference_mode():
        torch.testing.assert_close(fuse_batchnorm(network)(pixels), network(pixels))


def test_folding_draws_nothing_by_chance() -> None:
    network = network_of("resnet18", 3)
    before = torch.get_rng_state()
    fuse_batchnorm(network)
    assert torch.equal(torch.get_rng_state(), before)
