"""The embedding network: any family, any number of bands, unit norm; refusals that help."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from rsretrieve.errors import InvalidArgument
from rsretrieve.network.network import (
    EmbeddingNetwork,
    build_network,
    check_backbone,
    first_convolutions,
)

FAMILIES = {
    "resnet18": 32,
    "mobilenet_v3_small": 32,
    "squeezenet1_1": 32,
    "efficientnet_b0": 32,
    "swin_t": 32,
    "googlenet": 32,
}


# test_pretrained.py tests a ViT, which takes long to build.
@pytest.mark.medium
@pytest.mark.parametrize("bands", [3, 5])
@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_embeds_tiles_on_the_unit_sphere(name: str, bands: int) -> None:
    size_px = FAMILIES[name]
    network = build_network(name, bands=bands, size_px=size_px, dimensions=16)
    with torch.inference_mode():
        embeddings = network(torch.randn(2, bands, size_px, size_px))
    assert embeddings.shape == (2, 16)
    assert embeddings.dtype is torch.float32
    assert embeddings.norm(dim=1).tolist() == pytest.approx([1, 1], abs=1e-5)


def test_outputs_of_auxiliary_classifiers_are_passed_over_in_training() -> None:
    network = build_network("googlenet", bands=3, size_px=32, dimensions=8).train()
    assert network(torch.randn(2, 3, 32, 32)).shape == (2, 8)


def test_a_backbone_that_can_embed_a_size_but_not_train_on_it_is_refused() -> None:
    """Inception's auxiliary classifier needs larger images than the rest of it."""
    with pytest.raises(InvalidArgument, match=r"^backbone inception_v3 cannot take tiles of 96 px"):
        build_network("inception_v3", bands=3, size_px=96, dimensions=8)


def test_a_network_comes_in_evaluation_mode_and_without_the_imagenet_classifier() -> None:
    network = build_network("squeezenet1_1", bands=3, size_px=32, dimensions=8)
    assert not network.training
    outputs = [m.out_channels for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert 1000 not in outputs
    assert network.projection.out_features == 8


def test_dropout_beside_the_classifier_is_switched_off() -> None:
    network = build_network("mobilenet_v3_small", bands=3, size_px=32, dimensions=8)
    dropouts = [layer.p for layer in network.modules() if isinstance(layer, nn.Dropout)]
    assert dropouts == [0.0]


def test_the_last_layer_computes_in_float32_under_autocast() -> None:
    network = build_network("squeezenet1_1", bands=3, size_px=32, dimensions=8)
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        embeddings = network(torch.randn(2, 3, 32, 32))
    assert embeddings.dtype is torch.float32
    assert embeddings.norm(dim=1).tolist() == pytest.approx([1, 1], abs=1e-5)


def test_a_tile_without_any_feature_has_a_finite_embedding() -> None:
    network = EmbeddingNetwork(nn.Flatten(), features=12, dimensions=4)
    nn.init.zeros_(network.projection.bias)
    assert network(torch.zeros(1, 3, 2, 2)).tolist() == [[0, 0, 0, 0]]


@pytest.mark.parametrize("bands", [1, 2, 4])
def test_the_first_layer_takes_the_bands_and_keeps_its_form(bands: int) -> None:
    network = build_network("resnet18", bands=bands, size_px=32, dimensions=8)
    [(name, layer)] = first_convolutions(network.backbone).items()
    assert name == "conv1"
    assert (layer.in_channels, layer.out_channels) == (bands, 64)
    assert (layer.kernel_size, layer.stride, layer.padding) == ((7, 7), (2, 2), (3, 3))
    assert layer.bias is None


@pytest.mark.parametrize(
    ("misspelt", "near"), [("ResNet50", "resnet50"), ("resnet-18", "resnet18"), ("vitb32", "vit_b")]
)
def test_a_misspelt_backbone_is_refused_with_those_near_to_it(misspelt: str, near: str) -> None:
    with pytest.raises(InvalidArgument, match=f"^no such backbone: '{misspelt}'$") as caught:
        build_network(misspelt, bands=3, size_px=32, dimensions=8)
    assert caught.value.hint.startswith("did you mean")
    assert near in caught.value.hint


def test_a_name_near_to_nothing_lists_all_backbones() -> None:
    with pytest.raises(InvalidArgument, match=r"^no such backbone: '\?'$") as caught:
        check_backbone("?")
    assert "alexnet, " in caught.value.hint
    assert "wide_resnet50_2" in caught.value.hint


@pytest.mark.parametrize("name", ["fasterrcnn_resnet50_fpn", "raft_small", "fcn_resnet50"])
def test_models_that_classify_nothing_are_no_backbones(name: str) -> None:
    with pytest.raises(InvalidArgument, match=r"^no such backbone"):
        check_backbone(name)


@pytest.mark.parametrize(
    ("name", "size_px", "reason"),
    [
        ("squeezenet1_1", 8, "Output size is too small"),
        ("vit_b_32", 50, "Input shape indivisible by patch size!"),
        ("maxvit_t", 64, "not divisible by partition size 7"),
    ],
)
def test_a_size_that_a_backbone_cannot_take_is_refused(
    name: str, size_px: int, reason: str
) -> None:
    start = rf"^backbone {name} cannot take tiles of {size_px} px \("
    with pytest.raises(InvalidArgument, match=f"{start}.*{reason}") as caught:
        build_network(name, bands=3, size_px=size_px, dimensions=8)
    assert caught.value.hint.startswith("give another --size")
