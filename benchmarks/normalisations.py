"""How well neighbours agree when tiles are normalised otherwise than a network's weights expect.

`python -m benchmarks.normalisations DATA WEIGHTS` prints a table: for each normalisation the share
of the 10 nearest neighbours with the tile's label, and the share of tiles whose left half finds its
right half among the 10 nearest. `rsretrieve` doubts a normalisation by these figures.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from rsretrieve.data.discovery.find_tiles import find_tiles
from rsretrieve.data.loading.batches import read_into_store
from rsretrieve.data.preprocessing.band_statistics import IMAGENET
from rsretrieve.data.preprocessing.preprocessing import BandStatistics, Preprocessing
from rsretrieve.data.run_context import RunContext
from rsretrieve.network.backbones.normalisation_check import compare_normalisations, measured_on
from rsretrieve.network.backbones.rgb_statistics import RGB_BANDS, rgb_statistics
from rsretrieve.network.network import build_network
from rsretrieve.network.pretrained import load_weights
from rsretrieve.network.unlabelled.frozen_features import class_numbers

SIZE_PX = 128
SETS = {"ucmerced": 7, "aid128": 34}
"""Folders, and which tiles: every n-th."""
NETWORKS = {
    "timm/tf_efficientnet_lite0": "tf_efficientnet_lite0_imagenet1k.safetensors",
    "mobilenet_v2": "mobilenet_v2_imagenet1k.safetensors",
}


def of_scale(mean: float, deviation: float) -> BandStatistics:
    """The same statistics of all three bands."""
    return replace(IMAGENET, mean=(mean,) * RGB_BANDS, deviation=(deviation,) * RGB_BANDS)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("weights", type=Path)
    arguments = parser.parse_args()
    print("| tiles | network | normalised by | same label | halves |\n|---|---|---|---|---|")
    for folder, step in SETS.items():
        tiles = find_tiles(arguments.data / folder)
        some = tiles.select(range(0, len(tiles), step))
        preprocessing = Preprocessing(SIZE_PX, 3, (1, 2, 3), "uint8", IMAGENET, True)
        store = read_into_store(some, preprocessing, RunContext(strict=True))
        labels = class_numbers(store.tiles)
        for name, file in NETWORKS.items():
            network = build_network(name, bands=RGB_BANDS, size_px=SIZE_PX, dimensions=8)
            load_weights(network, name, str(arguments.weights / file))
            own = replace(preprocessing, statistics=rgb_statistics(name))
            for key, other in {
                "what the weights expect": own.statistics,
                "the tiles' own": measured_on(store.pixels, IMAGENET),
                "0…1": of_scale(0, 255),
                "0…0.1": of_scale(0, 2550),
            }.items():
                found = [
                    compare_normalisations(network, own, store.pixels, other, known)
                    for known in (labels, None)
                ]
                shares = " | ".join(f"{np.mean(f.other):.3f}" for f in found if f is not None)
                print(f"| {folder} | {name} | {key} | {shares} |", flush=True)


if __name__ == "__main__":
    main()
