"""From tiles to a model folder: everything around the training loop."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rsretrieve._core.atomic_write import (
    folder_aside,
    only_writer,
    refuse_to_overwrite,
    sha256_of_json,
)
from rsretrieve.data.preprocessing.pixel_fingerprint import quadrant_means
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import TileSet
from rsretrieve.errors import OutputExists
from rsretrieve.network import model_folder
from rsretrieve.network.device import best_precision
from rsretrieve.network.embedder import Embedder
from rsretrieve.network.metadata import ModelFolder, report_unchecked
from rsretrieve.network.network import check_backbone
from rsretrieve.network.pretrained import check_weights
from rsretrieve.network.runtime.malloc import retain_freed_memory
from rsretrieve.training.dataset import PreparedTiles, prepare_tiles
from rsretrieve.training.head_warmup import warm_up_head
from rsretrieve.training.history.starting_features import compute_starting_features
from rsretrieve.training.history.tile_history import read_tile_history
from rsretrieve.training.initialize import Start, starting_model
from rsretrieve.training.loop import TrainingLoop
from rsretrieve.training.recipe import Recipe
from rsretrieve.training.save_model import TrainingSummary, summary_of, write_model
from rsretrieve.training.step import TrainingSettings

CHECKPOINT_FILE = "checkpoint.safetensors"
_HASHED_AT_ONCE = 64


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
        micro_batches: where memory runs out, take a batch in parts.
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
    micro_batches: bool = False


def train_model(
    request: TrainingRequest,
    context: RunContext,
    embellish: Callable[[Path], None] = lambda _: None,
) -> TrainingSummary:
    """Train a model and write its folder.

    Args:
        request: what to train.
        context: takes the tiles that cannot be read.
        embellish: adds what people look at (the model card, the plot) to the finished
            folder, before it is switched in.

    Raises:
        RsretrieveError: see the leaves; the output is then as it was.
    """
    marker = model_folder.DESCRIPTION_FILE
    refuse_to_overwrite(request.output, overwrite=request.overwrite, marker=marker)
    with only_writer(request.output):
        _clear_unfinished(request.output)
        try:
            return _train(request, context, embellish, marker)
        finally:
            _clear_unfinished(request.output)


def _train(
    request: TrainingRequest,
    context: RunContext,
    embellish: Callable[[Path], None],
    marker: str,
) -> TrainingSummary:
    started = time.perf_counter()
    check_backbone(request.recipe.backbone)
    check_weights(request.recipe.backbone, request.weights)
    unfinished = _unfinished_folder(request)
    recipe, seed = request.recipe, request.seed
    prepared = prepare_tiles(
        request.tiles, request.validation, recipe, request.bands, seed, context
    )
    recipe = recipe.for_classes(len(prepared.class_names))
    precision = best_precision(request.device)
    settings = TrainingSettings(
        recipe, prepared.preprocessing, seed, request.device, precision, request.micro_batches
    )
    start = _start(request, prepared, settings, context)
    training = TrainingLoop(settings, start.model, prepared.train, prepared.validation, context)
    identity = _identity(request, prepared, settings)
    with retain_freed_memory() if request.device.type == "cpu" else nullcontext():
        training.run(checkpoint_path(request.output), identity, resume=request.resume)
    summary = summary_of(training, request.output, prepared, time.perf_counter() - started)
    with folder_aside(request.output, overwrite=request.overwrite, marker=marker) as folder:
        write_model(folder, training, prepared, summary, start, context)
        embellish(folder)
        model_folder.seal_folder(folder)
    shutil.rmtree(unfinished)
    return summary


def _start(
    request: TrainingRequest,
    prepared: PreparedTiles,
    settings: TrainingSettings,
    context: RunContext,
) -> Start:
    """What the training loop starts from."""
    recipe, bands = settings.recipe, len(prepared.preprocessing.bands)
    model, report = starting_model(
        recipe, bands, prepared.class_names, request.weights, settings.seed
    )
    if report is not None:
        context.notice(str(report))
    model.to(settings.device)
    embedder = Embedder(model.network, settings.preprocessing, settings.device, settings.precision)
    view = None
    if Path(request.weights).is_dir():  # that model has seen labels: what its own start saw
        quadrants = quadrant_means(prepared.train.pixels)
        before = ModelFolder.read(Path(request.weights))
        report_unchecked(before, context)
        view = read_tile_history(before, prepared.tiles, quadrants, context).starting_features
    elif report is not None:  # features of a network that starts from nothing tell nothing
        context.start_stage("keeping how the tiles look before labels are learned")
        view = compute_starting_features(embedder, prepared.train.pixels, settings.seed)
    if recipe.head_epochs and not request.resume:
        context.start_stage("fitting projection and prototypes to the starting features")
        warm_up_head(model, embedder, prepared.train, recipe.q, recipe.head_epochs, settings.seed)
    return Start(model, report, view)


def _unfinished(output: Path) -> Path:
    return output.with_name(f".{output.name}.unfinished")


def checkpoint_path(output: Path) -> Path:
    """Where a training of this output keeps what `resume` goes on with."""
    return _unfinished(output) / CHECKPOINT_FILE


def _clear_unfinished(output: Path) -> None:
    """Remove what a training left that cannot be gone on with: all that is no checkpoint."""
    folder = _unfinished(output)
    if folder.exists() and not checkpoint_path(output).exists():
        shutil.rmtree(folder)
    for half_written in folder.glob(f".{CHECKPOINT_FILE}.*"):
        half_written.unlink()


def _unfinished_folder(request: TrainingRequest) -> Path:
    """Where the checkpoint of this output's training lies.

    One that is to be overwritten stays until the first checkpoint of the new training takes its
    place: until an epoch is done there is nothing better. Nobody reads it but who resumes.
    """
    folder = _unfinished(request.output)
    if folder.exists() and not request.resume and not request.overwrite:
        raise OutputExists(
            f"an unfinished training of {request.output} is there ({folder})",
            hint="give --resume to go on with it, or --overwrite to start anew",
        )
    return folder


def _identity(
    request: TrainingRequest, prepared: PreparedTiles, settings: TrainingSettings
) -> dict[str, Any]:
    """All that decides the result, so that a training only ever goes on as itself."""
    tiles = hashlib.sha256()
    for tile, label in zip(prepared.tiles, prepared.train.labels):
        tiles.update(f"{tile.id}\0{label}\0".encode("utf-8", "surrogateescape"))
    held_back = prepared.validation
    validation = "none"
    if held_back is not None:
        validation = digest_arrays(held_back.pixels, held_back.labels)
    return {
        **{f"recipe.{name}": value for name, value in request.recipe.to_json().items()},
        "tiles and labels": tiles.hexdigest()[:16],
        "training pixels": digest_arrays(prepared.train.pixels),
        "classes": list(prepared.class_names),
        "validation tiles": validation,
        "bands": list(prepared.preprocessing.bands),
        "preprocessing": sha256_of_json(prepared.preprocessing.to_json())[:16],
        "weights": request.weights,
        "--batch-size auto": "given" if request.micro_batches else "not given",
        "seed": request.seed,
        "device": request.device.type,
        "precision": str(settings.precision),
    }


def digest_arrays(*arrays: NDArray[Any]) -> str:
    """A digest of some arrays, hashed block by block: pixels may be larger than memory."""
    content = hashlib.sha256()
    for array in arrays:
        content.update(f"{array.shape} {array.dtype.str} ".encode())
        for start in range(0, len(array), _HASHED_AT_ONCE):
            block = np.ascontiguousarray(array[start : start + _HASHED_AT_ONCE])
            content.update(block.reshape(-1).view(np.uint8).data)
    return content.hexdigest()[:16]
