"""Measure one short training, and predict a training on N tiles."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from rsretrieve._core.machine.run_cost import processor_seconds
from rsretrieve.costs.cost import NO_COST, Cost, peak_bytes
from rsretrieve.costs.predict_index import Prediction
from rsretrieve.costs.stage_clock import EPOCHS, FEATURES, HEAD, READING, REST, StageClock
from rsretrieve.costs.tile_rates import bytes_a_tile
from rsretrieve.data.preprocessing.preprocessing import Preprocessing
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import TileSet
from rsretrieve.enums import NO_WEIGHTS, RecipeName
from rsretrieve.network.metadata import read_description
from rsretrieve.network.shipped.given_weights import model_folder_of
from rsretrieve.training.history.level_network import SIDE_PX
from rsretrieve.training.parallel.process_group import training_processes
from rsretrieve.training.recipe import Recipe, recipe_for
from rsretrieve.training.targets.neighbor_agreement import neighbor_votes
from rsretrieve.training.targets.targets import Targets
from rsretrieve.training.train import TrainingRequest, train_model

_MEASURED, _EPOCHS = 256, 4
_FIRST_UPDATE = 0.5  # of these epochs: the first and the last have no update of the weights m_i
_VOTING, _MODEL_BYTES = 2000, 20_000_000
_ROW_BYTES = 60  # of the training record of a tile


@dataclass(frozen=True)
class TrainingPlan:
    """How tiles are trained on.

    Attributes:
        recipe: every hyper-parameter.
        weights: as `train --weights` takes them.
        bands: the bands to use, counted from 1; by default all.
        validation: number of validation tiles that are given; 0 for a tenth of the tiles.
    """

    recipe: Recipe = field(default_factory=lambda: recipe_for(RecipeName.ROBUST, NO_WEIGHTS))
    weights: str = NO_WEIGHTS  # weights from elsewhere need no other time, but a download
    bands: tuple[int, ...] = ()
    validation: int = 0

    @property
    def pixels(self) -> int:
        """Pixels of a tile in memory: as trained on, and as read for the features before."""
        recipe = self.recipe
        has_features = self.weights != NO_WEIGHTS and model_folder_of(self.weights) is None
        is_larger = recipe.posterior is not None and recipe.size_px < SIDE_PX
        larger = has_features and is_larger and not recipe.trains_head_only
        return int(recipe.size_px**2 + (SIDE_PX**2 if larger else 0))


@dataclass(frozen=True)
class TrainRates:
    """What a training takes on this machine, by the clock.

    Attributes:
        measured: number of tiles that were trained on.
        epochs: E of the recipe.
        updates: how often the recipe sets the weights m_i.
        read_s: to read a tile.
        start_s: to compute the features of a tile before the first epoch and to fit the head to
            them.
        epoch_s: a tile in an epoch.
        update_s: a tile in an update, without the search for neighbours.
        pair_s: to compare a pair of tiles in the search for neighbours; 0 without one.
        base_s: what does not depend on the number of tiles: to build and to write the model.
        processor_share: processor seconds a second.
        peak_bytes: peak memory of the process with the measured tiles.
        pixel_bytes: of a tile in memory.
        file_bytes: of a tile on the disk.
        model_bytes: of the model folder.
        validation: validation tiles that are given.
        start: until the training begins; does not depend on the number of tiles.
    """

    measured: int
    epochs: int
    updates: int
    read_s: float
    start_s: float
    epoch_s: float
    update_s: float
    pair_s: float
    base_s: float
    processor_share: float
    peak_bytes: int
    pixel_bytes: int
    model_bytes: int
    file_bytes: float = 0.0
    validation: int = 0
    start: Cost = NO_COST


def measure_training(
    tiles: TileSet,
    device: torch.device,
    context: RunContext,
    plan: TrainingPlan | None = None,
    start: Cost = NO_COST,
) -> TrainRates:
    """Train on some tiles for a few epochs, and measure every stage.

    Args:
        tiles: tiles; those with a label are used, at most 256.
        device: where to train.
        context: receives notices.
        plan: how to train; by default with the default recipe.
        start: what was taken until the training can begin.

    Raises:
        LabelsError, NoUsableTiles: too few of them have labels.
        WeightsError: the weights cannot be had, or do not fit.
    """
    plan = plan or TrainingPlan()
    labelled = tiles.labelled()
    apart = max(1, len(labelled) // _MEASURED)
    some = labelled.select(list(range(0, len(labelled), apart))[:_MEASURED])
    full, few = plan.recipe, min(_EPOCHS, plan.recipe.epochs)
    recipe = replace(full, epochs=few, first_update=_FIRST_UPDATE, update_every=0.0)
    clock, used, started = StageClock(), processor_seconds(), time.perf_counter()
    processes = training_processes(device)
    with tempfile.TemporaryDirectory(prefix="rsretrieve-rates-") as made:
        output = processes.of_first(lambda: Path(made, "model"))
        request = TrainingRequest(
            some, output, recipe, device, weights=plan.weights, bands=plan.bands
        )
        train_model(request, RunContext(listener=clock.listen))
        clock.stop()
        written, taken = processes.of_first(lambda: _bytes_and_preprocessing(output))
    total, used = time.perf_counter() - started, processor_seconds() - used
    count, seconds = max(1, len(some)), clock.seconds
    plain, updating = _epochs(clock.epochs)
    pair_s = _pair_s(device) if recipe.agreement is not None and full.update_epochs else 0.0
    return TrainRates(
        measured=count,
        epochs=full.epochs,
        updates=len(full.update_epochs),
        read_s=seconds[READING] / count,
        start_s=(seconds[FEATURES] + seconds[HEAD]) / count,
        epoch_s=plain / count,
        update_s=max(0.0, updating - plain - pair_s * count**2) / count,
        pair_s=pair_s,
        base_s=seconds[REST] + max(0.0, seconds[EPOCHS] - sum(clock.epochs)),
        processor_share=used / total,
        peak_bytes=peak_bytes(),
        pixel_bytes=plan.pixels * len(taken.bands) * np.dtype(taken.dtype).itemsize,
        model_bytes=written,
        file_bytes=bytes_a_tile(labelled),
        validation=plan.validation,
        start=start,
    )


def _bytes_and_preprocessing(model: Path) -> tuple[int, Preprocessing]:
    """The size of a model folder, and the preprocessing of its tiles."""
    written = sum(path.stat().st_size for path in model.iterdir())
    return written, read_description(model).preprocessing


def predict_training(rates: TrainRates, count: int) -> Prediction:
    """Predict a training.

    Args:
        rates: of a short training with the same options.
        count: N, validation tiles that are split off included.
    """
    read = count + rates.validation
    seconds = {
        "starting": rates.start.seconds,
        "reading": rates.read_s * read,
        "before the first epoch": rates.start_s * count,
        "epochs": rates.epoch_s * count * rates.epochs,
        "updating labels": rates.updates * (rates.update_s * count + rates.pair_s * count**2),
        "rest": rates.base_s,
    }
    used = rates.processor_share * (sum(seconds.values()) - rates.start.seconds)
    used += rates.start.processor_s
    memory = rates.peak_bytes + rates.pixel_bytes * max(0, read - rates.measured)
    disk = rates.model_bytes + _ROW_BYTES * count
    files = int(rates.file_bytes * read)
    return Prediction("train", count, seconds, used, memory, disk, read_bytes=files)


def _epochs(seconds: list[float]) -> tuple[float, float]:
    """Seconds of an epoch without and with an update of the weights m_i.

    The first epoch, in which memory is allocated, counts only if there are no others.
    """
    if not seconds:
        return 0.0, 0.0
    plain = [seconds[-1], *seconds[:1]] if len(seconds) < _EPOCHS else seconds[-1:]
    updating = seconds[1:-1] if len(seconds) == _EPOCHS else plain
    return sum(plain) / len(plain), sum(updating) / len(updating)


def _pair_s(device: torch.device) -> float:
    """Seconds to compare a pair of tiles in the search for neighbours."""
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(_VOTING, 128, generator=generator).to(device)
    vectors = torch.nn.functional.normalize(vectors)
    taught = Targets.as_given(torch.zeros(_VOTING, dtype=torch.long, device=device))
    started = time.perf_counter()
    neighbor_votes(vectors, taught, 2)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return (time.perf_counter() - started) / _VOTING**2
