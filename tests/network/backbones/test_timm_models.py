"""Models of timm: built without a network, with weights by their names, for any bands and size."""

from __future__ import annotations

from pathlib import Path
from urllib.error import URLError
from urllib.request import Request

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from rsretrieve.errors import InvalidArgument, WeightsError
from rsretrieve.network.backbones import timm_models
from rsretrieve.network.backbones.input_bands import InputBands
from rsretrieve.network.backbones.rgb_statistics import rgb_statistics
from rsretrieve.network.network import build_network
from rsretrieve.network.pretrained import load_weights

LITE, VIT = "timm/tf_efficientnet_lite0", "timm/vit_tiny_patch16_224"
pytestmark = pytest.mark.medium


def weights_of(name: str, path: Path, **arguments: int) -> dict[str, torch.Tensor]:
    """Random weights of a whole model, its classifying layer included, in a file."""
    import timm  # it takes seconds

    torch.manual_seed(5)
    state = dict(timm.create_model(name.removeprefix("timm/"), **arguments).state_dict())
    save_file(state, path)
    return state


def test_features_are_those_of_timms_own_model(tmp_path: Path) -> None:
    import timm

    state = weights_of(LITE, tmp_path / "w.safetensors")
    network = build_network(LITE, bands=3, size_px=64, dimensions=8)
    report = load_weights(network, LITE, str(tmp_path / "w.safetensors"))
    assert report.matched == report.wanted
    assert report.remark == ""
    reference = timm.create_model("tf_efficientnet_lite0", num_classes=0)
    reference.load_state_dict({k: v for k, v in state.items() if not k.startswith("classifier")})
    pixels = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        expected = reference.eval()(pixels)
        np.testing.assert_allclose(network.features(pixels), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 4, 13])
def test_the_first_layer_is_adapted_to_other_bands_and_it_is_said(
    tmp_path: Path, channels: int
) -> None:
    state = weights_of(LITE, tmp_path / "w.safetensors")
    network = build_network(LITE, bands=channels, size_px=64, dimensions=8)
    bands = InputBands(tuple(range(1, channels + 1)), channels)
    report = load_weights(network, LITE, str(tmp_path / "w.safetensors"), bands)
    assert f"adapted from 3 to {channels} bands" in report.remark
    adapted, original = network.backbone.state_dict()["conv_stem.weight"], state["conv_stem.weight"]
    torch.testing.assert_close(adapted.sum(1), original.sum(1))


def test_multispectral_weights_keep_the_filters_of_their_bands(tmp_path: Path) -> None:
    state = weights_of("timm/resnet18", tmp_path / "w.safetensors", in_chans=13)
    network = build_network("timm/resnet18", bands=3, size_px=64, dimensions=8)
    report = load_weights(
        network, "timm/resnet18", str(tmp_path / "w.safetensors"), InputBands((4, 3, 2), 13)
    )
    assert "filters of the bands 4,3,2" in report.remark
    own = network.backbone.state_dict()["conv1.weight"]
    assert torch.equal(own, state["conv1.weight"][:, [3, 2, 1]])


def test_position_embeddings_are_resized(tmp_path: Path) -> None:
    state = weights_of(VIT, tmp_path / "w.safetensors")
    network = build_network(VIT, bands=3, size_px=64, dimensions=8)
    report = load_weights(network, VIT, str(tmp_path / "w.safetensors"))
    assert report.matched == report.wanted
    positions = network.backbone.state_dict()["pos_embed"]
    assert state["pos_embed"].shape == (1, 1 + 14 * 14, 192)
    assert positions.shape == (1, 1 + 4 * 4, 192)
    assert torch.equal(positions[:, 0], state["pos_embed"][:, 0])


def test_weights_of_another_architecture_are_refused(tmp_path: Path) -> None:
    weights_of("timm/resnet18", tmp_path / "w.safetensors")
    network = build_network(VIT, bands=3, size_px=64, dimensions=8)
    with pytest.raises(WeightsError, match="at least nine tenths"):
        load_weights(network, VIT, str(tmp_path / "w.safetensors"))


