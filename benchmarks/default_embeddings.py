"""Embeddings without labels beside each other: band statistics, random convolutions, frozen.

    python -m benchmarks.default_embeddings DATA WEIGHTS [--every 5] [--only AID]

DATA is the folder of real tiles and scenes, WEIGHTS a weights file of MobileNetV2. For each data
set and embedding the table shows leave-one-out K-NN accuracy (10 neighbours, weighted by inverse
distance), mAP, and P@10. Windows of the scenes are labelled by spectral rules, the beach and the
marsh also by hand; windows of no clear class are left out. `--every` is for AID's tiles.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from rsretrieve.data.discovery.find_tiles import find_tiles
from rsretrieve.data.loading.batches import read_into_store
from rsretrieve.data.preprocessing.band_statistics import IMAGENET, measure_preprocessing
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import TileSet
from rsretrieve.data.windowing import SceneChoices, WindowChoices
from rsretrieve.network.device import Precision
from rsretrieve.network.embedder import Embedder, pixel_blocks
from rsretrieve.network.model_folder import load_model
from rsretrieve.network.shipped.shipped_models import DEFAULT_MODEL, shipped_path
from rsretrieve.network.unlabelled.choose_embedding import FROZEN_PX, RANDOM_PX, is_rgb
from rsretrieve.network.unlabelled.fit_embedding import (
    DIMENSIONS,
    FittedEmbedding,
    fit_components,
    fit_frozen,
    fit_random_convolutions,
)
from rsretrieve.network.unlabelled.principal_components import (
    block_scales,
    fit_projection,
    unit_scales,
)
from rsretrieve.network.unlabelled.sample import FitSample

Floats = NDArray[np.float32]
CPU = torch.device("cpu")
SENTINEL = "sentinel2_18SVG_20160112_20m.tif"
LANDSAT = "landsat8_cloudy_20150804_30m.tif"
CHOICES = SceneChoices(WindowChoices(64, 32))
NEIGHBOURS = 10
BLOCK = 1_000
"""Queries at once."""

BEACH = (
    ((824, 0), (792, 55), (740, 120), (717, 190), (700, 250), (680, 300), (648, 378)),
    ((612, 400), (605, 480), (590, 580), (562, 690), (516, 765), (495, 840), (485, 925)),
)
"""The barrier beach of the Sentinel-2 scene, (column, row) by hand."""
MARSH = (
    ((455, 390), (600, 390), (595, 480), (580, 590), (555, 680), (515, 745), (470, 750))
    + ((410, 690), (400, 640), (440, 590), (430, 540), (450, 450)),
    ((200, 830), (330, 780), (370, 830), (370, 900), (340, 972), (280, 972), (280, 880))
    + ((190, 880),),
    ((660, 0), (790, 30), (730, 110), (690, 95), (650, 90), (640, 60)),
)
"""Where its marsh lies."""
MAINLAND = (
    ((0, 0), (640, 0), (640, 90), (540, 260), (500, 370), (440, 480), (330, 620), (250, 760))
    + ((110, 972), (0, 972)),
)
"""Where its fields lie."""


@dataclass(frozen=True)
class DataSet:
    """Tiles and their classes; an empty class is left out of the figures."""

    name: str
    tiles: TileSet
    labels: NDArray[np.str_]


def data_sets(data: Path, every: int, only: str) -> Iterator[DataSet]:
    """The two sets of pictures and the windows of the two scenes, or one of these."""
    aid = "AID" if every == 1 else f"AID, every {every}."
    for name, folder, step in (("UC Merced", "ucmerced", 1), (aid, "aid128", every)):
        if not name.startswith(only):
            continue
        found = find_tiles(data / folder)
        tiles = found.select(range(0, len(found), step))
        yield DataSet(name, tiles, np.array([tile.label for tile in tiles]))
    for name, scene, rule in (("Sentinel-2", SENTINEL, land_cover), ("Landsat-8", LANDSAT, cloud)):
        if not name.startswith(only):
            continue
        path = data / "scenes" / scene
        tiles = find_tiles([str(path)], None, CHOICES)
        with rasterio.open(path) as dataset:
            labels_of = rule(dataset.read().astype(np.float32))
        boxes = [tile.window for tile in tiles if tile.window is not None]
        yield DataSet(name, tiles, np.array([labels_of(box.col, box.row) for box in boxes]))


def drawn(shape: tuple[int, ...], areas: Any = (), lines: Any = ()) -> NDArray[np.bool_]:
    """A mask of polygons and lines."""
    mask = Image.new("1", (shape[1], shape[0]))
    pen = ImageDraw.Draw(mask)
    for area in areas:
        pen.polygon(area, fill=1)
    for line in lines:
        pen.line(line, fill=1, width=2)
    return np.asarray(mask)


def land_cover(bands: Floats) -> Callable[[int, int], str]:
    """The class of a window of the Sentinel-2 scene."""
    red_edge, _, _, infrared, short_wave, _ = bands
    shape = red_edge.shape
    marsh_area, beach = drawn(shape, MARSH), drawn(shape, lines=BEACH)
    water = (short_wave < 330) & (infrared < 700)
    vegetation = (infrared - red_edge) / (infrared + red_edge + 1)
    dark = (red_edge < 900) & (short_wave < 1300)
    forest = ~water & ~marsh_area & dark & (vegetation > 0.25)
    covers = {
        "water": water,
        "marsh": ~water & marsh_area,
        "forest": forest,
        "field": ~water & drawn(shape, MAINLAND) & ~forest & ~dark,
    }
    least = {"water": 0.95, "marsh": 0.4, "forest": 0.45, "field": 0.65}

    def label(column: int, row: int) -> str:
        if beach[row + 8 : row + 56, column + 8 : column + 56].sum() >= 40:
            return "beach"
        box = np.s_[row : row + 64, column : column + 64]
        shares = {name: float(mask[box].mean()) for name, mask in covers.items()}
        name = max(shares, key=lambda cover: shares[cover])
        return name if shares[name] > least[name] else ""

    return label


def cloud(bands: Floats) -> Callable[[int, int], str]:
    """How much of a window of the Landsat scene is cloud."""
    bright = bands[0] > 10_300

    def label(column: int, row: int) -> str:
        share = float(bright[row : row + 64, column : column + 64].mean())
        if share > 0.5:
            return "cloud"
        if share < 0.04:
            return "clear"
        return "scattered" if 0.15 < share < 0.4 else ""

    return label


def sample_of(tiles: TileSet, size_px: int, *, imagenet: bool = False) -> FitSample:
    """All tiles of a set."""
    preprocessing = measure_preprocessing(tiles, size_px)
    if imagenet and is_rgb(preprocessing):
        preprocessing = replace(preprocessing, statistics=IMAGENET)
    store = read_into_store(tiles, preprocessing, RunContext(strict=True))
    return FitSample(store.tiles, (), store.pixels, preprocessing)


def features_of(fitted: FittedEmbedding, sample: FitSample) -> Floats:
    """(N, F) features of the backbone."""
    embedder = Embedder(fitted.network, sample.preprocessing, CPU, Precision.FLOAT32)
    blocks = pixel_blocks(sample.pixels)
    return np.concatenate([embedder.features(block).numpy() for block in blocks])


def reduced(features: Floats, scales: NDArray[np.float64], whitening: float) -> Floats:
    """(N, D) principal components."""
    found = fit_projection(features, scales, DIMENSIONS, whitening)
    return np.asarray(features @ found.weights.T + found.biases, np.float32)


def embeddings(tiles: TileSet, weights: str) -> Iterator[tuple[str, Floats, float]]:
    """Each embedding of all tiles: its name, (N, D), and the seconds of fitting it."""
    small, large = sample_of(tiles, RANDOM_PX), sample_of(tiles, FROZEN_PX, imagenet=True)
    started = time.perf_counter()
    random = fit_random_convolutions(small, CPU, seed=0)
    random_s = time.perf_counter() - started
    started = time.perf_counter()
    frozen = fit_frozen(large, "mobilenet_v2", weights, CPU)
    frozen_s = time.perf_counter() - started
    pooled, deep = features_of(random, small), features_of(frozen, large)
    bands = len(small.preprocessing.bands)
    split = pooled.shape[1] - 2 * bands
    responses, statistics = pooled[:, :split], pooled[:, split:]
    of_statistics, of_responses = unit_scales(statistics), block_scales(responses, [split])
    of_deep = block_scales(deep, [deep.shape[1]])
    yield "band statistics", reduced(statistics, of_statistics, 0), 0.0
    for whitening in (0.0, 0.5, 1.0):
        name = f"random convolutions, whitening {whitening:g}"
        yield name, reduced(responses, of_responses, whitening), random_s
    yield "random convolutions + statistics, 0.5 (b)", random.vectors, random_s
    for whitening in (0.5, 1.0):
        yield f"frozen, whitening {whitening:g}", reduced(deep, of_deep, whitening), frozen_s
    yield "frozen, whitening 0 (a)", frozen.vectors, frozen_s
    if is_rgb(large.preprocessing):
        yield from of_default_model(large)
    every = np.concatenate([deep, responses, statistics], axis=1)
    scales = np.concatenate([of_deep, of_responses, of_statistics])
    yield "all three, whitening 0.5", reduced(every, scales, 0.5), random_s + frozen_s


def of_default_model(sample: FitSample) -> Iterator[tuple[str, Floats, float]]:
    """The default model as it is, and with components of these tiles."""
    path = shipped_path(DEFAULT_MODEL)
    if path is None:
        return
    model = load_model(path, CPU)
    own = replace(sample, preprocessing=model.description.preprocessing)
    embedder = Embedder(model.network, own.preprocessing, CPU, Precision.FLOAT32)
    yield f"model {DEFAULT_MODEL}", embedder.vectors(own.pixels), 0.0
    started = time.perf_counter()
    fitted = fit_components(model.network, model.description.backbone, own, {})
    yield f"model {DEFAULT_MODEL}, fitted", fitted.vectors, time.perf_counter() - started


def figures(vectors: Floats, labels: NDArray[np.str_]) -> tuple[float, float, float]:
    """Leave-one-out K-NN accuracy, mAP and P@10 of the tiles that have a class."""
    known = labels != ""
    names, classes = np.unique(labels[known], return_inverse=True)
    unit = vectors[known] / np.linalg.norm(vectors[known], axis=1, keepdims=True)
    blocks = np.array_split(np.arange(len(unit)), -(-len(unit) // BLOCK))
    found = [figures_of(block, unit, classes, len(names)) for block in blocks]
    accuracy, average, precision = (np.concatenate(column).mean() for column in zip(*found))
    return float(accuracy), float(average), float(precision)


def figures_of(
    queries: NDArray[np.int64], unit: Floats, classes: NDArray[np.int64], count: int
) -> tuple[Floats, Floats, Floats]:
    """K-NN right (Q,), average precision (of those with others of their class), P@10 (Q,)."""
    alike = unit[queries] @ unit.T
    own = np.arange(len(queries))
    alike[own, queries] = -np.inf
    order = np.argsort(-alike, axis=1, kind="stable")[:, :-1]
    relevant = classes[order] == classes[queries, None]
    precision = relevant.cumsum(axis=1) / np.arange(1, order.shape[1] + 1)
    counts = relevant.sum(axis=1)
    average = (precision * relevant).sum(axis=1)[counts > 0] / counts[counts > 0]
    near = order[:, :NEIGHBOURS]
    distances = np.sqrt(np.maximum(2 - 2 * np.take_along_axis(alike, near, axis=1), 1e-12))
    votes = np.zeros((len(queries), count))
    for column in range(NEIGHBOURS):
        np.add.at(votes, (own, classes[near[:, column]]), 1 / distances[:, column])
    right = votes.argmax(axis=1) == classes[queries]
    return right.astype(np.float32), average, relevant[:, :NEIGHBOURS].mean(axis=1)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("weights")
    parser.add_argument("--every", type=int, default=5)
    parser.add_argument("--only", default="", help="UC Merced, AID, Sentinel-2 or Landsat-8.")
    given = parser.parse_args()
    print("| data set | embedding | K-NN | mAP | P@10 | s to fit |")
    print("|---|---|---|---|---|---|")
    for data_set in data_sets(given.data, given.every, given.only):
        for name, vectors, seconds in embeddings(data_set.tiles, given.weights):
            accuracy, average, precision = figures(vectors, data_set.labels)
            row = f"{accuracy:.3f} | {average:.3f} | {precision:.3f} | {seconds:.1f}"
            print(f"| {data_set.name} | {name} | {row} |", flush=True)


if __name__ == "__main__":
    main()
