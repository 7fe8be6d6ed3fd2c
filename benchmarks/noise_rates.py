"""Whether the audit finds the noise rate, whatever it is, from embeddings alone.

Embeds tiles whose labels are right with a network before it learned any of them, changes labels in
several ways, and prints per way the true rate, the estimate with its interval, and the average
precision of the ranking. Usage:

    python benchmarks/noise_rates.py TILES --weights mobilenet_v2.safetensors
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator

import numpy as np
from grid.baselines import FeatureNetwork
from numpy.typing import NDArray

from rsretrieve.audit.estimators.classifiers import Discriminant, NeighbourVotes, assign_folds
from rsretrieve.audit.estimators.dawid_skene import ClassifierSet, fit_dawid_skene
from rsretrieve.audit.estimators.unit_vectors import UnitRows
from rsretrieve.audit.posterior import posterior_from_em
from rsretrieve.data.discovery.find_tiles import find_tiles
from rsretrieve.data.loading.batches import read_into_store
from rsretrieve.data.preprocessing.band_statistics import measure_preprocessing
from rsretrieve.data.run_context import RunContext
from rsretrieve.evaluation.label_error_metrics import audit_figures
from rsretrieve.network.device import choose_device
from rsretrieve.network.embedder import Embedder
from rsretrieve.training.initialize import starting_model
from rsretrieve.training.recipe import ROBUST

DIMENSIONS = 128
UNIFORM = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)

Rows = NDArray[np.float32]
Labels = NDArray[np.int64]


def features(folder: str, backbone: str, weights: str, size_px: int) -> tuple[Rows, Labels]:
    """Unit features of the tiles, reduced to 128 principal components, and their classes."""
    tiles = find_tiles(folder)
    recipe = ROBUST.changed(backbone=backbone, size_px=size_px)
    preprocessing = measure_preprocessing(tiles, size_px, (), imagenet=recipe.imagenet_statistics)
    store = read_into_store(tiles, preprocessing, RunContext(strict=True))
    model, _ = starting_model(recipe, 3, tiles.class_names, weights, 0)
    network = FeatureNetwork(model.network)
    vectors = Embedder(network, preprocessing, choose_device("auto")).vectors(store.pixels)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors -= vectors.mean(axis=0)
    directions = np.linalg.eigh(vectors.T @ vectors)[1][:, -DIMENSIONS:]
    reduced = vectors @ directions
    reduced /= np.linalg.norm(reduced, axis=1, keepdims=True)
    numbers = {name: number for number, name in enumerate(tiles.class_names)}
    return reduced.astype(np.float32), np.array([numbers[str(tile.label)] for tile in tiles])


def changed_labels(true: Labels, seed: int) -> Iterator[tuple[str, Labels]]:
    """Ways to change labels, by name."""
    rng, classes = np.random.default_rng(seed), int(true.max()) + 1
    for rate in UNIFORM:
        moved = (rng.random(len(true)) < rate) * rng.integers(1, classes, len(true))
        yield f"uniform {rate}", (true + moved) % classes
    for rate in (0.3, 0.4):
        yield f"next class {rate}", (true + (rng.random(len(true)) < rate)) % classes
    yield "random labels", rng.permutation(true)


def audited(rows: Rows, given: Labels, true: Labels) -> str:
    """One line of the table."""
    started = time.perf_counter()
    votes = NeighbourVotes.among(UnitRows(rows))
    classifiers = ClassifierSet([Discriminant(rows, assign_folds(given, 5)), votes])
    found = fit_dawid_skene(given, int(true.max()) + 1, classifiers)
    seconds = time.perf_counter() - started
    posterior, rates = posterior_from_em(found, given), found.rates
    wrong, probability = given != true, posterior.issue_probability
    figures = audit_figures(
        -posterior.margin, probability > 0.5, wrong, posterior.ranked[:, 0] == true
    )
    estimate = f"{probability.mean():.3f}" if rates.can_be_told else "cannot be told"
    ap = "–" if figures.average_precision is None else f"{figures.average_precision:.4f}"
    return (
        f"{wrong.mean():.3f} | {estimate} | {rates.low:.3f} to {rates.high:.3f} | {ap} | "
        f"{seconds:.1f}"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tiles")
    parser.add_argument("--weights", default="imagenet")
    parser.add_argument("--backbone", default="mobilenet_v2")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    rows, true = features(chosen.tiles, chosen.backbone, chosen.weights, chosen.size)
    order = np.random.default_rng(chosen.seed).permutation(len(true))
    rows, true = rows[order], true[order]
    print("labels | true rate | estimate | 95 % interval | average precision | s")
    for name, given in changed_labels(true, chosen.seed):
        print(f"{name} | {audited(rows, given, true)}", flush=True)


if __name__ == "__main__":
    main()
