"""Train a model and write its folder: everything around the training loop."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from rsretrieve._core.atomic_write import folder_aside
from rsretrieve._core.folders.known_folders import MODEL_FOLDER
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import TileSet
from rsretrieve.enums import LossName
from rsretrieve.errors import TrainingDiverged
from rsretrieve.network import model_folder
from rsretrieve.network.device import Precision, best_precision
from rsretrieve.network.network import check_backbone
from rsretrieve.network.runtime.malloc import retain_freed_memory
from rsretrieve.training.dataset import PreparedTiles, prepare_tiles
from rsretrieve.training.frozen.feature_cache import FeatureCache
from rsretrieve.training.initialize import check_start
from rsretrieve.training.loop import TrainingLoop
from rsretrieve.training.outcome import (
    MANY_STEPS,
    BeforeTraining,
    SampledEmbeddings,
    notice_implausible,
    require_distinct,
    require_taught,
)
from rsretrieve.training.parallel.process_group import training_processes
from rsretrieve.training.parallel.processes import Processes
from rsretrieve.training.parallel.shared_tiles import prepare_shared
from rsretrieve.training.recipe import Recipe
from rsretrieve.training.run import common_identity as shared
from rsretrieve.training.run.starting_point import StartingPoint, starting_point
from rsretrieve.training.run.unfinished_training import (
    check_unfinished,
    checkpoint_path,
    remove_unfinished,
    unfinished_folder,
    writing,
)
from rsretrieve.training.save_model import (
    FinishedTraining,
    TrainingSummary,
    summarize,
    write_model,
)
from rsretrieve.training.step import TrainingSettings

_FEW_TILES = 100  # that are embedded before the training


@dataclass(frozen=True)
class TrainingRequest:
    """What to train.

    Attributes:
        tiles: the training tiles; those without a label are left out.
        output: the model folder to write.
        recipe: every hyper-parameter.
        device: where to train.
        validation: tiles that select the best epoch; by default a tenth of `tiles`.
        weights: `imagenet`, `none`, a weights file, or a model folder.
        bands: the bands to use, counted from 1; by default all.
        seed: of everything random.
        overwrite: replace an existing model, or an unfinished training.
        resume: continue the unfinished training of this output.
        micro_batches: if memory runs out, split batches.
        features: of frozen backbones, known from other trainings of this process.
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
    features: FeatureCache | None = None


def train_model(
    request: TrainingRequest,
    context: RunContext,
    add_reports: Callable[[Path], None] = lambda _: None,
) -> TrainingSummary:
    """Train a model and write its folder.

    If a launcher such as `torchrun` started several processes, all of them call this function
    with the same request; they train one model together, and the first one writes it.

    Args:
        request: what to train.
        context: takes the tiles that cannot be read, notices and progress.
        add_reports: writes the model card and the plot into the finished folder, before it
            replaces an older one.

    Returns:
        A summary of the training.

    Raises:
        InvalidArgument, WeightsError: unknown backbone, or weights that cannot be obtained.
        InputError: the processes of the training have different arguments or tiles.
        ProcessLost: another process of the training ended.
        OutputExists, OutputBusy: the output exists, or another process is writing it.
        LabelsError, NoUsableTiles: there are too few labels or tiles.
        CheckpointError: `resume`, and there is nothing to resume.
        TrainingDiverged: the loss or a weight is not finite, all embeddings are nearly the same,
            or no labels were learned from. Checkpoints stay.

        After any error the output is as before.
    """
    processes = training_processes(request.device)
    # The first process reports for all.
    own = context if processes.is_first else RunContext(strict=context.strict)
    with processes.watched(), ExitStack() as stack:
        with processes.together():
            if processes.is_first:
                stack.enter_context(writing(request.output, overwrite=request.overwrite))
        summary = _train(request, own, add_reports, processes)
        context.failures = processes.of_first(lambda: own.failures)
        return summary


def _train(
    request: TrainingRequest,
    context: RunContext,
    add_reports: Callable[[Path], None],
    processes: Processes,
) -> TrainingSummary:
    started = time.perf_counter()
    _check(request, processes)
    prepared = prepare_shared(
        processes,
        lambda: prepare_tiles(
            request.tiles, request.validation, request.recipe, request.bands, request.seed, context
        ),
    )
    shared.require_shares(processes, prepared.train, request.recipe.batch_size)
    settings = _settings(request, prepared, processes)
    start = starting_point(
        request.weights, prepared, settings, context, fits_head=not request.resume
    )
    training = _loop(start, settings, prepared, context)
    identity = shared.common_identity(request.recipe, request.weights, prepared, settings)
    training.before = _before_training(training)
    with retain_freed_memory() if request.device.type == "cpu" else nullcontext():
        training.run(checkpoint_path(request.output), identity, resume=request.resume)
    embeddings = _checked_embeddings(training, training.before, request, context)
    summary = summarize(training, request.output, prepared, time.perf_counter() - started)
    model = start.completed(training.select_model(training.recipe.keep))
    finished = FinishedTraining(training, prepared, start, summary, embeddings, model)
    with processes.together():
        if processes.is_first:
            _write(request, finished, context, add_reports)
    return summary


