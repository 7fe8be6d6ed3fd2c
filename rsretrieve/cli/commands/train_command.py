"""`rsretrieve train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rsretrieve._core.paths import name_of
from rsretrieve.cli import options
from rsretrieve.cli.scene_options import takes_scenes
from rsretrieve.cli.terminal import Terminal
from rsretrieve.data.windowing import SceneChoices
from rsretrieve.enums import LossName, OptimizerName, RecipeName
from rsretrieve.export.output_paths import OutputPaths

_FROM_RECIPE = "\\[default: the recipe's]"


@takes_scenes
def train(
    tiles: options.Tiles,
    output: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The model folder to write. \\[default: models/NAME]"),
    ] = None,
    labels: options.Labels = None,
    val: Annotated[
        str | None,
        typer.Option(
            metavar="TILES",
            help="Tiles that say which epoch is best, by their labels as given. "
            "\\[default: a tenth of the training tiles]",
        ),
    ] = None,
    recipe: Annotated[
        RecipeName,
        typer.Option(help="robust: t-RNSL made for users. paper: as Kang et al. published it."),
    ] = RecipeName.ROBUST,
    loss: Annotated[LossName | None, typer.Option(help=f"The loss. {_FROM_RECIPE}")] = None,
    backbone: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="A torchvision classification model, by its torchvision name. "
            "\\[default: resnet18]",
        ),
    ] = None,
    weights: Annotated[
        str,
        typer.Option(
            metavar="WEIGHTS",
            help="imagenet (torchvision's, downloaded), none, a .safetensors or .pth file, "
            "or a model folder to go on from.",
        ),
    ] = "imagenet",
    size: Annotated[
        int | None,
        typer.Option(metavar="PX", help=f"Tiles are resized to this square. {_FROM_RECIPE}"),
    ] = None,
    bands: Annotated[
        str | None,
        typer.Option(
            metavar="B,B,…",
            help="The bands to use, counted from 1, such as 3,2,1. \\[default: all]",
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(metavar="N", help=f"Schedules scale with this. {_FROM_RECIPE}"),
    ] = None,
    batch_size: Annotated[
        str | None,
        typer.Option(
            metavar="N|auto",
            help="Tiles a step. auto: the recipe's, taken in parts where memory runs out; the "
            f"gradients add up, and batch norm sees a part's tiles alone. {_FROM_RECIPE}",
        ),
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help=f"The peak learning rate. {_FROM_RECIPE}")
    ] = None,
    optimizer: Annotated[
        OptimizerName | None, typer.Option(help=f"The optimizer. {_FROM_RECIPE}")
    ] = None,
    dimensions: Annotated[
        int | None, typer.Option(metavar="D", help="Of the embedding. \\[default: 128]")
    ] = None,
    temperature: Annotated[
        float | None,
        typer.Option(help="The temperature σ. \\[default: by the number of classes; paper: 0.05]"),
    ] = None,
    learn_temperature: Annotated[
        bool, typer.Option("--learn-temperature", help="The temperature is learned.")
    ] = False,
    q: Annotated[
        float | None, typer.Option(help="Of RNSL and t-RNSL, 0 < q ≤ 1. \\[default: 0.7]")
    ] = None,
    truncation: Annotated[
        float | None,
        typer.Option(
            help="Of t-RNSL: tiles whose label's probability is at most this are left out. "
            "\\[default: 0.5]"
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with this output's unfinished training.")
    ] = False,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    overwrite: options.Overwrite = False,
    strict: options.Strict = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    scenes: SceneChoices = SceneChoices(),
) -> None:
    """Train an embedding that stays good when many labels are wrong.

    Writes a model folder: weights and prototypes, description, model card, history and plot.
    An interrupted training goes on with --resume.
    """
    chosen_bands = tuple(map(int, options.parse_numbers(bands, "--bands", int))) if bands else ()
    in_parts = batch_size == "auto"
    tiles_a_step = None if in_parts else options.parse_count(batch_size, "--batch-size")
    output = output or Path("models", Path(name_of(tiles)).stem)
    paths = OutputPaths(
        folder={"--output": output},
        inputs={"TILES": tiles, "--labels": labels, "--val": val, "--weights": weights},
    )
    with Terminal(as_json=as_json, quiet=quiet) as terminal:
        paths.check()
        from rsretrieve.cli.io.render import training_summary
        from rsretrieve.data.discovery.find_tiles import find_tiles
        from rsretrieve.data.run_context import RunContext
        from rsretrieve.export.model_card import embellish_model
        from rsretrieve.export.results import training_json
        from rsretrieve.network.device import choose_device
        from rsretrieve.training.recipe import recipe_for
        from rsretrieve.training.train import TrainingRequest, checkpoint_of, train_model

        context = RunContext(strict=strict, listener=terminal.listen)
        found = find_tiles(tiles, labels, scenes, context)
        validation = find_tiles(val, None, scenes, context) if val is not None else None
        paths.check_tiles(lambda: (tile.path for tile in (*found, *(validation or ()))))
        request = TrainingRequest(
            tiles=found,
            output=output,
            recipe=recipe_for(recipe, weights).changed(
                loss=loss,
                backbone=backbone,
                size_px=size,
                epochs=epochs,
                batch_size=tiles_a_step,
                learning_rate=learning_rate,
                optimizer=optimizer,
                dimensions=dimensions,
                temperature=temperature,
                learn_temperature=learn_temperature or None,
                q=q,
                k=truncation,
            ),
            device=choose_device(device),
            validation=validation,
            weights=weights,
            bands=chosen_bands,
            seed=seed,
            overwrite=overwrite,
            resume=resume,
            in_parts=in_parts,
        )
        terminal.notice(*request.tiles.notices)
        checkpoint = checkpoint_of(output)
        before = None if resume else _state(checkpoint)
        terminal.after_interrupt = lambda: _what_is_kept(checkpoint, before)
        summary = train_model(request, context, lambda folder: embellish_model(folder, str(output)))
        terminal.notice(*context.notices)
        terminal.result(training_json(summary), training_summary(summary))
        raise typer.Exit(terminal.failures(context.failures))


def _what_is_kept(checkpoint: Path, before: tuple[int, int] | None) -> str:
    """What there is to go on with after a Ctrl-C, by the checkpoint before and now."""
    now = _state(checkpoint)
    if now is None:
        return "no epoch was done: nothing is kept, and the same command starts anew"
    if now == before:
        return "no epoch was done: the unfinished training that was there before is as it was"
    return "the epochs that are done are kept: the same command with --resume goes on"


def _state(path: Path) -> tuple[int, int] | None:
    """What tells a file from one that took its place; None where there is none."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns
