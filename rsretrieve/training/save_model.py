"""Summarise a finished training and write its model folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rsretrieve.data.preprocessing.pixel_fingerprint import quadrant_means
from rsretrieve.data.profile.measure_scale import measure_scale
from rsretrieve.data.profile.tile_features import FeatureSample
from rsretrieve.data.profile.training_profile import TrainingProfile, profile_of
from rsretrieve.data.run_context import RunContext
from rsretrieve.network import model_folder
from rsretrieve.network.device import Precision, describe_device
from rsretrieve.network.embedder import choose_embedding_precision, pixel_blocks
from rsretrieve.network.fuse_batchnorm import fuse_batchnorm
from rsretrieve.network.metadata import ModelDescription
from rsretrieve.network.model import PrototypeModel
from rsretrieve.training.dataset import PreparedTiles
from rsretrieve.training.history.tile_history import TileHistory, write_tile_history
from rsretrieve.training.loop import TrainingLoop
from rsretrieve.training.outcome import SampledEmbeddings
from rsretrieve.training.run.starting_point import StartingPoint
from rsretrieve.training.step import TrainingSettings

_PRECISION_TILES = 32
"""Tiles that are embedded to choose the precision."""


@dataclass(frozen=True)
class TrainingSummary:
    """Summary of a finished training.

    Attributes:
        model: the model folder.
        classes: K.
        tiles: number of training tiles.
        epochs: number of epochs.
        seconds: duration of the run (of this run, if it was resumed).
        tiles_per_second: mean over the epochs, of training alone.
        device: where the model was trained.
        kept_fraction: share of the training tiles that are taught their given label (m_i = 1) at
            the end.
        relabelled_fraction: share that is taught another label.
        kept_epoch, kept_because: the epoch of the model that is written, and why, in words.
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
    kept_epoch: int
    kept_because: str


def summarize(
    training: TrainingLoop, output: Path, prepared: PreparedTiles, seconds: float
) -> TrainingSummary:
    """Summarise a finished training.

    Args:
        training: the training.
        output: the model folder.
        prepared: its tiles.
        seconds: duration of the run.
    """
    rates = [finished.tiles_per_second for finished in training.history]
    return TrainingSummary(
        model=str(output),
        classes=len(prepared.class_names),
        tiles=len(prepared.tiles),
        epochs=len(training.history),
        seconds=seconds,
        tiles_per_second=len(rates) / sum(1 / rate for rate in rates) if rates else 0.0,
        device=_described(training.settings),
        kept_fraction=float(training.kept_mask.mean()),
        relabelled_fraction=float(training.relabelled_mask.mean()),
        kept_epoch=training.kept_epoch.number,
        kept_because=training.kept_epoch.why,
    )


def _described(settings: TrainingSettings) -> str:
    """The device of a training, and the number of its processes if there are several."""
    count, device = settings.processes.count, describe_device(settings.device)
    return device if count == 1 else f"{device}, {count} processes"


@dataclass(frozen=True)
class FinishedTraining:
    """Everything that a model folder is written from.

    Attributes:
        training: the training.
        prepared: its tiles.
        start: what it started from.
        summary: its summary.
        embeddings: of some of its tiles, by the finished model.
        model: the finished model.
    """

    training: TrainingLoop
    prepared: PreparedTiles
    start: StartingPoint
    summary: TrainingSummary
    embeddings: SampledEmbeddings
    model: PrototypeModel


def write_model(folder: Path, finished: FinishedTraining, context: RunContext) -> None:
    """Write a model folder, except for the model card and the plot.

    Args:
        folder: an existing folder.
        finished: the training.
        context: receives a notice if the network cannot be exported as a graph.

    Raises:
        OSError: a file cannot be written.
    """
    training, prepared = finished.training, finished.prepared
    recipe, preprocessing = training.recipe, prepared.preprocessing
    model = finished.model
    sha256 = model_folder.write_weights(folder, model)
    export = model_folder.write_graph(folder, model.network, preprocessing)
    if export.cause:
        context.notice(_graph_notice(recipe.backbone, export.cause))
    precision = _embedding_precision(training, model, prepared)
    facts = {
        "no_graph": export.cause or None,
        "embeds_in": str(precision),
        "cost": context.cost.to_json(),
    }
    description = ModelDescription(
        backbone=recipe.backbone,
        dimensions=recipe.dimensions,
        preprocessing=preprocessing,
        class_names=prepared.class_names,
        recipe=recipe.to_json(),
        training=_training_facts(finished) | facts,
        versions=model_folder.library_versions(recipe.backbone),
        weights_sha256=sha256,
        trained_on=_profile(finished),
    )
    model_folder.write_description(folder, description)
    model_folder.write_history(folder, training.history)
    _write_tile_history(folder, finished)


def _profile(finished: FinishedTraining) -> TrainingProfile:
    """What later commands compare their tiles with."""
    prepared, embeddings = finished.prepared, finished.embeddings
    pixels = prepared.train.pixels
    sample = FeatureSample(len(pixels), pixels.shape[1])
    for block in pixel_blocks(pixels):
        sample.add(block)
    scale = measure_scale(prepared.tiles)
    return profile_of(sample.features, scale, embeddings.spread, embeddings.class_spread)


def _embedding_precision(
    training: TrainingLoop, model: PrototypeModel, prepared: PreparedTiles
) -> Precision:
    """The precision for this model, chosen on a few training tiles from first to last."""
    pixels = prepared.train.pixels
    some = pixels[:: max(1, len(pixels) // _PRECISION_TILES)][:_PRECISION_TILES]
    network, device = fuse_batchnorm(model.network), training.settings.device
    return choose_embedding_precision(network, prepared.preprocessing, device, some)


def _write_tile_history(folder: Path, finished: FinishedTraining) -> None:
    training, prepared = finished.training, finished.prepared
    targets = training.targets
    numbers = torch.where(targets.weights > 0, targets.labels, -1).tolist()
    taught = [prepared.class_names[number] if number >= 0 else None for number in numbers]
    history = TileHistory(
        weights=training.kept_mask.cpu().numpy().astype(np.float32),
        areas=training.area_under_margin.areas,
        starting_features=finished.start.starting_features,
        margins=training.logit_margins,
    )
    quadrants = quadrant_means(prepared.train.pixels)
    contents = [prepared.files.content(tile.path).file for tile in prepared.tiles]
    write_tile_history(folder, prepared.tiles, taught, history, quadrants, contents)


def _graph_notice(backbone: str, cause: str) -> str:
    return (
        f"The graph of backbone {backbone} cannot be written ({cause}). The model works, but a "
        "query by an image loads PyTorch and starts seconds later."
    )


def _training_facts(finished: FinishedTraining) -> dict[str, Any]:
    """The section `training` of `model.json`."""
    training, summary = finished.training, finished.summary
    settings, validation = training.settings, finished.prepared.validation
    weights = finished.start.weights
    return {
        "tiles": summary.tiles,
        "validation_tiles": 0 if validation is None else len(validation.labels),
        "validation_labels": "as given",
        "epochs": summary.epochs,
        "kept_epoch": summary.kept_epoch,
        "kept_because": summary.kept_because,
        "seconds": round(sum(epoch.seconds for epoch in training.history), 1),
        "tiles_per_second": round(summary.tiles_per_second, 1),
        "kept_fraction": summary.kept_fraction,
        "relabelled_fraction": summary.relabelled_fraction,
        "seed": settings.seed,
        "device": summary.device,
        "precision": str(settings.precision),
        "weights": "none" if weights is None else str(weights),
    }
