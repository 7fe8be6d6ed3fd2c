"""From tiles to a model folder: everything around the training loop."""

from __future__ import annotations

import hashlib
import platform
import shutil
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision

import rsretrieve
from rsretrieve.choices import Judge
from rsretrieve.errors import LabelsError, OutputExists
from rsretrieve.learning import model_store
from rsretrieve.learning.device import best_precision, describe_device
from rsretrieve.learning.losses import Prototypes
from rsretrieve.learning.model import ModelDescription, PrototypeModel
from rsretrieve.learning.network import build_network, check_backbone
from rsretrieve.learning.recipes import Recipe
from rsretrieve.learning.training import Settings, Training
from rsretrieve.learning.validation import Examples
from rsretrieve.learning.weights import WeightsReport, fit_weights, load_weights
from rsretrieve.progress import Advanced, Listener, Noticed, StageStarted, unheard
from rsretrieve.storage import folder_aside, refuse_to_overwrite
from rsretrieve.tiles.labels import some_of
from rsretrieve.tiles.preprocessing import Preprocessing
from rsretrieve.tiles.records import TileSet
from rsretrieve.tiles.splits import split_per_class
from rsretrieve.tiles.statistics import measure_preprocessing
from rsretrieve.tiles.stream import FailureLog, PixelStore, read_into_store

VALIDATION_FRACTION = 0.1
CHECKPOINT_FILE = "checkpoint.safetensors"


@dataclass(frozen=True)
class TrainingRequest:
    """What to train.

    Attributes:
        tiles: the tiles to learn from; those without a label are left out.
        output: the model folder to write.
        recipe: every hyper-parameter.
        device: where to compute.
        validation: tiles that say which epoch is best; by default a tenth of `tiles`.
        weights: `imagenet`, `none`, a weights file, or a model folder.
        bands: the bands to use, counted from 1; all by default.
        seed: of every chance.
        overwrite: replace a model, or an unfinished training, that is there.
        resume: go on with the unfinished training of this output.
    """

    tiles: TileSet
    output: Path
    recipe: Recipe
    device: torch.device
    validation: TileSet | None = None
    weights: str = "imagenet"
    bands: tuple[int, ...] = ()
    seed: int = 0
    overwrite: bool = False
    resume: bool = False


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
        kept_fraction: share of the training tiles with weight m_i = 1 at the end.
    """

    model: str
    classes: int
    tiles: int
    epochs: int
    seconds: float
    tiles_per_second: float
    device: str
    kept_fraction: float


def train_model(
    request: TrainingRequest,
    log: FailureLog,
    listener: Listener = unheard,
    embellish: Callable[[Path], None] = lambda _: None,
) -> TrainingSummary:
    """Train a model and write its folder.

    Args:
        request: what to train.
        log: takes the tiles that cannot be read.
        listener: is told how the work goes.
        embellish: adds what people look at (the model card, the plot) to the finished
            folder, before it is switched in.

    Raises:
        RsretrieveError: see the leaves; the output is then as it was.
    """
    started = time.perf_counter()
    refuse_to_overwrite(request.output, overwrite=request.overwrite)
    unfinished = _unfinished_folder(request)
    check_backbone(request.recipe.backbone)
    prepared = _prepare(request, log, listener)
    model, weights_report = _starting_model(request, prepared)
    if weights_report is not None:
        listener(Noticed(str(weights_report)))
    settings = Settings(
        request.recipe,
        prepared.preprocessing,
        request.seed,
        request.device,
        best_precision(request.device),
    )
    training = Training(settings, model, prepared.train, prepared.validation, listener)
    identity = _identity(request, prepared, settings)
    training.run(unfinished / CHECKPOINT_FILE, identity, resume=request.resume)
    summary = _summary(request, prepared, training, time.perf_counter() - started)
    facts = _training_facts(prepared, settings, training, summary, weights_report)
    with folder_aside(request.output, overwrite=request.overwrite) as folder:
        _write_model(folder, request, prepared, training, facts)
        embellish(folder)
    shutil.rmtree(unfinished)
    return summary


@dataclass(frozen=True)
class _Prepared:
    """Tiles read and made ready."""

    class_names: tuple[str, ...]
    preprocessing: Preprocessing
    tiles: TileSet
    train: Examples
    validation: Examples | None


def _unfinished_folder(request: TrainingRequest) -> Path:
    """Where the checkpoint of this output's training lies."""
    folder = request.output.with_name(f".{request.output.name}.unfinished")
    if folder.exists() and not request.resume:
        if not request.overwrite:
            raise OutputExists(
                f"an unfinished training of {request.output} is there ({folder})",
                hint="give --resume to go on with it, or --overwrite to start anew",
            )
        shutil.rmtree(folder)
    return folder


