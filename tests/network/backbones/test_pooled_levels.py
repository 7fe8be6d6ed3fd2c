"""A backbone of several levels computes what its name says, and works like any other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from rsretrieve.data.preprocessing.preprocessing import Preprocessing
from rsretrieve.errors import InvalidArgument
from rsretrieve.network.backbones.input_bands import InputBands
from rsretrieve.network.backbones.pooled_levels import PooledLevels
from rsretrieve.network.backbones.rgb_statistics import rgb_statistics
from rsretrieve.network.fuse_batchnorm import fuse_batchnorm
from rsretrieve.network.model import PrototypeModel
from rsretrieve.network.model_folder import WEIGHTS_FILE, write_weights
from rsretrieve.network.network import build_network
from rsretrieve.network.pretrained import load_weights
from rsretrieve.network.prototypes import Prototypes
from rsretrieve.network.runtime.graph_export import export_graph
from tests.network.test_fuse_batchnorm import as_if_trained

NAME = "levels-1s-3ms/timm/tf_efficientnet_lite0"
pytestmark = pytest.mark.medium


def test_the_features_are_statistics_of_stages(tmp_path: Path) -> None:
    """Computed stage by stage, with NumPy's mean and deviation."""
    torch.manual_seed(3)
    whole = timm.create_model("tf_efficientnet_lite0").eval()
    as_if_trained(whole)
    save_file(dict(whole.state_dict()), tmp_path / "w.safetensors")
    network = build_network(NAME, bands=3, size_px=64, dimensions=8)
    report = load_weights(network, NAME, str(tmp_path / "w.safetensors"))
    assert (report.matched, report.remark) == (report.wanted, "")
    pixels = torch.rand(3, 3, 64, 64)
    with torch.inference_mode():
        found = network.features(pixels).numpy()
        values = whole.bn1(whole.conv_stem(pixels))
        maps = []
        for stage in whole.blocks:
            values = stage(values)
            maps.append(values.numpy().astype(np.float64))
        top = whole.bn2(whole.conv_head(values)).mean((2, 3)).numpy()
    expected = np.concatenate(
        [top, maps[0].std((2, 3)), maps[2].mean((2, 3)), maps[2].std((2, 3))], axis=1
    )
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
    backbone = network.backbone
    assert isinstance(backbone, PooledLevels)
    assert backbone.sizes == (1280, 16, 40, 40)


@pytest.mark.parametrize(
    "name",
    [NAME, pytest.param("levels-2ms/timm/vit_tiny_patch16_224", marks=pytest.mark.exhaustive)],
)
def test_a_graph_can_be_written(name: str, tmp_path: Path) -> None:
    network = build_network(name, bands=3, size_px=32, dimensions=4)
    write_weights(tmp_path, PrototypeModel(network, Prototypes(0, 4, 1.0)))
    preprocessing = Preprocessing(32, 3, (1, 2, 3), "uint8", rgb_statistics(name))
    export = export_graph(network, preprocessing, tmp_path / WEIGHTS_FILE)
    assert export.cause == ""


def test_batch_norm_is_fused() -> None:
    network = build_network(NAME, bands=3, size_px=64, dimensions=8)
    as_if_trained(network)
    quick = fuse_batchnorm(network)
    norms = [layer for layer in quick.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
    assert norms == []
    pixels = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(quick(pixels), network(pixels), rtol=1e-3, atol=1e-4)


def test_other_bands_are_adapted_and_the_normalisation_is_the_networks_own(tmp_path: Path) -> None:
    state = timm.create_model("tf_efficientnet_lite0").state_dict()
    save_file(dict(state), tmp_path / "w.safetensors")
    network = build_network(NAME, bands=6, size_px=32, dimensions=4)
    report = load_weights(network, NAME, str(tmp_path / "w.safetensors"), InputBands((1,) * 6, 6))
    assert "adapted from 3 to 6 bands" in report.remark
    assert rgb_statistics(NAME) == rgb_statistics("timm/tf_efficientnet_lite0")


def test_a_level_that_is_not_there_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="level 9"):
        build_network("levels-9m/timm/tf_efficientnet_lite0", bands=3, size_px=32, dimensions=4)
