"""Features of a frozen backbone, and the head that is trained on them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rsretrieve.data.loading.batches import room_for
from rsretrieve.data.preprocessing.preprocessing import Preprocessing
from rsretrieve.data.run_context import RunContext
from rsretrieve.network.embedder import Embedder
from rsretrieve.network.model import PrototypeModel
from rsretrieve.network.network import EmbeddingNetwork
from rsretrieve.network.unlabelled.principal_components import fit_projection
from rsretrieve.training.dataset import PreparedTiles
from rsretrieve.training.frozen.feature_cache import FeatureCache, backbone_key
from rsretrieve.training.frozen.standardisation import Standardisation, set_linear
from rsretrieve.training.validate import Examples

_FITTED_TILES = 10_000
"""Tiles that principal components are fitted to, at most."""


@dataclass(frozen=True)
class FrozenBackbone:
    """A model whose backbone does not change, and the features that it computes.

    Attributes:
        model: the whole model.
        head: its projection and its prototypes, for standardised features.
        standard: how features were standardised.
        train: standardised features (N, F) of the training tiles, with their labels.
        validation: of the validation tiles, or None.
    """

    model: PrototypeModel
    head: PrototypeModel
    standard: Standardisation
    train: Examples
    validation: Examples | None

    @classmethod
    def of(
        cls,
        model: PrototypeModel,
        embedder: Embedder,
        prepared: PreparedTiles,
        context: RunContext,
        cache: FeatureCache | None = None,
    ) -> FrozenBackbone:
        """Run the backbone once over all tiles.

        Args:
            model: the whole model, on its device.
            embedder: of the model's network.
            prepared: the tiles.
            context: receives progress.
            cache: features that are known from other trainings, which new ones are added to.
        """
        parts = [prepared.train] + ([] if prepared.validation is None else [prepared.validation])
        context.start_stage("computing the backbone's features, once", sum(map(len, parts)))
        compute: Callable[[NDArray[Any]], Tensor] = embedder.features
        if cache is not None:
            compute = _with_cache(cache, model.network, prepared.preprocessing, embedder)
        features = [_features(embedder, compute, part.pixels, context) for part in parts]
        standard = Standardisation.of(features[0])
        for found in features:
            standard.apply(found)
        examples = [replace(part, pixels=found) for part, found in zip(parts, features)]
        validation = examples[1] if len(examples) > 1 else None
        return cls(model, _head_of(model, standard), standard, examples[0], validation)

    def completed(self, head: PrototypeModel) -> PrototypeModel:
        """The whole model with the projection and the prototypes of a trained head.

        Args:
            head: for standardised features.
        """
        layer = head.network.projection
        set_linear(self.model.network.projection, self.standard.folded(layer.weight, layer.bias))
        self.model.prototypes.load_state_dict(head.prototypes.state_dict())
        return self.model

    def fit_components(self) -> None:
        """Set the head's projection to principal components of the training tiles' features."""
        features, layer = self.train.pixels, self.head.network.projection
        some = features[:: -(-len(features) // _FITTED_TILES)]
        found = fit_projection(some, np.ones(some.shape[1]), layer.out_features, 0.0)
        weight = np.zeros(tuple(layer.weight.shape), np.float32)
        weight[: len(found.weights)] = found.weights
        bias = np.zeros(len(weight), np.float32)
        bias[: len(found.biases)] = found.biases
        set_linear(layer, (torch.from_numpy(weight), torch.from_numpy(bias)))

    def set_prototypes(self, embedder: Embedder) -> None:
        """Set the prototype of each class to the mean embedding of its tiles, by given labels.

        Args:
            embedder: of the head's network.
        """
        vectors, prototypes = embedder.vectors(self.train.pixels), self.head.prototypes.weight
        sums = np.zeros(tuple(prototypes.shape), np.float64)
        np.add.at(sums, self.train.labels, vectors)
        with torch.no_grad():
            prototypes.copy_(torch.from_numpy(sums / np.linalg.norm(sums, axis=1, keepdims=True)))


def _head_of(model: PrototypeModel, standard: Standardisation) -> PrototypeModel:
    """A model of the projection and the prototypes alone, with the same results."""
    whole = model.network.projection
    network = EmbeddingNetwork(nn.Identity(), whole.in_features, whole.out_features)
    set_linear(network.projection, standard.unfolded(whole.weight, whole.bias))
    return PrototypeModel(network, copy.deepcopy(model.prototypes)).to(whole.weight.device)


def _with_cache(
    cache: FeatureCache,
    network: EmbeddingNetwork,
    preprocessing: Preprocessing,
    embedder: Embedder,
) -> Callable[[NDArray[Any]], Tensor]:
    key = backbone_key(network, preprocessing)

    def computed(pixels: NDArray[Any]) -> NDArray[np.float32]:
        return np.asarray(embedder.features(pixels).cpu(), np.float32)

    return lambda block: torch.from_numpy(cache.completed(key, block, computed))


def _features(
    embedder: Embedder,
    compute: Callable[[NDArray[Any]], Tensor],
    pixels: NDArray[Any],
    context: RunContext,
) -> NDArray[np.float32]:
    """(N, C, S, S) → (N, F), in memory or in a temporary file."""
    features: NDArray[np.float32] | None = None
    done = 0
    for rows in embedder.map_blocks(compute, pixels):
        found = rows.cpu().numpy()
        if features is None:
            shape = (len(pixels), found.shape[1])
            features = room_for(shape, np.dtype(np.float32), "the features of the tiles")
        features[done : done + len(found)] = found
        done += len(found)
        context.advance(len(found))
    if features is None:
        raise ValueError("there are no tiles")
    return features
