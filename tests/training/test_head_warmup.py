"""Projection and prototypes are trained on fixed features."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from rsretrieve.data.preprocessing.preprocessing import Preprocessing
from rsretrieve.network.embedder import Embedder
from rsretrieve.network.model import PrototypeModel
from rsretrieve.network.network import EmbeddingNetwork
from rsretrieve.network.prototypes import Prototypes
from rsretrieve.training.head_warmup import warm_up_head
from rsretrieve.training.validate import Examples, accuracy

CPU = torch.device("cpu")


@pytest.fixture
def model() -> PrototypeModel:
    """Its backbone's features are the means of the bands."""
    torch.manual_seed(0)
    backbone = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(3))
    return PrototypeModel(EmbeddingNetwork(backbone, 3, 8), Prototypes(2, 8, 0.05))


@pytest.fixture
def embedder(model: PrototypeModel, preprocessing: Preprocessing) -> Embedder:
    return Embedder(model.network, preprocessing, CPU)


@pytest.fixture
def examples() -> Examples:
    """Forty dark tiles and forty bright ones; every fifth label is wrong."""
    chance = np.random.default_rng(0)
    classes = np.arange(80) % 2
    pixels: NDArray[np.uint8] = chance.integers(1, 80, (80, 3, 32, 32), dtype=np.uint8)
    pixels[classes == 1] += 150
    labels = np.where(np.arange(80) % 5 == 0, 1 - classes, classes)
    return Examples(pixels, labels.astype(np.int64))


def state(model: PrototypeModel) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def test_it_learns_the_classes_in_spite_of_wrong_labels(
    model: PrototypeModel, embedder: Embedder, examples: Examples
) -> None:
    warm_up_head(model, embedder, examples, q=0.7, epochs=30, seed=0)
    assert accuracy(embedder, model.prototypes, examples) == pytest.approx(0.8)


def test_the_backbone_and_the_temperature_stay_as_they_are(
    model: PrototypeModel, embedder: Embedder, examples: Examples
) -> None:
    before = state(model)
    warm_up_head(model, embedder, examples, q=0.7, epochs=2, seed=0)
    changed = {name for name, value in state(model).items() if not value.equal(before[name])}
    heads = {"network.projection.weight", "network.projection.bias", "prototypes.weight"}
    assert changed == heads
    assert all(parameter.grad is None for parameter in model.parameters())


def test_the_seed_decides(model: PrototypeModel, embedder: Embedder, examples: Examples) -> None:
    before, ends = state(model), []
    for seed in (0, 0, 1):
        model.load_state_dict(before)
        warm_up_head(model, embedder, examples, q=0.7, epochs=2, seed=seed)
        ends.append(model.prototypes.weight.detach().clone())
    assert ends[0].equal(ends[1])
    assert not ends[0].equal(ends[2])


def test_of_many_tiles_a_sample_is_looked_at(
    model: PrototypeModel,
    embedder: Embedder,
    examples: Examples,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = 0
    plain = embedder.features

    def counted(pixels: NDArray[np.uint8]) -> torch.Tensor:
        nonlocal seen
        seen += len(pixels)
        return plain(pixels)

    monkeypatch.setattr(embedder, "features", counted)
    warm_up_head(model, embedder, examples, q=0.7, epochs=1, seed=0, max_tiles=9)
    assert seen == 9


def test_features_are_what_is_projected(
    embedder: Embedder, model: PrototypeModel, examples: Examples
) -> None:
    pixels = examples.pixels[:5]
    with torch.inference_mode():
        embeddings = model.network.embed_features(embedder.features(pixels))
    torch.testing.assert_close(embeddings, embedder.embed(pixels))
