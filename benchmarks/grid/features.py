"""The features of tiles by a network that learned none of their labels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from rsretrieve.data.loading.batches import read_into_store
from rsretrieve.data.preprocessing.band_statistics import measure_preprocessing
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import TileSet
from rsretrieve.network.backbones.rgb_statistics import rgb_statistics
from rsretrieve.network.device import choose_device
from rsretrieve.network.embedder import Embedder
from rsretrieve.network.network import EmbeddingNetwork
from rsretrieve.training.initialize import starting_model
from rsretrieve.training.recipe import ROBUST

DIMENSIONS = 128

Rows = NDArray[np.float32]


class FeatureNetwork(EmbeddingNetwork):
    """A backbone's own features, neither projected nor of unit norm."""

    def __init__(self, network: EmbeddingNetwork) -> None:
        nn.Module.__init__(self)
        self.backbone = network.backbone
        self.width = network.projection.in_features

    def forward(self, pixels: Tensor) -> Tensor:
        """Normalised pixels (B, C, S, S) → (B, F) float32."""
        features: Tensor = self.backbone(pixels)
        return features.flatten(1).float()


def features(tiles: TileSet, backbone: str, weights: str, size_px: int, seed: int = 0) -> Rows:
    """Unit features of the tiles, reduced to 128 principal components."""
    recipe = ROBUST.changed(backbone=backbone, size_px=size_px)
    expected = rgb_statistics(backbone)
    preprocessing = measure_preprocessing(tiles, size_px, (), rgb_statistics=expected)
    store = read_into_store(tiles, preprocessing, RunContext(strict=True))
    model, _ = starting_model(recipe, 3, tiles.class_names, weights, seed)
    network = FeatureNetwork(model.network)
    return reduced(Embedder(network, preprocessing, choose_device("auto")).vectors(store.pixels))


def reduced(vectors: Rows) -> Rows:
    """Rows (N, F) as unit rows of at most 128 principal components."""
    vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    vectors -= vectors.mean(axis=0)
    directions = np.linalg.eigh(vectors.T @ vectors)[1][:, -DIMENSIONS:]
    rows = vectors @ directions
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return np.asarray(rows, np.float32)