def test_a_download_without_a_network_says_which_file_to_get(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []

    def offline(request: Request, timeout: float) -> None:
        asked.append(request.full_url)
        raise URLError("no network")

    monkeypatch.setattr(timm_models, "urlopen", offline)
    network = build_network(LITE, bands=3, size_px=64, dimensions=8)
    with pytest.raises(WeightsError, match="could not be downloaded") as raised:
        load_weights(network, LITE, "imagenet")
    assert asked[0].endswith("timm/tf_efficientnet_lite0.in1k/resolve/main/model.safetensors")
    assert "model.safetensors of timm/tf_efficientnet_lite0.in1k" in str(raised.value.hint)
    assert "--weights FILE" in str(raised.value.hint)
    assert "none" not in str(raised.value.hint)  # some commands do not take it


def test_an_architecture_without_weights_says_so() -> None:
    name = "timm/vit_tiny_patch16_rope_reg1_gap_256"
    network = build_network("timm/test_vit", bands=3, size_px=160, dimensions=8)
    with pytest.raises(WeightsError, match="no pre-trained weights"):
        load_weights(network, name, "imagenet")


@pytest.mark.parametrize(
    ("name", "mean", "deviation"),
    [
        (LITE, 127.5, 127.5),
        ("timm/resnet18", 0.485 * 255, 0.229 * 255),
        ("resnet18", 123.675, 58.395),
        ("timm/vit_base_patch16_224", 127.5, 127.5),
        ("timm/vit_base_patch16_224.dino", 0.485 * 255, 0.229 * 255),
    ],
)
def test_the_normalisation_is_that_of_the_weights(name: str, mean: float, deviation: float) -> None:
    found = rgb_statistics(name)
    assert (found.mean[0], found.deviation[0]) == pytest.approx((mean, deviation))


def test_a_size_that_a_model_does_not_take_is_refused_with_one_that_it_takes() -> None:
    with pytest.raises(InvalidArgument, match="cannot take tiles of 20 px") as raised:
        build_network("timm/maxvit_tiny_rw_224", bands=3, size_px=20, dimensions=8)
    assert "224 works" in str(raised.value.hint)


def test_a_model_without_one_vector_for_a_tile_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    import timm

    monkeypatch.setattr(timm, "create_model", lambda *_, **__: torch.nn.Conv2d(3, 4, 1))
    with pytest.raises(InvalidArgument, match="does not give one vector"):
        build_network(LITE, bands=3, size_px=64, dimensions=8)


class LooksAtItsWeights(torch.nn.Module):
    """A backbone of 64 layers that cannot be built without memory."""

    made = 0

    def __init__(self, **_: object) -> None:
        super().__init__()
        layers = []
        for _number in range(64):
            layers.append(torch.nn.Linear(100, 100, bias=False))
            float(layers[-1].weight.sum())
            LooksAtItsWeights.made += 10_000
        self.layers = torch.nn.Sequential(*layers)


def test_a_huge_backbone_that_is_built_in_memory_is_refused_before_it_takes_much(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(timm, "create_model", lambda _, **arguments: LooksAtItsWeights(**arguments))
    timm_models.check_parameters("timm/resnet10t", 3, 32, available=640_000)
    LooksAtItsWeights.made = 0
    with pytest.raises(ValueError, match="has more than 100,000 parameters"):
        timm_models.check_parameters("timm/resnet10t", 3, 32, available=50_000)
    assert LooksAtItsWeights.made <= 100_000
    with pytest.raises(ValueError, match="has 640,000 parameters, and there are 600,000"):
        timm_models.check_parameters("timm/resnet10t", 3, 32, available=600_000)
    LooksAtItsWeights.made = 0
    LooksAtItsWeights()  # the limit ends with the check
    assert LooksAtItsWeights.made == 640_000
