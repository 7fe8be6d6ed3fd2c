"""`rsretrieve train`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from rsretrieve._core.atomic_write import refuse_to_overwrite
from rsretrieve._core.folders.known_folders import MODEL_FOLDER
from rsretrieve.cli import options
from rsretrieve.cli.early_checks import (
    check_device,
    check_labels_file,
    check_tiles,
    check_training,
    find_weights,
    refuse_no_labels,
)
from rsretrieve.cli.given_command import command_as_typed, record_config
from rsretrieve.cli.runs.train_run import keeps_epochs, of_first_process, output_or_default
from rsretrieve.cli.scene_options import takes_scenes
from rsretrieve.cli.terminal import Terminal
from rsretrieve.data.windowing import SceneChoices
from rsretrieve.enums import LossName, Normalisation, OptimizerName, RecipeName
from rsretrieve.export.output_paths import OutputPaths

# Numbers of the recipes stand here as text: to import a recipe is to import PyTorch.
# A test compares them with the recipes.
_network = partial(typer.Option, rich_help_panel="Network")
_training = partial(typer.Option, rich_help_panel="Training")


@takes_scenes
def train(
    tiles: options.Tiles,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Model folder to write. \\[default: models/NAME; if it exists, "
            "models/NAME-2 and so on]",
        ),
    ] = None,
    labels: options.Labels = None,
    val: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TILES",
            help="Tiles for validation, with their labels as given. Repeatable. "
            "\\[default: a tenth of TILES]",
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue an interrupted training of --output.")
    ] = False,
    recipe: Annotated[
        RecipeName,
        _network(
            help="Where the defaults come from. robust: corrects wrong labels during training. "
            "paper: t-RNSL as published by Kang et al. 2020."
        ),
    ] = RecipeName.ROBUST,
    backbone: Annotated[
        str | None,
        _network(
            metavar="NAME",
            help="Name of a torchvision classification model, or timm/NAME. If --weights is a "
            "model, its backbone is taken. \\[default: resnet18]",
        ),
    ] = None,
    weights: Annotated[
        str,
        _network(
            metavar="WEIGHTS",
            help="Weights to start from: imagenet (downloaded; for timm/NAME its default weights), "
            "none, a .safetensors or .pth file, a model folder, or a name that rsretrieve models "
            "lists.",
        ),
    ] = "imagenet",
    freeze_backbone: Annotated[
        bool,
        _network(
            "--freeze-backbone",
            help="Compute the backbone's features once, and train only projection and prototypes "
            "on them: seconds instead of hours, and less accurate.",
        ),
    ] = False,
    size: Annotated[
        int | None,
        _network(
            metavar="PX",
            help="Side of the square that tiles are resized to. \\[default: 128; paper: 256]",
        ),
    ] = None,
    bands: Annotated[
        str | None,
        _network(
            metavar="B,B,…",
            help="Bands to use, in this order: their numbers, counted from 1, or their names in "
            "the files; for example 3,2,1 or B4,B3,B2. \\[default: all]",
        ),
    ] = None,
    normalise_by: Annotated[
        Normalisation,
        _network(
            help="weights: 8-bit RGB tiles are normalised by the mean and the deviation that the "
            "weights expect, other tiles by their own. tiles: all tiles by their own. reflectance: "
            "16-bit tiles are divided by 10,000, as many weights for Sentinel-2 expect."
        ),
    ] = Normalisation.WEIGHTS,
    dimensions: Annotated[
        int | None, _network(metavar="D", help="Length of an embedding. \\[default: 128]")
    ] = None,
    epochs: Annotated[
        int | None,
        _training(
            metavar="N",
            help="Number of epochs. Schedules scale with it. 0: the weights as they are; "
            "prototypes are the mean embeddings of the classes. \\[default: 40; paper: 130]",
        ),
    ] = None,
    batch_size: Annotated[
        str | None,
        _training(
            metavar="N|auto",
            help="Tiles per step. auto: the default; if memory runs out, a batch is computed in "
            "several parts, whose gradients are summed. \\[default: 64; paper: 256]",
        ),
    ] = None,
    learning_rate: Annotated[
        float | None,
        _training(
            help="Highest learning rate of the schedule. "
            "\\[default: 0.02; with --weights none: 0.03; with --freeze-backbone: 0.05; "
            "paper: 0.1]"
        ),
    ] = None,
    optimizer: Annotated[
        OptimizerName | None, _training(help="Optimizer. \\[default: sgd]")
    ] = None,
    loss: Annotated[LossName | None, _training(help="Loss function. \\[default: t-rnsl]")] = None,
    temperature: Annotated[
        float | None,
        _training(
            help="Temperature σ of the softmax. "
            "\\[default: 1 / ln(39·(K − 1)) for K classes; paper: 0.05]"
        ),
    ] = None,
    learn_temperature: Annotated[
        bool, _training("--learn-temperature", help="Train the temperature, too.")
    ] = False,
    q: Annotated[
        float | None,
        _training(help="Exponent q of the losses rnsl and t-rnsl, 0 < q ≤ 1. \\[default: 0.7]"),
    ] = None,
    truncation: Annotated[
        float | None,
        _training(
            help="Threshold k of t-rnsl: labels with a probability of at most k are left out. It "
            "has no effect where robust estimates the classes first. \\[default: 0.5]"
        ),
    ] = None,
    log_dir: Annotated[
        Path | None,
        options.file_option(
            metavar="DIR",
            help="Write TensorBoard events into a new sub-folder, named after the model. Needs the "
            "extra tensorboard.",
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            rich_help_panel=options.RUN,
            help="Write no model: train on some of the tiles for a few epochs, and predict time, "
            "memory, and bytes to read.",
        ),
    ] = False,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    overwrite: options.Overwrite = False,
    strict: options.Strict = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    scenes: SceneChoices = SceneChoices(),
) -> None:
    """Train an embedding on tiles whose labels may be wrong.

    Writes a model folder: network, class prototypes, model card, training history. --resume
    continues an interrupted training. torchrun starts one process for each GPU.

    Example:
        rsretrieve train tiles --output models/mine
        rsretrieve train tiles --labels fixed.csv --output models/better
        torchrun --nproc-per-node 4 -m rsretrieve train tiles --output models/mine
    """
    asked_bands = options.parse_bands(bands)
    in_parts = batch_size == "auto"
    tiles_per_step = None if in_parts else options.parse_count(batch_size, "--batch-size")
    weights = (named := find_weights(weights)).source
    folder, chosen_output = output_or_default(output, tiles[0], resume=resume, anew=overwrite)
    paths = OutputPaths(
        folder={"--output": folder},
        inputs={
            **options.inputs_of("TILES", tiles),
            **options.inputs_of("--val", val),
            "--labels": labels,
            "--weights": named.path,
        },
        added={"--log-dir": log_dir and log_dir / folder.name},
    )
    with Terminal(as_json=as_json, quiet=quiet, notices=named.notices) as terminal:
        refuse_no_labels(labels)
        paths.check()
        check_training(backbone, weights, asked_bands)
        check_device(device)
        from rsretrieve.training.recipe import recipe_for

        start = recipe_for(recipe, weights, freeze_backbone=freeze_backbone)
        chosen = start.changed(
            loss=loss,
            backbone=backbone or named.backbone,
            size_px=size,
            epochs=epochs,
            batch_size=tiles_per_step,
            learning_rate=learning_rate,
            optimizer=optimizer,
            dimensions=dimensions,
            temperature=temperature,
            learn_temperature=learn_temperature or None,
            q=q,
            k=truncation,
            imagenet_statistics=None if normalise_by is Normalisation.WEIGHTS else False,
            reflectance=normalise_by is Normalisation.REFLECTANCE or None,
        )
        check_tiles(tiles, val)
        check_labels_file(labels)
        refuse_to_overwrite(folder, overwrite=overwrite, kind=MODEL_FOLDER)
        from rsretrieve.data.discovery.find_tiles import find_tiles
        from rsretrieve.data.profile.band_names import band_numbers
        from rsretrieve.data.run_context import RunContext
        from rsretrieve.export.event_log import EventLog

        log = EventLog(log_dir, folder.name, terminal.listen)
        context = RunContext(strict=strict, listener=log.listen)
        found = find_tiles(tiles, labels, scenes, context)
        validation = find_tiles(val, None, scenes, context) if val else None
        chosen_bands = band_numbers(found, asked_bands)
        from rsretrieve.cli.io.result_tables import training_summary
        from rsretrieve.export.model_card import write_card_and_plot
        from rsretrieve.export.results import training_json
        from rsretrieve.network.device import choose_device, unused_gpus
        from rsretrieve.training.train import TrainingRequest, train_model

        paths.check_tiles(lambda: (tile.path for tile in (*found, *(validation or ()))))
        request = TrainingRequest(
            tiles=found,
            output=output or of_first_process(folder, choose_device(device)),
            recipe=chosen,
            device=choose_device(device),
            validation=validation,
            weights=weights,
            bands=chosen_bands,
            seed=seed,
            overwrite=overwrite,
            resume=resume,
            micro_batches=in_parts,
        )
        terminal.notice(*request.tiles.notices, *chosen_output)
        if text := unused_gpus(request.device, device):
            terminal.notice(f"{text} -m {command_as_typed()}")
        if dry_run:
            from rsretrieve.cli.io.dry_run import predicted

            terminal.result(*predicted(request, context))
            return
        terminal.after_interrupt = keeps_epochs(request.output, resume=resume)

        def add_reports(made: Path) -> None:
            write_card_and_plot(made, str(request.output))
            stored = chosen.options() | {"output": request.output}
            record_config(made, **stored | ({"batch_size": "auto"} if in_parts else {}))

        with log:
            summary = train_model(request, context, add_reports)
        terminal.notice(*context.notices)
        terminal.result(training_json(summary), training_summary(summary))
        raise typer.Exit(terminal.failures(context.failures))
