"""Fit an embedding to tiles without labels and without training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rsretrieve.network.backbones.input_bands import input_bands
from rsretrieve.network.backbones.pooled_levels import PooledLevels
from rsretrieve.network.device import Precision
from rsretrieve.network.embedder import Embedder, choose_embedding_precision
from rsretrieve.network.fuse_batchnorm import fuse_batchnorm
from rsretrieve.network.network import EmbeddingNetwork, build_network
from rsretrieve.network.pretrained import load_weights
from rsretrieve.network.unlabelled.class_metric import ClassMetric, fit_class_metric
from rsretrieve.network.unlabelled.filter_shapes import random_convolutions_name
from rsretrieve.network.unlabelled.principal_components import (
    Projection,
    block_scales,
    fit_projection,
    unit_scales,
)
from rsretrieve.network.unlabelled.random_convolutions import RandomConvolutions
from rsretrieve.network.unlabelled.sample import FitSample
from rsretrieve.network.unlabelled.whitened_patches import set_filters

DIMENSIONS = 128
FILTERS = 170
"""Of each kernel size, 510 in all."""

RANDOM_WHITENING, FROZEN_WHITENING, LEVELS_WHITENING = 0.5, 0.0, 0.2
"""Chosen by `benchmarks/default_embeddings.py`."""

TOP_WEIGHT, LEVEL_WEIGHT = 1.0, 0.3
"""Deviations of the blocks of a backbone of several levels: of the features of the whole network,
and of each statistic of a level."""

_BLOCK_TILES = 256


@dataclass(frozen=True)
class FittedEmbedding:
    """A network without classes, fitted to tiles.

    Attributes:
        backbone: its name.
        network: on `device`, in evaluation mode.
        recipe: how it was fitted.
        precision: in which it embeds.
        vectors: (N, D) float32 unit rows, of the tiles that it was fitted to.
        remark: what happened to the weights, for the user; empty if there is nothing to say.
    """

    backbone: str
    network: EmbeddingNetwork
    recipe: Mapping[str, Any]
    precision: Precision
    vectors: NDArray[np.float32]
    remark: str = field(default="")


def fit_random_convolutions(
    sample: FitSample, device: torch.device, seed: int, dimensions: int = DIMENSIONS
) -> FittedEmbedding:
    """Fit random convolutional features and band statistics.

    Args:
        sample: the tiles.
        device: where the network runs.
        seed: of the choice of patches.
        dimensions: D at most.
    """
    name, tiles = random_convolutions_name(FILTERS), sample.normalised()
    network = _network(name, sample, dimensions)
    backbone = network.backbone
    if not isinstance(backbone, RandomConvolutions):  # for type checkers
        raise TypeError(f"{name} builds {type(backbone).__name__}")
    set_filters(backbone, tiles, seed)
    network.to(device)
    features = _features(network, sample, device, Precision.FLOAT32)
    split = backbone.responses
    scales = np.concatenate(
        [block_scales(features[:, :split], [split]), unit_scales(features[:, split:])]
    )
    _project(network, features, scales, dimensions, RANDOM_WHITENING)
    recipe = {
        "method": "random convolutional features",
        "filters": FILTERS,
        "whitening": RANDOM_WHITENING,
        "seed": seed,
    }
    return _fitted(name, network, recipe, Precision.FLOAT32, features)


def fit_frozen(
    sample: FitSample,
    backbone: str,
    weights: str,
    device: torch.device,
    dimensions: int = DIMENSIONS,
) -> FittedEmbedding:
    """Fit principal components to the features of a network with pre-trained weights.

    Args:
        sample: the tiles.
        backbone: name of the network.
        weights: `imagenet`, or a file.
        device: where the network runs.
        dimensions: D at most.

    Raises:
        InvalidArgument: unknown backbone, or it does not accept tiles of that size.
        WeightsError: the weights cannot be obtained, or do not fit.
    """
    network = _network(backbone, sample, dimensions)
    preprocessing = sample.preprocessing
    bands = input_bands(preprocessing, sample.tiles, weights)
    report = load_weights(network, backbone, weights, bands)
    recipe = {"method": "frozen features", "weights": str(report)}
    fitted = fit_components(network.to(device), backbone, sample, recipe, dimensions)
    return replace(fitted, remark=report.remark)


def fit_components(
    network: EmbeddingNetwork,
    backbone: str,
    sample: FitSample,
    recipe: Mapping[str, Any],
    dimensions: int = DIMENSIONS,
    metric: ClassMetric | None = None,
) -> FittedEmbedding:
    """Replace the projection of a network by the principal components of its features.

    Args:
        network: a network that was trained already, on its device.
        backbone: its name.
        sample: the tiles that the components are fitted to.
        recipe: where the network comes from.
        dimensions: D at most.
        metric: a map of the features, whose components are taken; None for the features.
    """
    device, preprocessing = network.projection.weight.device, sample.preprocessing
    features = _features(network, sample, device, Precision.FLOAT32)
    is_of_levels = isinstance(network.backbone, PooledLevels) and metric is None
    whitening = LEVELS_WHITENING if is_of_levels else FROZEN_WHITENING
    if metric is None:
        _project(network, features, _scales(network, features), dimensions, whitening)
    else:
        mapped = metric.applied(features)
        components = fit_projection(mapped, np.ones(mapped.shape[1]), dimensions, whitening)
        _set_projection(network, metric.folded(components))
    some = sample.pixels[:: -(-len(sample.pixels) // 32)]
    precision = choose_embedding_precision(fuse_batchnorm(network), preprocessing, device, some)
    told = {**recipe, "whitening": whitening}
    return _fitted(backbone, network, told, precision, features)


def learn_class_metric(
    network: EmbeddingNetwork, sample: FitSample, classes: NDArray[np.int64]
) -> ClassMetric:
    """Learn a map of the features of a network on labelled tiles.

    Args:
        network: a network that was trained already, on its device.
        sample: N tiles.
        classes: (N,) their class numbers.
    """
    device = network.projection.weight.device
    features = _features(network, sample, device, Precision.FLOAT32)
    return fit_class_metric(features, _scales(network, features), classes)


def _scales(network: EmbeddingNetwork, features: NDArray[np.float32]) -> NDArray[np.float64]:
    """(F,) factors of features: those of levels count by their block, others as they are."""
    if not isinstance(network.backbone, PooledLevels):
        return np.ones(features.shape[1])
    sizes = network.backbone.sizes
    weights = [TOP_WEIGHT] + [LEVEL_WEIGHT] * (len(sizes) - 1)
    return np.asarray(block_scales(features, sizes) * np.repeat(weights, sizes), np.float64)


def _network(name: str, sample: FitSample, dimensions: int) -> EmbeddingNetwork:
    torch.manual_seed(0)  # of initial values, all of which are replaced
    preprocessing = sample.preprocessing
    return build_network(
        name,
        bands=len(preprocessing.bands),
        size_px=preprocessing.size_px,
        dimensions=dimensions,
    )


def _features(
    network: EmbeddingNetwork, sample: FitSample, device: torch.device, precision: Precision
) -> NDArray[np.float32]:
    embedder = Embedder(fuse_batchnorm(network), sample.preprocessing, device, precision)
    starts = range(0, len(sample.pixels), _BLOCK_TILES)
    blocks = (sample.pixels[start : start + _BLOCK_TILES] for start in starts)
    return np.concatenate([embedder.features(block).cpu().numpy() for block in blocks])


def _project(
    network: EmbeddingNetwork,
    features: NDArray[np.float32],
    scales: NDArray[np.float64],
    dimensions: int,
    whitening: float,
) -> None:
    """Replace the projection of a network by principal components of its features."""
    _set_projection(network, fit_projection(features, scales, dimensions, whitening))


def _set_projection(network: EmbeddingNetwork, found: Projection) -> None:
    count, size = found.weights.shape
    device = network.projection.weight.device
    network.projection = torch.nn.Linear(size, count).to(device)
    with torch.no_grad():
        network.projection.weight.copy_(torch.from_numpy(found.weights))
        network.projection.bias.copy_(torch.from_numpy(found.biases))


def _fitted(
    backbone: str,
    network: EmbeddingNetwork,
    recipe: Mapping[str, Any],
    precision: Precision,
    features: NDArray[np.float32],
    remark: str = "",
) -> FittedEmbedding:
    network.eval()
    with torch.inference_mode():
        device = network.projection.weight.device
        vectors = network.embed_features(torch.from_numpy(features).to(device)).cpu().numpy()
    fitted = {**recipe, "tiles": len(features)}
    return FittedEmbedding(backbone, network, fitted, precision, vectors, remark)
