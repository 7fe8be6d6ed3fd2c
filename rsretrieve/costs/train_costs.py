"""Measure two short trainings, and predict a training on N tiles."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from rsretrieve._core.machine.run_cost import processor_seconds
from rsretrieve.costs.predict_index import RUNTIME_BYTES, Prediction
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import TileSet
from rsretrieve.enums import RecipeName
from rsretrieve.training.recipe import Recipe, recipe_for
from rsretrieve.training.train import TrainingRequest, train_model

_MEASURED, _WEIGHTS = 256, "none"  # weights from elsewhere need no other time, but a download
_FEW_EPOCHS, _MORE_EPOCHS = 1, 3
_TORCH_BYTES, _MODEL_BYTES = 700_000_000, 20_000_000
_ROW_BYTES = 60  # of the training record of a tile


@dataclass(frozen=True)
class TrainRates:
    """What a training takes on this machine.

    Attributes:
        measured: number of training tiles.
        epochs: E of the recipe.
        base_s, base_processor_s: reading the tiles and writing the model, by the clock and in
            processor time.
        epoch_s, epoch_processor_s: a tile in an epoch.
        pixel_bytes: of a tile in memory.
    """

    measured: int
    epochs: int
    base_s: float
    base_processor_s: float
    epoch_s: float
    epoch_processor_s: float
    pixel_bytes: int


def measure_training(tiles: TileSet, device: torch.device, context: RunContext) -> TrainRates:
    """Train on some tiles for one epoch and for three.

    Args:
        tiles: tiles; those with a label are used, at most 256.
        device: where to train.
        context: receives progress.

    Raises:
        LabelsError, NoUsableTiles: too few of them have labels.
    """
    labelled = tiles.labelled()
    apart = max(1, len(labelled) // _MEASURED)
    some = labelled.select(list(range(0, len(labelled), apart))[:_MEASURED])
    recipe = recipe_for(RecipeName.ROBUST, _WEIGHTS)
    (few, few_used), (more, more_used) = (
        _training_s(some, replace(recipe, epochs=epochs), device, context)
        for epochs in (_FEW_EPOCHS, _MORE_EPOCHS)
    )
    tile_epochs = len(some) * (_MORE_EPOCHS - _FEW_EPOCHS)
    epoch, epoch_used = max(0.0, more - few) / tile_epochs, max(0.0, more_used - few_used)
    return TrainRates(
        measured=len(some),
        epochs=recipe.epochs,
        base_s=max(0.0, few - epoch * len(some)),
        base_processor_s=max(0.0, few_used - epoch_used / tile_epochs * len(some)),
        epoch_s=epoch,
        epoch_processor_s=epoch_used / tile_epochs,
        pixel_bytes=3 * recipe.size_px**2,
    )


def _training_s(
    tiles: TileSet, recipe: Recipe, device: torch.device, context: RunContext
) -> tuple[float, float]:
    started, used = time.perf_counter(), processor_seconds()
    with tempfile.TemporaryDirectory(prefix="rsretrieve-rates-") as made:
        request = TrainingRequest(tiles, Path(made, "model"), recipe, device, weights=_WEIGHTS)
        train_model(request, RunContext(listener=context.report))
    return time.perf_counter() - started, processor_seconds() - used


def predict_training(rates: TrainRates, count: int, read_s: float) -> Prediction:
    """Predict `rsretrieve train` with the default recipe.

    Args:
        rates: of a short training.
        count: N.
        read_s: seconds to read a tile.
    """
    work = count * rates.epochs
    seconds = {"reading": read_s * count, "epochs": rates.epoch_s * work, "rest": rates.base_s}
    used = rates.epoch_processor_s * work + rates.base_processor_s
    memory = RUNTIME_BYTES + _TORCH_BYTES + rates.pixel_bytes * count
    disk = _MODEL_BYTES + _ROW_BYTES * count
    return Prediction("train", count, seconds, used, memory, disk)