def _write(
    request: TrainingRequest,
    finished: FinishedTraining,
    context: RunContext,
    add_reports: Callable[[Path], None],
) -> None:
    with folder_aside(request.output, overwrite=request.overwrite, kind=MODEL_FOLDER) as folder:
        write_model(folder, finished, context)
        add_reports(folder)
        model_folder.seal_folder(folder)
    remove_unfinished(request.output)


def _check(request: TrainingRequest, processes: Processes) -> None:
    recipe = request.recipe
    with processes.together():
        if processes.is_first:
            check_unfinished(request.output, resume=request.resume, overwrite=request.overwrite)
        check_backbone(recipe.backbone)
        check_start(recipe, request.weights, request.bands)
        shared.require_batches_for(
            processes, recipe.batch_size, micro_batches=request.micro_batches
        )
    shared.require_own_gpus(processes, request.device)
    names = ("output", "seed", "weights", "bands", "resume", "overwrite")
    processes.require_same(recipe.to_json() | {name: str(getattr(request, name)) for name in names})


def _loop(
    start: StartingPoint,
    settings: TrainingSettings,
    prepared: PreparedTiles,
    context: RunContext,
) -> TrainingLoop:
    """The loop over pixels; with a frozen backbone over its features."""
    frozen = start.frozen
    if frozen is None:
        return TrainingLoop(
            settings, start.model, prepared.train, prepared.validation, context, start.posterior
        )
    of_features = replace(settings, preprocessing=None, precision=Precision.FLOAT32)
    return TrainingLoop(
        of_features, frozen.head, frozen.train, frozen.validation, context, start.posterior
    )


def _before_training(training: TrainingLoop) -> BeforeTraining:
    model = training.model
    embedder = training.embedder(model)
    embeddings = SampledEmbeddings.of(embedder, training.train, training.targets, _FEW_TILES)
    return BeforeTraining.of(model, embeddings)


def _checked_embeddings(
    training: TrainingLoop, before: BeforeTraining, request: TrainingRequest, context: RunContext
) -> SampledEmbeddings:
    """Embed some training tiles with the finished model, and check that it learned something.

    Raises:
        TrainingDiverged: it did not.
    """
    model = training.select_model(training.recipe.keep)
    try:
        embeddings = SampledEmbeddings.of(
            training.embedder(model), training.train, training.targets
        )
        taught = float((training.kept_mask + training.relabelled_mask).mean())
        steps = len(training.history) * -(-len(training.train) // training.recipe.batch_size)
        notices = (
            require_distinct(model, embeddings, before, steps),
            require_taught(
                taught,
                training.passing_fraction,
                training.target_policy.k,
                could_learn=before.is_informed or steps >= MANY_STEPS,
            ),
            notice_implausible(taught, _validated(training, request), training.target_policy.k),
        )
    except TrainingDiverged as error:
        raise TrainingDiverged(
            f"{error.message}; no model is written, and the checkpoint is kept in "
            f"{unfinished_folder(request.output)}",
            hint=f"{error.hint}; --overwrite starts again",
        ) from error
    for text in filter(None, notices):
        context.notice(text)
    return embeddings


def _validated(training: TrainingLoop, request: TrainingRequest) -> float | None:
    """The last validation accuracy, on tiles that were split off; their labels go wrong alike."""
    history = training.history
    own = request.validation is None and training.recipe.loss is LossName.T_RNSL
    return history[-1].validation_accuracy if own and history else None


def _settings(
    request: TrainingRequest, prepared: PreparedTiles, processes: Processes
) -> TrainingSettings:
    return TrainingSettings(
        recipe=request.recipe.for_classes(len(prepared.class_names)),
        preprocessing=prepared.preprocessing,
        seed=request.seed,
        device=request.device,
        precision=best_precision(request.device),
        micro_batches=request.micro_batches,
        processes=processes,
        features=request.features if processes.count == 1 else None,
    )