def _prepare(request: TrainingRequest, log: FailureLog, listener: Listener) -> _Prepared:
    labelled = request.tiles.labelled()
    if left_out := len(request.tiles) - len(labelled):
        listener(Noticed(f"{left_out} tiles have no label and are left out of training"))
    _require_two_classes(labelled)
    train_tiles, validation_tiles = labelled, request.validation
    if validation_tiles is None:
        shares = (1 - VALIDATION_FRACTION, VALIDATION_FRACTION)
        train_tiles, validation_tiles = split_per_class(labelled, shares, request.seed)
    recipe = request.recipe
    listener(StageStarted("measuring the tiles"))
    preprocessing = measure_preprocessing(
        train_tiles, recipe.size_px, request.bands, imagenet=recipe.imagenet_statistics
    )
    train = _read("reading training tiles", train_tiles, preprocessing, log, listener)
    names = train.tiles.class_names
    _require_two_classes(train.tiles)
    _notice_small_classes(train.tiles, listener)
    validation = _validation(validation_tiles, names, preprocessing, log, listener)
    return _Prepared(names, preprocessing, train.tiles, _examples(train, names), validation)


def _validation(
    tiles: TileSet,
    names: tuple[str, ...],
    preprocessing: Preprocessing,
    log: FailureLog,
    listener: Listener,
) -> Examples | None:
    known = tiles.select([i for i, tile in enumerate(tiles) if tile.label in names])
    if left_out := len(tiles) - len(known):
        listener(Noticed(f"{left_out} validation tiles have no label that is trained; left out"))
    if not len(known):
        listener(Noticed("no tiles to validate by: the last epoch is taken for the best"))
        return None
    return _examples(_read("reading validation tiles", known, preprocessing, log, listener), names)


def _read(
    stage: str, tiles: TileSet, preprocessing: Preprocessing, log: FailureLog, listener: Listener
) -> PixelStore:
    listener(StageStarted(stage, len(tiles)))
    return read_into_store(tiles, preprocessing, log, lambda n: listener(Advanced(n)))


def _examples(store: PixelStore, names: tuple[str, ...]) -> Examples:
    numbers = {name: number for number, name in enumerate(names)}
    labels = [numbers[str(tile.label)] for tile in store.tiles]
    return Examples(store.pixels, np.array(labels, np.int64))


def _require_two_classes(tiles: TileSet) -> None:
    names = tiles.class_names
    if len(names) < 2:
        found = f"only {names[0]!r}" if names else "none at all"
        raise LabelsError(
            f"{tiles.source}: training needs tiles of at least two classes, and there is {found}",
            hint="class sub-folders are the labels, or give --labels FILE.csv (tile,label)",
        )


def _notice_small_classes(tiles: TileSet, listener: Listener) -> None:
    counts = Counter(tile.label for tile in tiles)
    small = sorted(str(name) for name, count in counts.items() if count == 1)
    if small:
        listener(
            Noticed(
                f"{len(small)} classes have one training tile only ({some_of(small)}): "
                "there is nothing to hold their labels against"
            )
        )


def _starting_model(
    request: TrainingRequest, prepared: _Prepared
) -> tuple[PrototypeModel, WeightsReport | None]:
    recipe = request.recipe
    torch.manual_seed(request.seed)
    network = build_network(
        recipe.backbone,
        bands=len(prepared.preprocessing.bands),
        size_px=recipe.size_px,
        dimensions=recipe.dimensions,
    )
    prototypes = Prototypes(
        len(prepared.class_names),
        recipe.dimensions,
        recipe.temperature,
        learn_temperature=recipe.learn_temperature,
    )
    model = PrototypeModel(network, prototypes)
    if request.weights == "none":
        return model, None
    if Path(request.weights).is_dir():
        return model, _go_on_from(model, Path(request.weights), prepared.class_names)
    return model, load_weights(network, recipe.backbone, request.weights)


