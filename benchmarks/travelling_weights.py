"""Weights for a model that ships: which travel to tiles that nothing was trained on?

    python -m benchmarks.travelling_weights BACKBONE WEIGHTS --labelled TILES --tiles TILES
        [--every 5] [--fine-tuned MODEL --shares 0,0.25,0.5,1]

For weights, and for their interpolation with those of a model that was fine-tuned from them (share
0 … 1 of the fine-tuned ones, as in WiSE-FT), the table shows leave-one-out K-NN accuracy and mAP of
every n-th tile of `--tiles`. Features, metric and components are made as for the model that ships:
the metric is learned on `--labelled`, the components on the measured tiles.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rsretrieve.data.discovery.find_tiles import find_tiles
from rsretrieve.data.loading.batches import read_into_store
from rsretrieve.data.preprocessing.preprocessing import Preprocessing
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import TileSet
from rsretrieve.evaluation.retrieval_metrics import LabelledVectors, measure_queries
from rsretrieve.network.backbones.checkpoint_reading import read_tensors
from rsretrieve.network.backbones.rgb_statistics import rgb_statistics
from rsretrieve.network.model_folder import load_model
from rsretrieve.network.network import EmbeddingNetwork, build_network
from rsretrieve.network.pretrained import fit_weights
from rsretrieve.network.unlabelled.choose_embedding import FROZEN_PX
from rsretrieve.network.unlabelled.fit_embedding import (
    DIMENSIONS,
    fit_components,
    learn_class_metric,
)
from rsretrieve.network.unlabelled.frozen_features import class_numbers
from rsretrieve.network.unlabelled.sample import FitSample

CPU = torch.device("cpu")


def interpolated(
    start: Mapping[str, Tensor], tuned: Mapping[str, Tensor], share: float
) -> dict[str, Tensor]:
    """Tensors between two weights; those that only the start has are as they are.

    Networks that pool several levels keep timm's network under `network.`.
    """
    if not share:
        return dict(start)
    by_name = {name.removeprefix("network."): value for name, value in tuned.items()}
    shared = [name for name in start if name in by_name]
    if 2 * len(shared) < len(start):
        raise SystemExit(f"the weights share only {len(shared)} of {len(start)} tensors")
    return {
        name: value + share * (by_name[name] - value)
        if name in by_name and value.is_floating_point()
        else value
        for name, value in start.items()
    }


def sample_of(source: str, every: int, preprocessing: Preprocessing) -> FitSample:
    """Every n-th tile."""
    found = find_tiles([source], None)
    some: TileSet = found.select(range(0, len(found), every))
    store = read_into_store(some, preprocessing, RunContext(strict=True))
    return FitSample(store.tiles, (), store.pixels, preprocessing)


def row_of(
    network: EmbeddingNetwork, backbone: str, labelled: FitSample, measured: FitSample
) -> str:
    """K-NN accuracy and mAP, as cells of a table."""
    taught, classes = class_numbers(labelled.tiles), class_numbers(measured.tiles)
    if taught is None or classes is None:
        raise ValueError("both sets of tiles need labels")
    metric = learn_class_metric(network, labelled, taught)
    cells = []
    for chosen in (None, metric):
        vectors = fit_components(network, backbone, measured, {}, metric=chosen).vectors
        both = LabelledVectors(vectors, classes)
        found = measure_queries(both, both, np.arange(len(classes))).mean()
        cells += [f"{found.knn_accuracy:.3f}", f"{found.map:.3f}"]
    return " | ".join(cells)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("backbone")
    parser.add_argument("weights", type=Path)
    parser.add_argument("--labelled", required=True)
    parser.add_argument("--tiles", required=True)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--fine-tuned", type=Path)
    parser.add_argument("--shares", default="0")
    given = parser.parse_args()
    start = read_tensors(given.weights)
    tuned: Mapping[str, Tensor] = {}
    if given.fine_tuned is not None:
        tuned = load_model(given.fine_tuned, CPU).network.backbone.state_dict()
    statistics = rgb_statistics(given.backbone)
    preprocessing = Preprocessing(FROZEN_PX, 3, (1, 2, 3), "uint8", statistics, True)
    labelled = sample_of(given.labelled, 1, preprocessing)
    measured = sample_of(given.tiles, given.every, preprocessing)
    print("| weights | share fine-tuned | K-NN | mAP | K-NN, metric | mAP, metric |")
    print("|---|---|---|---|---|---|")
    for share in map(float, given.shares.split(",")):
        torch.manual_seed(0)
        network = build_network(given.backbone, bands=3, size_px=FROZEN_PX, dimensions=DIMENSIONS)
        fit_weights(network, interpolated(start, tuned, share), str(given.weights))
        row = row_of(network, given.backbone, labelled, measured)
        print(f"| {given.weights.stem} | {share:g} | {row} |", flush=True)


if __name__ == "__main__":
    main()
