"""From a training that is over to its summary and its model folder."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision
from numpy.typing import NDArray

import rsretrieve
from rsretrieve.data.preprocessing.pixel_fingerprint import quadrant_means
from rsretrieve.data.run_context import RunContext
from rsretrieve.enums import ModelSelection
from rsretrieve.network import model_folder
from rsretrieve.network.device import describe_device
from rsretrieve.network.embedder import choose_embedding_precision
from rsretrieve.network.fuse_batchnorm import fuse_batchnorm
from rsretrieve.network.model import ModelDescription
from rsretrieve.network.pretrained import WeightsReport
from rsretrieve.training.dataset import PreparedTiles
from rsretrieve.training.history.tile_history import TileHistory, write_tile_history
from rsretrieve.training.initialize import Start
from rsretrieve.training.loop import TrainingLoop

_TRIED = 32
"""Tiles that are embedded to find the precision that a model embeds in."""


@dataclass(frozen=True)
class TrainingSummary:
    """What came of a training.

    Attributes:
        model: the model folder.
        classes: K.
        tiles: how many tiles were trained on.
        epochs: how many epochs.
        seconds: of the whole run (of this run, when it was resumed).
        tiles_per_second: mean over the epochs, of training alone.
        device: what computed.
        kept_fraction: share of the training tiles that were taught with the label they were
            given (m_i = 1) at the end.
        relabelled_fraction: share that was taught with another one.
    """

    model: str
    classes: int
    tiles: int
    epochs: int
    seconds: float
    tiles_per_second: float
    device: str
    kept_fraction: float
    relabelled_fraction: float


def summary_of(
    training: TrainingLoop, output: Path, prepared: PreparedTiles, seconds: float
) -> TrainingSummary:
    """Sum up a training that is over.

    Args:
        training: the training.
        output: the model folder.
        prepared: what it was trained on.
        seconds: of the whole run.
    """
    rates = [finished.tiles_per_second for finished in training.history]
    return TrainingSummary(
        model=str(output),
        classes=len(prepared.class_names),
        tiles=len(prepared.tiles),
        epochs=len(training.history),
        seconds=seconds,
        tiles_per_second=len(rates) / sum(1 / rate for rate in rates),
        device=describe_device(training.settings.device),
        kept_fraction=float(training.kept_mask.mean()),
        relabelled_fraction=float(training.relabelled_mask.mean()),
    )


def write_model(
    folder: Path,
    training: TrainingLoop,
    prepared: PreparedTiles,
    summary: TrainingSummary,
    start: Start,
    context: RunContext,
) -> None:
    """Write all of a model folder but what people look at."""
    recipe = training.recipe
    kept, preprocessing = training.select_model(recipe.keep), prepared.preprocessing
    sha256 = model_folder.write_weights(folder, kept)
    export = model_folder.write_graph(folder, kept.network, preprocessing)
    if export.cause:
        context.notice(_without_graph(recipe.backbone, export.cause))
    precision = choose_embedding_precision(
        fuse_batchnorm(kept.network),
        preprocessing,
        training.settings.device,
        _some(prepared.train.pixels),
    )
    facts = _training_facts(training, prepared, summary, start.weights)
    description = ModelDescription(
        backbone=recipe.backbone,
        dimensions=recipe.dimensions,
        preprocessing=preprocessing,
        class_names=prepared.class_names,
        recipe=recipe.to_json(),
        training={**facts, "no_graph": export.cause or None, "embeds_in": str(precision)},
        versions=_versions(),
        weights_sha256=sha256,
    )
    model_folder.write_description(folder, description)
    model_folder.write_history(folder, training.history)
    numbers = torch.where(training.targets.weights > 0, training.targets.labels, -1).tolist()
    taught = [prepared.class_names[number] if number >= 0 else None for number in numbers]
    shares = training.kept_mask.cpu().numpy().astype(np.float32)
    record = TileHistory(shares, training.area_under_margin.areas, start.starting_features)
    quadrants = quadrant_means(prepared.train.pixels)
    write_tile_history(folder, prepared.tiles, taught, record, quadrants)


def _some(pixels: NDArray[Any]) -> NDArray[Any]:
    """A few tiles, from the first to the last."""
    return pixels[:: max(1, len(pixels) // _TRIED)][:_TRIED]


def _without_graph(backbone: str, cause: str) -> str:
    return (
        f"The graph of backbone {backbone} cannot be written ({cause}). The model works, but a "
        "query by an image loads PyTorch and starts seconds later."
    )


def _training_facts(
    training: TrainingLoop,
    prepared: PreparedTiles,
    summary: TrainingSummary,
    weights_report: WeightsReport | None,
) -> dict[str, Any]:
    """The summary of training that `model.json` keeps."""
    settings, validation = training.settings, prepared.validation
    best = training.best.number if settings.recipe.keep is ModelSelection.BEST else 0
    return {
        "tiles": summary.tiles,
        "validation_tiles": 0 if validation is None else len(validation.labels),
        "validation_labels": "as given",
        "epochs": summary.epochs,
        "kept_epoch": best or summary.epochs,
        "seconds": round(sum(finished.seconds for finished in training.history), 1),
        "tiles_per_second": round(summary.tiles_per_second, 1),
        "kept_fraction": summary.kept_fraction,
        "relabelled_fraction": summary.relabelled_fraction,
        "seed": settings.seed,
        "device": summary.device,
        "precision": str(settings.precision),
        "weights": "none" if weights_report is None else str(weights_report),
    }


def _versions() -> dict[str, str]:
    return {
        "rsretrieve": rsretrieve.__version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "torchvision": str(torchvision.__version__),
        "numpy": np.__version__,
    }
