"""`rsretrieve explain`."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rsretrieve.cli import options
from rsretrieve.cli.early_checks import (
    check_device,
    check_labels_file,
    check_model,
    check_tiles,
    find_model,
)
from rsretrieve.cli.index_options import goal_of_options
from rsretrieve.cli.io.default_model import DefaultRequest, default_model
from rsretrieve.cli.scene_options import given_tile_options, takes_scenes
from rsretrieve.cli.terminal import Terminal
from rsretrieve.data.windowing import SceneChoices

if TYPE_CHECKING:
    from rsretrieve.costs.cost import Cost
    from rsretrieve.costs.tile_rates import TileRates
    from rsretrieve.data.run_context import RunContext
    from rsretrieve.data.tile import TileSet

_DIMENSIONS = 128
COMMANDS = ("index", "query", "audit-labels", "train")


@takes_scenes
def explain(
    tiles: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TILES",
            help=f"{options.TILES_HELP_STAC}. Some are read and embedded. Without TILES, the "
            "embeddings count as given.",
        ),
    ] = None,
    commands: Annotated[
        str,
        typer.Option(
            metavar="NAME,…",
            help="What to predict, among index, query, audit-labels and train. train needs TILES "
            "with labels: some are trained on, with the default recipe.",
        ),
    ] = "index,query",
    at_scale: Annotated[
        str | None,
        typer.Option(
            metavar="N,N,…",
            help="Predict for these numbers of tiles, such as 1e6,1e9. \\[default: the number of "
            "TILES]",
        ),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(metavar="DIR|NAME", help="Model folder, or a model of `rsretrieve models`."),
    ] = None,
    dimensions: Annotated[
        int | None,
        typer.Option(
            metavar="D",
            help="Dimensions of given embeddings; with TILES, those of the model. "
            f"\\[default: {_DIMENSIONS}]",
        ),
    ] = None,
    faiss_key: Annotated[
        str | None,
        typer.Option("--index", metavar="KEY", help="As in `rsretrieve index`. \\[default: auto]"),
    ] = None,
    recall: Annotated[
        float | None,
        typer.Option(metavar="SHARE", help="As in `rsretrieve index`. \\[default: 0.95]"),
    ] = None,
    memory: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE",
            help="Memory that the index may take. \\[default: half of what is available]",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Where the index would be written: the free space of its disk is compared. "
            "Nothing is written. \\[default: the working folder]",
        ),
    ] = None,
    labels: options.Labels = None,
    dollars_per_hour: Annotated[
        float | None,
        typer.Option(metavar="PRICE", min=0, help="Price of this machine; adds dollars."),
    ] = None,
    device: options.Device = "auto",
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    scenes: SceneChoices = SceneChoices(),
) -> None:
    """Predict time, memory, disk and dollars, and what breaks first.

    Rates are measured on this machine in some seconds: reading and embedding with some of the
    tiles, everything else with random vectors.

    Example:
        rsretrieve explain tiles --model models/mine
        rsretrieve explain tiles --commands train,audit-labels
        rsretrieve explain --at-scale 1e6,1e9 --memory 8GB --dollars-per-hour 0.4
    """
    counts, names = _parsed_counts(at_scale), _parsed_commands(commands)
    if not tiles and "train" in names:
        raise typer.BadParameter("the costs of train need TILES", param_hint="--commands")
    if not tiles and (counts is None or model is not None):
        raise typer.BadParameter("give TILES; or --at-scale without --model, for given embeddings")
    of_tiles = given_tile_options(labels, scenes)
    if of_tiles and not tiles:
        raise typer.BadParameter("it needs TILES", param_hint=of_tiles[0])
    if tiles and dimensions is not None:
        raise typer.BadParameter("--dimensions goes without TILES: the model decides them")
    goal = goal_of_options(faiss_key, recall, memory, append_only=False)
    named = find_model(model)
    with Terminal(as_json=as_json, quiet=quiet, notices=named.notices) as terminal:
        check_tiles(tiles)
        check_labels_file(labels)
        check_device(device)
        check_model(named.folder)
        start = _start_with_embeddings()
        from rsretrieve.cli.io.cost_tables import costs_table
        from rsretrieve.costs.cost import Cost
        from rsretrieve.costs.explanation import CostQuestion, explain_costs
        from rsretrieve.costs.train_costs import measure_training
        from rsretrieve.data.discovery.find_tiles import find_tiles
        from rsretrieve.data.run_context import RunContext
        from rsretrieve.index.long_list import long_from
        from rsretrieve.index.vectors.choose_kind import IndexGoal
        from rsretrieve.network.device import choose_device

        context = RunContext(listener=terminal.listen)
        wide = _DIMENSIONS if dimensions is None else dimensions
        rates = training = long = None
        if tiles:
            found = find_tiles(tiles, labels, scenes, context)
            terminal.notice(*found.notices)
            start = Cost.of_process()
            rates = _tile_rates(found, named.folder, device, context)
            if "train" in names:
                training = measure_training(found, choose_device(device), context, start=start)
            if labels is None and scenes == SceneChoices():
                long = long_from(tiles, len(found))
            counts, wide = counts or (len(found),), rates.dimensions
        else:
            terminal.notice("no TILES: reading and embedding are not part of the prediction")
        question = CostQuestion(
            *(counts or (), wide, goal or IndexGoal(), output or Path(), dollars_per_hour),
            names,
            long,
        )
        context.start_stage("measuring this machine")
        explained = explain_costs(question, rates, training, start)
        terminal.notice(*context.notices)
        terminal.result(explained.to_json(), costs_table(explained))
        raise typer.Exit(terminal.failures(context.failures))


def _start_with_embeddings() -> Cost:
    """What this command took until it has loaded what `index --from-embeddings` needs."""
    from rsretrieve.costs.cost import Cost
    from rsretrieve.index.vectors.faiss_loader import faiss_module

    import_module("rsretrieve.index.build_from_embeddings")
    faiss_module()
    return Cost.of_process()


def _tile_rates(found: TileSet, folder: Path | None, device: str, context: RunContext) -> TileRates:
    """Read and embed some tiles with the model, or with the embedding that `index` would fit."""
    from rsretrieve.costs.cost import Cost
    from rsretrieve.costs.tile_rates import measure_tiles
    from rsretrieve.network.device import choose_device
    from rsretrieve.network.model_folder import load_model

    if folder is not None:
        model = load_model(folder, choose_device(device), context)
        return measure_tiles(model, found, context, Cost.of_process())
    with default_model(found, DefaultRequest(None, None, 0), device, context) as fitted:
        return measure_tiles(fitted, found, context, Cost.of_process())


def _parsed_commands(text: str) -> tuple[str, ...]:
    """Parse names of commands, or end with a usage error."""
    names = tuple(name.strip() for name in text.split(","))
    for name in names:
        if name not in COMMANDS:
            raise typer.BadParameter(
                f"{name!r} is none of {', '.join(COMMANDS)}", param_hint="--commands"
            )
    return names


def _parsed_counts(text: str | None) -> tuple[int, ...] | None:
    """Parse numbers of tiles such as 1e6,1000000000, or end with a usage error."""
    if text is None:
        return None
    numbers = options.parse_numbers(text, "--at-scale", float)
    if not all(1 <= count <= 1e12 for count in numbers):
        raise typer.BadParameter("each must be from 1 to 1e12", param_hint="--at-scale")
    return tuple(round(count) for count in numbers)
