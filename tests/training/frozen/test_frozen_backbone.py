"""The features of a frozen backbone, and its head, beside the whole network."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rsretrieve.data.run_context import RunContext
from rsretrieve.network.device import Precision
from rsretrieve.network.embedder import Embedder
from rsretrieve.network.model import PrototypeModel
from rsretrieve.network.network import build_network
from rsretrieve.network.prototypes import Prototypes
from rsretrieve.progress import Advanced
from rsretrieve.training.dataset import PreparedTiles, prepare_tiles
from rsretrieve.training.frozen.frozen_backbone import FrozenBackbone
from rsretrieve.training.recipe import ROBUST

CPU = torch.device("cpu")
pytestmark = pytest.mark.medium


@pytest.fixture
def prepared(tiles) -> PreparedTiles:
    recipe = ROBUST.changed(size_px=32, backbone="squeezenet1_1")
    return prepare_tiles(tiles, None, recipe, (), 0, RunContext())


@pytest.fixture
def model(prepared: PreparedTiles) -> PrototypeModel:
    torch.manual_seed(0)
    network = build_network("squeezenet1_1", bands=3, size_px=32, dimensions=8)
    return PrototypeModel(network, Prototypes(len(prepared.class_names), 8, 0.2)).eval()


@pytest.fixture
def embedder(model: PrototypeModel, prepared: PreparedTiles) -> Embedder:
    return Embedder(model.network, prepared.preprocessing, CPU, Precision.FLOAT32)


@pytest.fixture
def frozen(model: PrototypeModel, embedder: Embedder, prepared: PreparedTiles) -> FrozenBackbone:
    return FrozenBackbone.of(model, embedder, prepared, RunContext())


def of_features(head: PrototypeModel) -> Embedder:
    return Embedder(head.network, None, CPU)


def test_the_head_embeds_features_as_the_network_embeds_tiles(
    frozen: FrozenBackbone, embedder: Embedder, prepared: PreparedTiles
) -> None:
    head = of_features(frozen.head)
    expected = embedder.vectors(prepared.train.pixels)
    np.testing.assert_allclose(head.vectors(frozen.train.pixels), expected, atol=1e-4)
    assert prepared.validation is not None
    assert frozen.validation is not None
    expected = embedder.vectors(prepared.validation.pixels)
    np.testing.assert_allclose(head.vectors(frozen.validation.pixels), expected, atol=1e-4)
    assert (frozen.train.labels == prepared.train.labels).all()


def test_a_trained_head_is_put_into_the_whole_model(
    frozen: FrozenBackbone, embedder: Embedder, prepared: PreparedTiles
) -> None:
    before = frozen.model.network.backbone.state_dict()
    with torch.no_grad():
        frozen.head.network.projection.weight.normal_()
        frozen.head.network.projection.bias.normal_()
        frozen.head.prototypes.weight.normal_()
    expected = of_features(frozen.head).vectors(frozen.train.pixels)
    whole = frozen.completed(frozen.head)
    np.testing.assert_allclose(embedder.vectors(prepared.train.pixels), expected, atol=1e-4)
    assert torch.equal(whole.prototypes.weight, frozen.head.prototypes.weight)
    after = whole.network.backbone.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_every_tile_is_counted(
    model: PrototypeModel, embedder: Embedder, prepared: PreparedTiles
) -> None:
    events = []
    FrozenBackbone.of(model, embedder, prepared, RunContext(listener=events.append))
    counted = sum(event.tiles for event in events if isinstance(event, Advanced))
    assert prepared.validation is not None
    assert counted == len(prepared.train) + len(prepared.validation)


def test_components_are_those_of_a_singular_value_decomposition(frozen: FrozenBackbone) -> None:
    frozen.fit_components()
    features = frozen.train.pixels.astype(np.float64)
    axes = np.linalg.svd(features - features.mean(axis=0), full_matrices=False)[2][:8]
    expected = (features - features.mean(axis=0)) @ axes.T
    layer = frozen.head.network.projection
    found = features @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()
    np.testing.assert_allclose(np.abs(found), np.abs(expected), rtol=1e-2, atol=1e-3)


def test_more_dimensions_than_components_are_zero(
    prepared: PreparedTiles, embedder: Embedder
) -> None:
    network = build_network("squeezenet1_1", bands=3, size_px=32, dimensions=300)
    network.backbone.load_state_dict(embedder.network.backbone.state_dict())
    model = PrototypeModel(network, Prototypes(len(prepared.class_names), 300, 0.2)).eval()
    frozen = FrozenBackbone.of(model, embedder, prepared, RunContext())
    frozen.fit_components()
    vectors = of_features(frozen.head).vectors(frozen.train.pixels)
    assert not vectors[:, len(frozen.train) :].any()
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)


def test_prototypes_are_the_mean_embeddings_of_their_classes(frozen: FrozenBackbone) -> None:
    embedder = of_features(frozen.head)
    frozen.set_prototypes(embedder)
    vectors, found = embedder.vectors(frozen.train.pixels), frozen.head.prototypes.unit
    for number, prototype in enumerate(found.detach().numpy()):
        mean = np.mean([v for v, y in zip(vectors, frozen.train.labels) if y == number], axis=0)
        np.testing.assert_allclose(prototype, mean / np.linalg.norm(mean), atol=1e-5)
