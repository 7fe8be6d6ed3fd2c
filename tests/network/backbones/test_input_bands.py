"""The first layer takes the filters of the bands that tiles have, by their names or numbers."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
import torch
import torchvision
from safetensors.torch import save_file

from rsretrieve.data.discovery.find_tiles import find_tiles
from rsretrieve.data.preprocessing.preprocessing import BandStatistics, Preprocessing
from rsretrieve.network.backbones.input_bands import InputBands, input_bands
from rsretrieve.network.network import build_network
from rsretrieve.network.pretrained import load_weights

NAME = "squeezenet1_1"
TRAINED = ("B1", "B2", "B3", "B4", "B8", "B8A")


@pytest.fixture
def tiles(tmp_path):
    """Two tiles of four named bands, in another order than the weights'."""
    for name in "ab":
        path = tmp_path / "tiles" / f"{name}.tif"
        path.parent.mkdir(exist_ok=True)
        form = {"driver": "GTiff", "dtype": "uint16", "count": 4, "height": 8, "width": 8}
        with rasterio.open(path, "w", **form) as dataset:
            dataset.write(np.ones((4, 8, 8), np.uint16))
            dataset.descriptions = ("B08", "B04", "B03", "B11")
    return find_tiles([str(tmp_path / "tiles")], None)


@pytest.fixture
def weights(tmp_path):
    """Weights for six bands, by torchvision's names."""
    torch.manual_seed(0)
    state = torchvision.models.get_model(NAME, weights=None).state_dict()
    state["features.0.weight"] = torch.randn(64, 6, 3, 3)
    save_file(state, tmp_path / "w.safetensors", {"bands": ",".join(TRAINED)})
    save_file(state, tmp_path / "silent.safetensors")
    return state


def preprocessing(*bands):
    numbers = (1.0,) * len(bands)
    return Preprocessing(32, 4, bands, "uint16", BandStatistics(numbers, numbers, numbers, numbers))


def loaded(tiles, path, *bands):
    network = build_network(NAME, bands=len(bands), size_px=32, dimensions=4)
    found = input_bands(preprocessing(*bands), tiles, str(path))
    report = load_weights(network, NAME, str(path), found)
    return network.backbone.state_dict()["features.0.weight"], report.remark


def test_bands_get_the_filters_of_their_names(tiles, weights, tmp_path):
    first, remark = loaded(tiles, tmp_path / "w.safetensors", 2, 3, 1)
    expected = [TRAINED.index(name) for name in ("B4", "B3", "B8")]
    assert torch.equal(first, weights["features.0.weight"][:, expected])
    assert "own filters of the bands B04,B03,B08" in remark


def test_a_band_that_weights_lack_is_named_with_theirs(tiles, weights, tmp_path):
    _, remark = loaded(tiles, tmp_path / "w.safetensors", 1, 2, 3, 4)
    assert "adapted from 6 to 4 bands" in remark
    assert "B1,B2,B3,B4,B8,B8A" in remark


def test_weights_that_do_not_say_their_bands_are_said_to(tiles, weights, tmp_path):
    found = InputBands((1, 2, 3, 4, 5, 6), 9, names=tuple("abcdef"))
    network = build_network(NAME, bands=6, size_px=32, dimensions=4)
    report = load_weights(network, NAME, str(tmp_path / "silent.safetensors"), found)
    assert "does not say which bands" in report.remark
    assert "a,b,c,d,e,f in this order" in report.remark


def test_names_are_compared_only_if_there_is_one_for_each_channel():
    found = InputBands((1, 2), 2, names=("VV", "VH"), trained_names=("VH", "VV"))
    assert found.channels_in(2) == [1, 0]
    assert found.channels_in(3) is None
    assert InputBands((2, 1), 3, names=("x", "y")).channels_in(3) == [1, 0]
