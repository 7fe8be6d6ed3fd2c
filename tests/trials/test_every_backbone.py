"""Every classification backbone of torchvision, and some of timm, trains, is saved, and embeds.

Two small ones run with the other tests; `make test-backbones` runs them all, and
writes the cosines and the seconds to backbones.xml.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from rsretrieve.data.preprocessing.preprocessing import Preprocessing
from rsretrieve.network import model_folder
from rsretrieve.network.backbone_names import BACKBONES
from rsretrieve.network.device import Precision
from rsretrieve.network.embedder import Embedder
from rsretrieve.network.fuse_batchnorm import fuse_batchnorm
from rsretrieve.network.metadata import ModelDescription, ModelFolder
from rsretrieve.network.model import PrototypeModel
from rsretrieve.network.network import build_network
from rsretrieve.network.prototypes import Prototypes
from rsretrieve.network.runtime.graph import load_graph_model
from rsretrieve.training.recipe import PAPER

SIZES_PX = {"alexnet": 64, "inception_v3": 299, "maxvit_t": 224, "vit_h_14": 28}
"""Where 32 px is too little; Vision Transformers take multiples of their patches."""
OF_SOME_FAMILIES = frozenset(("mobilenet_v2", "timm/vit_tiny_patch16_224"))
OF_TIMM = {
    "convnext_atto": 64,
    "convnextv2_atto": 64,
    "eva02_tiny_patch14_224": 56,
    "mobilenetv4_conv_small": 64,
    "regnety_002": 64,
    "swin_tiny_patch4_window7_224": 224,
    "tf_efficientnet_lite0": 64,
    "vit_small_patch14_dinov2": 56,
    "vit_small_patch16_dinov3": 64,
    "vit_tiny_patch16_224": 64,
}
"""Families of timm, a small model of each, and the size of their tiles."""
CPU = torch.device("cpu")

Record = Callable[[str, object], None]


def test_the_list_is_torchvisions() -> None:
    import torchvision

    assert torchvision.models.list_models(module=torchvision.models) == [*BACKBONES]


def train_a_step(model: PrototypeModel, pixels: torch.Tensor) -> None:
    """One step of gradient descent, which moves every layer that embeds."""
    name, weight = next(iter(model.network.backbone.named_parameters()))
    before = weight.detach().clone()
    (-model.train()(pixels)[:, 0].mean()).backward()  # type: ignore[no-untyped-call]
    # Batch norm of 1 × 1 px has steep gradients.
    torch.nn.utils.clip_grad_norm_(model.parameters(), 0.1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter -= parameter.grad
                parameter.grad = None
    assert torch.isfinite(weight).all(), name
    assert not torch.equal(weight, before), name


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        name if name in OF_SOME_FAMILIES else pytest.param(name, marks=pytest.mark.exhaustive)
        for name in [*BACKBONES, *(f"timm/{name}" for name in OF_TIMM)]
    ],
)
def test_it_trains_and_embeds_the_same_after_it_was_loaded(
    name: str, tmp_path: Path, preprocessing: Preprocessing, record_property: Record
) -> None:
    size_px = SIZES_PX.get(name) or OF_TIMM.get(name.removeprefix("timm/"), 32)
    of_its_tiles = replace(preprocessing, size_px=size_px)
    torch.manual_seed(0)
    network = build_network(name, bands=3, size_px=size_px, dimensions=8)
    model = PrototypeModel(network, Prototypes(2, 8, 0.125))
    train_a_step(model, torch.randn(4, 3, size_px, size_px))
    pixels = np.random.default_rng(0).integers(0, 256, (4, 3, size_px, size_px), dtype=np.uint8)
    trained = Embedder(model.eval().network, of_its_tiles, CPU, Precision.FLOAT32)
    expected = trained.vectors(pixels)
    sha256 = model_folder.write_weights(tmp_path, model)
    export = model_folder.write_graph(tmp_path, network, of_its_tiles)
    record_property("cause", export.cause)
    assert export.graph is not None, export.cause
    description = ModelDescription(
        backbone=name,
        dimensions=8,
        preprocessing=of_its_tiles,
        class_names=("forest", "water"),
        recipe=PAPER.to_json(),
        training={},
        versions={},
        weights_sha256=sha256,
    )
    model_folder.write_description(tmp_path, description)
    model_folder.seal_folder(tmp_path)
    del network, model, trained  # the largest takes 2.5 GB
    loaded = model_folder.load_model(tmp_path, CPU)
    found = {
        "folded": Embedder(fuse_batchnorm(loaded.network), of_its_tiles, CPU, Precision.FLOAT32),
        "network": Embedder(loaded.network, of_its_tiles, CPU, Precision.FLOAT32),
    }
    cosines = {
        way: (embedder.vectors(pixels) * expected).sum(axis=1) for way, embedder in found.items()
    }
    del loaded, found
    started = time.perf_counter()
    graph = load_graph_model(ModelFolder.read(tmp_path)).embedder()
    record_property("seconds to start", round(time.perf_counter() - started, 2))
    cosines["graph"] = (graph.vectors(pixels) * expected).sum(axis=1)
    (tmp_path / model_folder.WEIGHTS_FILE).unlink()
    for way, cosine in cosines.items():
        record_property(f"cosine, {way}", cosine.min().item())
        np.testing.assert_allclose(cosine, 1, rtol=0, atol=1e-5, err_msg=way)
