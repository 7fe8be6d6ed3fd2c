"""Learning without labels by clusters, beside the default embedding.

    python -m benchmarks.without_labels TILES [--features FILE.npy] [--every N]

Clusters of an embedding are taken for labels, of which many are wrong, and a head is trained on
them as `train --freeze-backbone` trains it; its embedding gives the clusters of the next round. The
features are those of the model that ships. The table shows leave-one-out K-NN accuracy and mAP, by
the labels of TILES, which no embedding was fitted to. `--features` keeps the features; `--every`
takes every n-th tile as a query, the gallery being all tiles.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import faiss
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from rsretrieve.data.discovery.find_tiles import find_tiles
from rsretrieve.data.loading.batches import read_into_store
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import TileSet
from rsretrieve.enums import LossName
from rsretrieve.evaluation.retrieval_metrics import LabelledVectors, measure_queries
from rsretrieve.network.backbones.pooled_levels import PooledLevels
from rsretrieve.network.device import Precision
from rsretrieve.network.embedder import Embedder, pixel_blocks
from rsretrieve.network.metadata import ModelFolder
from rsretrieve.network.model import Model, PrototypeModel
from rsretrieve.network.model_folder import load_model
from rsretrieve.network.network import EmbeddingNetwork
from rsretrieve.network.prototypes import Prototypes
from rsretrieve.network.shipped.shipped_models import DEFAULT_MODEL, shipped_path
from rsretrieve.network.unlabelled.class_metric import read_class_metric
from rsretrieve.network.unlabelled.frozen_features import class_numbers
from rsretrieve.network.unlabelled.principal_components import block_scales, fit_projection
from rsretrieve.training.head_warmup import warm_up_head
from rsretrieve.training.loop import TrainingLoop
from rsretrieve.training.recipe import ROBUST_FROZEN
from rsretrieve.training.step import TrainingSettings
from rsretrieve.training.validate import Examples

Floats = NDArray[np.float32]
CPU = torch.device("cpu")
DIMENSIONS, FITTED_TILES = 128, 2000
LEVEL_WEIGHT, LEVELS_WHITENING = 0.3, 0.2
CLUSTERING_TURNS = 25


@dataclass(frozen=True)
class Variant:
    """A way to learn without labels.

    Attributes:
        start: `metric` or `no metric`: the default embedding, with the metric that was learned on
            UC Merced or without it; a head is trained on the features of the same kind.
        tiles_per_cluster: how many tiles a cluster has on average.
        rounds: of clustering and training.
        loss: of the training.
        epochs: of each round.
    """

    start: str
    tiles_per_cluster: float
    rounds: int
    loss: LossName = LossName.T_RNSL
    epochs: int = 10

    def __str__(self) -> str:
        return f"{self.tiles_per_cluster:g} tiles a cluster, {self.loss}, {self.epochs} epochs"


VARIANTS = tuple(
    Variant(start, size, rounds, loss)
    for start, size, rounds, loss in (
        ("no metric", 100, 3, LossName.T_RNSL),
        ("no metric", 30, 3, LossName.T_RNSL),
        ("no metric", 10, 1, LossName.T_RNSL),
        ("no metric", 30, 1, LossName.RNSL),
        ("no metric", 30, 1, LossName.NSL),
        ("metric", 100, 1, LossName.T_RNSL),
        ("metric", 30, 3, LossName.T_RNSL),
        ("metric", 10, 1, LossName.T_RNSL),
        ("metric", 30, 1, LossName.NSL),
    )
)


@dataclass(frozen=True)
class Start:
    """Features, and the embedding without training.

    Attributes:
        features: (N, F), of which a head makes embeddings.
        vectors: (N, D) unit rows.
    """

    features: Floats
    vectors: Floats


def read_features(model: Model, tiles: TileSet, kept: Path | None) -> Floats:
    """(N, F) features of the model's backbone, from a file if there is one."""
    if kept is not None and kept.exists():
        return np.asarray(np.load(kept), np.float32)
    context = RunContext(strict=True)
    store = read_into_store(tiles, model.description.preprocessing, context)
    embedder = Embedder(model.network, model.description.preprocessing, CPU, Precision.FLOAT32)
    blocks = [embedder.features(block).numpy() for block in pixel_blocks(store.pixels)]
    features = np.concatenate(blocks)
    if kept is not None:
        np.save(kept, features)
    return features