def _go_on_from(model: PrototypeModel, folder: Path, class_names: tuple[str, ...]) -> WeightsReport:
    """Start from a model of ours: its backbone, and what else of it fits."""
    old = model_store.load_model(folder, torch.device("cpu"))
    report = fit_weights(model.network, old.network.backbone.state_dict(), str(folder))
    if old.description.dimensions == model.network.projection.out_features:
        model.network.projection.load_state_dict(old.network.projection.state_dict())
        if old.description.class_names == class_names:
            model.prototypes.weight.data.copy_(torch.from_numpy(old.prototypes))
    return report


def _identity(request: TrainingRequest, prepared: _Prepared, settings: Settings) -> dict[str, Any]:
    """All that decides the result, so that a training only ever goes on as itself."""
    tiles = hashlib.sha256()
    for tile, label in zip(prepared.tiles, prepared.train.labels):
        tiles.update(f"{tile.id}\0{label}\0".encode("utf-8", "surrogateescape"))
    validation = prepared.validation
    return {
        **{f"recipe.{name}": value for name, value in request.recipe.to_json().items()},
        "tiles and labels": tiles.hexdigest()[:16],
        "classes": list(prepared.class_names),
        "validation tiles": 0 if validation is None else len(validation.labels),
        "bands": list(prepared.preprocessing.bands),
        "weights": request.weights,
        "seed": request.seed,
        "device": request.device.type,
        "precision": str(settings.precision),
    }


def _summary(
    request: TrainingRequest, prepared: _Prepared, training: Training, seconds: float
) -> TrainingSummary:
    rates = [finished.tiles_per_second for finished in training.history]
    return TrainingSummary(
        model=str(request.output),
        classes=len(prepared.class_names),
        tiles=len(prepared.tiles),
        epochs=len(training.history),
        seconds=seconds,
        tiles_per_second=len(rates) / sum(1 / rate for rate in rates),
        device=describe_device(request.device),
        kept_fraction=float(training.weights.mean()),
    )


def _training_facts(
    prepared: _Prepared,
    settings: Settings,
    training: Training,
    summary: TrainingSummary,
    weights_report: WeightsReport | None,
) -> dict[str, Any]:
    """The summary of training that `model.json` keeps."""
    validation = prepared.validation
    accuracies = [finished.validation_accuracy or 0.0 for finished in training.history]
    kept = settings.recipe.keep
    best = int(np.argmax(accuracies)) + 1 if kept is Judge.BEST and validation else None
    return {
        "tiles": summary.tiles,
        "validation_tiles": 0 if validation is None else len(validation.labels),
        "validation_labels": "as given",
        "epochs": summary.epochs,
        "kept_epoch": best or summary.epochs,
        "seconds": round(sum(finished.seconds for finished in training.history), 1),
        "tiles_per_second": round(summary.tiles_per_second, 1),
        "kept_fraction": summary.kept_fraction,
        "seed": settings.seed,
        "device": summary.device,
        "precision": str(settings.precision),
        "weights": "none" if weights_report is None else str(weights_report),
    }


def _write_model(
    folder: Path,
    request: TrainingRequest,
    prepared: _Prepared,
    training: Training,
    facts: Mapping[str, Any],
) -> None:
    sha256 = model_store.write_weights(folder, training.judge(request.recipe.keep))
    description = ModelDescription(
        backbone=request.recipe.backbone,
        dimensions=request.recipe.dimensions,
        preprocessing=prepared.preprocessing,
        class_names=prepared.class_names,
        recipe=request.recipe.to_json(),
        training=facts,
        versions=_versions(),
        weights_sha256=sha256,
    )
    model_store.write_description(folder, description)
    model_store.write_history(folder, training.history)
    weights = training.weights.cpu().numpy()
    model_store.write_training_tiles(folder, prepared.tiles, weights)


def _versions() -> dict[str, str]:
    return {
        "rsretrieve": rsretrieve.__version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "torchvision": str(torchvision.__version__),
        "numpy": np.__version__,
    }
