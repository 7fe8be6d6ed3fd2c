"""`rsretrieve index`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rsretrieve.cli import options
from rsretrieve.cli.commands.index_upkeep_command import (
    Upkeep,
    export_index,
    repair_index,
    verify_index,
)
from rsretrieve.cli.early_checks import (
    check_device,
    check_embeddings,
    check_faiss_key,
    check_labels_file,
    check_model,
    check_tiles,
    check_training,
)
from rsretrieve.cli.index_options import IndexArguments, check_arguments, goal_of_options
from rsretrieve.cli.io.default_model import DefaultRequest, model_for_index, weights_file
from rsretrieve.cli.scene_options import takes_scenes
from rsretrieve.cli.terminal import Terminal
from rsretrieve.data.windowing import SceneChoices
from rsretrieve.export.output_paths import OutputPaths

if TYPE_CHECKING:
    from rsretrieve.index.vectors.choose_kind import IndexGoal

_KEPT = "embedded tiles are kept; to continue, repeat the command"
_type = partial(typer.Option, rich_help_panel="Index type")
_existing = partial(typer.Option, rich_help_panel="Work on an existing index")


@takes_scenes
def index(
    output: Annotated[Path, typer.Option(metavar="DIR", help="Index folder to write.")],
    tiles: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TILES",
            help=f"{options.TILES_HELP_STAC}; with --window also a scene. Several may be given. "
            "Not needed by --verify, --repair and --export.",
        ),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Model folder, written by rsretrieve train. \\[default: an embedding that needs "
            "no training, chosen by the tiles and stored in the index; with --update, --verify "
            "and --repair: the model of the index]",
        ),
    ] = None,
    weights: options.FrozenWeights = None,
    backbone: options.FrozenBackbone = None,
    from_embeddings: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Instead of --model: embeddings from elsewhere. Parquet (columns: id, "
            "embedding; optionally label, path, geometry), or .npy, whose row i is tile i of the "
            "list TILES (without TILES, rows are numbered).",
        ),
    ] = None,
    faiss_key: Annotated[
        str | None,
        _type(
            "--index",
            metavar="KEY",
            help="auto (chosen by the number of tiles, --recall and --memory), or a FAISS key "
            "such as Flat, IVF256,Flat or HNSW32. \\[default: auto; with --update: unchanged]",
        ),
    ] = None,
    recall: Annotated[
        float | None,
        _type(
            metavar="SHARE",
            help="Share of the true 10 nearest neighbours that a search must find; 1 is exact. "
            "Search parameters are set by measuring it. \\[default: 0.95]",
        ),
    ] = None,
    memory: Annotated[
        str | None,
        _type(
            metavar="SIZE",
            help="Memory limit of the index, such as 500MB or 2GB. \\[default: half of the free "
            "memory]",
        ),
    ] = None,
    append_only: Annotated[
        bool,
        _type(
            "--append-only",
            help="No tile will ever be removed, so auto may choose a graph (HNSW).",
        ),
    ] = False,
    update: Annotated[
        bool,
        _existing(
            "--update",
            help="Embed new and changed tiles, remove deleted ones, retry unreadable ones. "
            "Changes are found by size and modification time, then by content.",
        ),
    ] = False,
    verify: Annotated[
        bool,
        _existing(
            "--verify",
            help="Check all checksums and counts, and embed a sample of the tiles again. Exit "
            "code 1 if there are errors.",
        ),
    ] = False,
    repair: Annotated[
        bool, _existing("--repair", help="Repair the errors that --verify finds, if possible.")
    ] = False,
    export: Annotated[
        Path | None,
        _existing(
            metavar="FILE.parquet",
            help="Write embeddings, footprints and the model's provenance as GeoParquet.",
        ),
    ] = None,
    labels: options.Labels = None,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    overwrite: options.Overwrite = False,
    strict: options.Strict = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    scenes: SceneChoices = SceneChoices(),
) -> None:
    """Embed tiles and build an index for similarity search.

    An interrupted run continues when the same command is repeated.

    Without --model, the tiles choose an embedding that needs no labels and no training: a
    pre-trained network for 8-bit RGB, if there is one on this machine; otherwise random
    convolutional features and band statistics, fitted to the tiles. A notice says which and why.

    Example:
        rsretrieve index tiles --output index
        rsretrieve index scene.tif --window 64 --stride 32 --output index
        rsretrieve index tiles --model models/mine --output index
        rsretrieve index tiles --model models/mine --output index --update
        rsretrieve index --verify --output index
    """
    arguments = IndexArguments(
        tiles, model, weights, backbone, from_embeddings, update, verify, repair, export
    )
    goal_options = (faiss_key, recall, memory, append_only or None)
    check_arguments(arguments, chooses=any(option is not None for option in goal_options))
    goal = goal_of_options(faiss_key, recall, memory, append_only=append_only)
    only_exports = export is not None and tiles is None and from_embeddings is None
    written = {} if verify or only_exports else {"--output": output}
    tiles = tiles or None
    read = {**options.inputs_of("TILES", tiles), "--labels": labels, "--model": model}
    read["--weights"] = weights_file(weights)
    paths = OutputPaths(
        {"--export": export},
        written,
        {
            **read,
            "--from-embeddings": from_embeddings,
            **({"--output": output} if not written else {}),
        },
        overwrite,
    )
    with Terminal(as_json=as_json, quiet=quiet, after_interrupt=_KEPT) as terminal:
        paths.check()
        terminal.leave_output_to(paths.on_standard_output)
        check_device(device)
        upkeep = Upkeep(output, model, device, overwrite=overwrite, strict=strict)
        if verify:
            raise typer.Exit(verify_index(upkeep, terminal))
        if repair:
            raise typer.Exit(repair_index(upkeep, terminal))
        if export is not None and only_exports:
            raise typer.Exit(export_index(upkeep, export, terminal))
        request = DefaultRequest(weights, backbone, seed)
        work = _Work(upkeep, tiles, labels, scenes, goal, update, paths, request)
        if from_embeddings:
            code = _index_embeddings(work, from_embeddings, terminal)
        else:
            code = _index_tiles(work, terminal)
        if export is not None:
            export_index(upkeep, export, terminal, shown=False)
        raise typer.Exit(code)


@dataclass(frozen=True)
class _Work:
    """The inputs of an index, and the options for building it."""

    upkeep: Upkeep
    tiles: list[str] | None
    labels: Path | None
    scenes: SceneChoices
    goal: IndexGoal | None
    update: bool
    paths: OutputPaths
    request: DefaultRequest


def _index_tiles(work: _Work, terminal: Terminal) -> int:
    """Index tiles with a model."""
    check_tiles(work.tiles)
    check_model(work.upkeep.model)
    check_training(work.request.backbone, work.request.weights)
    check_labels_file(work.labels)
    check_faiss_key(work.upkeep.model, work.goal)
    from rsretrieve._core.paths import unchecked_notices
    from rsretrieve.cli.io.result_tables import indexing_summary
    from rsretrieve.data.discovery.find_tiles import find_tiles
    from rsretrieve.data.run_context import RunContext
    from rsretrieve.export.results import indexing_json
    from rsretrieve.index.build import index_tiles

    upkeep = work.upkeep
    if work.tiles is None:
        raise typer.BadParameter("TILES are required")
    context = RunContext(strict=upkeep.strict, listener=terminal.listen)
    found = find_tiles(work.tiles, work.labels, work.scenes, context)
    work.paths.check_tiles(lambda: (tile.path for tile in found))
    terminal.notice(*found.notices)
    if work.update:
        terminal.notice(*unchecked_notices(tile.location for tile in found))
    with model_for_index(upkeep, found, work.request, context, update=work.update) as model:
        summary = index_tiles(
            model,
            found,
            upkeep.index,
            context,
            goal=work.goal,
            overwrite=upkeep.overwrite,
            update=work.update,
            store_model=upkeep.model is None and not work.update,
        )
    terminal.notice(*context.notices)
    terminal.result(indexing_json(summary), indexing_summary(summary))
    return terminal.failures(context.failures)


def _index_embeddings(work: _Work, source: Path, terminal: Terminal) -> int:
    """Index embeddings from elsewhere."""
    from rsretrieve.cli.io.result_tables import indexing_summary
    from rsretrieve.data.discovery.find_tiles import find_tiles
    from rsretrieve.data.run_context import RunContext
    from rsretrieve.errors import InvalidArgument
    from rsretrieve.export.results import indexing_json
    from rsretrieve.index.build_from_embeddings import index_embeddings
    from rsretrieve.index.write import IndexBuildOptions

    upkeep = work.upkeep
    if work.tiles is None and work.labels is not None:
        raise typer.BadParameter("--labels applies to TILES, which are missing")
    folders = [name for name in work.tiles or () if Path(name).is_dir()]
    if folders:
        raise InvalidArgument(
            f"{folders[0]} is a folder; its tiles have no order to match the rows of {source.name}",
            hint="give a list (CSV or Parquet, column tile) in the order of the embeddings",
        )
    check_embeddings(source)
    check_tiles(work.tiles)
    check_labels_file(work.labels)
    listing = None if work.tiles is None else find_tiles(work.tiles, work.labels)
    work.paths.check_tiles(lambda: (tile.path for tile in listing or ()))
    terminal.notice(*(listing.notices if listing else ()))
    context = RunContext(strict=upkeep.strict, listener=terminal.listen)
    build = IndexBuildOptions(upkeep.index, work.goal, upkeep.gpu(), overwrite=upkeep.overwrite)
    summary = index_embeddings(source, listing, build, context)
    terminal.notice(*context.notices)
    terminal.result(indexing_json(summary), indexing_summary(summary))
    return terminal.failures(context.failures)