def starts(model: Model, features: Floats) -> dict[str, Start]:
    """The default embedding with its metric and without it."""
    metric = read_class_metric(ModelFolder(model.folder, model.description))
    backbone = model.network.backbone
    if metric is None or not isinstance(backbone, PooledLevels):
        raise ValueError(f"{model.folder} has no metric, or no levels")
    sizes = backbone.sizes
    weights = np.repeat(np.array([1.0] + [LEVEL_WEIGHT] * (len(sizes) - 1)), sizes)
    scaled = (features * block_scales(features, sizes) * weights).astype(np.float32)
    mapped = metric.applied(features).astype(np.float32)
    return {
        "no metric": Start(scaled, components(scaled, LEVELS_WHITENING)),
        "metric": Start(mapped, components(mapped, 0.0)),
    }


def components(features: Floats, whitening: float) -> Floats:
    """(N, D) unit rows: principal components of some rows."""
    some = features[np.random.default_rng(0).permutation(len(features))[:FITTED_TILES]]
    found = fit_projection(some, np.ones(features.shape[1]), DIMENSIONS, whitening)
    return unit(features @ found.weights.T + found.biases)


def unit(rows: Floats) -> Floats:
    """Rows of length 1."""
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def clusters_of(vectors: Floats, count: int, seed: int) -> NDArray[np.int64]:
    """(N,) cluster numbers from 0, without gaps, by spherical k-means."""
    clustering = faiss.Kmeans(
        vectors.shape[1], count, niter=CLUSTERING_TURNS, spherical=True, seed=seed + 1
    )
    clustering.cp.min_points_per_centroid = 1
    clustering.train(vectors)
    nearest = clustering.index.search(vectors, 1)[1][:, 0]
    return np.asarray(np.unique(nearest, return_inverse=True)[1], np.int64)


def learn(variant: Variant, start: Start) -> Iterator[Floats]:
    """(N, D) unit rows after each round."""
    vectors = start.vectors
    features = start.features - start.features.mean(axis=0)
    features /= np.sqrt(np.square(features).mean())
    for turn in range(variant.rounds):
        count = max(2, round(len(features) / variant.tiles_per_cluster))
        vectors = trained(variant, features, clusters_of(vectors, count, turn), turn)
        yield vectors


def trained(variant: Variant, features: Floats, labels: NDArray[np.int64], seed: int) -> Floats:
    """(N, D) unit rows of a head that was trained on labels."""
    classes = int(labels.max()) + 1
    recipe = replace(ROBUST_FROZEN, loss=variant.loss, epochs=variant.epochs).for_classes(classes)
    torch.manual_seed(seed)
    network = EmbeddingNetwork(nn.Identity(), features.shape[1], DIMENSIONS)
    model = PrototypeModel(
        network, Prototypes(classes, DIMENSIONS, recipe.temperature_for(classes))
    )
    examples, context = Examples(features, labels), RunContext()
    embedder = Embedder(network, None, CPU, Precision.FLOAT32)
    warm_up_head(model, embedder, examples, q=recipe.q, epochs=recipe.epochs, seed=seed)
    settings = TrainingSettings(recipe, None, seed, CPU, Precision.FLOAT32)
    loop = TrainingLoop(settings, model, examples, None, context)
    with tempfile.TemporaryDirectory() as work:
        loop.run(Path(work) / "checkpoint.safetensors", {}, resume=False)
    chosen = loop.select_model(recipe.keep).network
    return Embedder(chosen, None, CPU, Precision.FLOAT32).vectors(features)


def figures(vectors: Floats, labels: NDArray[np.int64], every: int) -> str:
    """Leave-one-out K-NN accuracy and mAP, as cells of a table."""
    rows = np.arange(0, len(vectors), every)
    queries = LabelledVectors(vectors[rows], labels[rows])
    found = measure_queries(queries, LabelledVectors(vectors, labels), rows).mean()
    return f"{found.knn_accuracy:.3f} | {found.map:.3f}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("tiles")
    parser.add_argument("--features", type=Path)
    parser.add_argument("--every", type=int, default=1)
    given = parser.parse_args()
    path, tiles = shipped_path(DEFAULT_MODEL), find_tiles([given.tiles], None)
    labels = class_numbers(tiles)
    if path is None or labels is None:
        parser.error("the model that ships is missing, or the tiles have no labels")
    model = load_model(path, CPU)
    found = starts(model, read_features(model, tiles, given.features))
    print("| start | learned by | round | K-NN | mAP | processor s |\n|---|---|---|---|---|---|")
    for name, start in found.items():
        row = figures(start.vectors, labels, given.every)
        print(f"| {name} | – | 0 | {row} | – |", flush=True)
    for variant in VARIANTS:
        started = time.process_time()
        for turn, vectors in enumerate(learn(variant, found[variant.start]), 1):
            spent = time.process_time() - started
            row = f"{figures(vectors, labels, given.every)} | {spent:.0f}"
            print(f"| {variant.start} | {variant} | {turn} | {row} |", flush=True)


if __name__ == "__main__":
    main()
