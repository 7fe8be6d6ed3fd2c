"""`rsretrieve index`."""

from __future__ import annotations

from dataclasses import dataclass
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
from rsretrieve.cli.index_options import Asked, goal_of_options, refuse_nonsense
from rsretrieve.cli.scene_options import takes_scenes
from rsretrieve.cli.terminal import Terminal
from rsretrieve.data.windowing import SceneChoices
from rsretrieve.export.output_paths import OutputPaths

if TYPE_CHECKING:
    from rsretrieve.index.vectors.choose_kind import IndexGoal

_KEPT = "what was embedded is kept: the same command goes on where it stopped"


@takes_scenes
def index(
    output: Annotated[Path, typer.Option(metavar="DIR", help="The index folder.")],
    tiles: Annotated[
        str | None,
        typer.Argument(
            metavar="TILES",
            help="As in other commands. Not needed by --verify, --repair and --export.",
        ),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="The model folder, made by train. \\[default of --verify and --repair: where the "
            "index's model lay]",
        ),
    ] = None,
    faiss_key: Annotated[
        str | None,
        typer.Option(
            "--index",
            metavar="KEY",
            help="auto (chosen by the number of tiles, --recall and --memory), or a FAISS key "
            "such as Flat, IVF256,Flat or HNSW32. \\[default: auto; of --update, what it is]",
        ),
    ] = None,
    recall: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="The share of the true 10 nearest that a search should find; 1 is exact search. "
            "Search is set so that it does, by measurement. \\[default: 0.95]",
        ),
    ] = None,
    memory: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE",
            help="What the index may take in memory, such as 500MB or 2GB. \\[default: half of "
            "what is free]",
        ),
    ] = None,
    append_only: Annotated[
        bool,
        typer.Option(
            "--append-only", help="Nothing will be removed: auto may choose a graph (HNSW)."
        ),
    ] = False,
    from_embeddings: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Index vectors made elsewhere: Parquet (id, embedding, optionally label, path, "
            "geometry), or .npy, whose rows are TILES (a list), or are numbered.",
        ),
    ] = None,
    update: Annotated[
        bool,
        typer.Option(
            "--update",
            help="Bring the index up to date: embed new and changed tiles (by size and time of "
            "change, then by content), drop vanished ones, try again what could not be read, and "
            "read nothing else.",
        ),
    ] = False,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify",
            help="Check every count and checksum of the index, and embed a sample of its tiles "
            "again. Exit code 1 where something is wrong.",
        ),
    ] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Mend what --verify finds wrong, as far as it goes.")
    ] = False,
    export: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.parquet",
            help="Write the embeddings with footprints and the model's provenance as GeoParquet.",
        ),
    ] = None,
    labels: options.Labels = None,
    device: options.Device = "auto",
    overwrite: options.Overwrite = False,
    strict: options.Strict = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    scenes: SceneChoices = SceneChoices(),
) -> None:
    """Embed tiles and build an index in which a scene finds its like.

    An interrupted run goes on where it stopped when the same command is given again.
    """
    asked = Asked(tiles, model, from_embeddings, update, verify, repair, export)
    goal_options = (faiss_key, recall, memory, append_only or None)
    refuse_nonsense(asked, chooses=any(option is not None for option in goal_options))
    goal = goal_of_options(faiss_key, recall, memory, append_only=append_only)
    only_exports = export is not None and tiles is None and from_embeddings is None
    written = {} if verify or only_exports else {"--output": output}
    read = {"TILES": tiles, "--labels": labels, "--model": model}
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
        upkeep = Upkeep(output, model, device, overwrite=overwrite, strict=strict)
        if verify:
            raise typer.Exit(verify_index(upkeep, terminal))
        if repair:
            raise typer.Exit(repair_index(upkeep, terminal))
        if export is not None and only_exports:
            raise typer.Exit(export_index(upkeep, export, terminal))
        work = _Work(upkeep, tiles, labels, scenes, goal, update, paths)
        code = (
            _foreign(work, from_embeddings, terminal) if from_embeddings else _own(work, terminal)
        )
        if export is not None:
            export_index(upkeep, export, terminal, shown=False)
        raise typer.Exit(code)


@dataclass(frozen=True)
class _Work:
    """What an index is made of."""

    upkeep: Upkeep
    tiles: str | None
    labels: Path | None
    scenes: SceneChoices
    goal: IndexGoal | None
    update: bool
    paths: OutputPaths


def _own(work: _Work, terminal: Terminal) -> int:
    """Index tiles with a model."""
    from rsretrieve._core.paths import unchecked_notices
    from rsretrieve.cli.io.render import indexing_summary
    from rsretrieve.data.discovery.find_tiles import find_tiles
    from rsretrieve.data.run_context import RunContext
    from rsretrieve.export.results import indexing_json
    from rsretrieve.index.build import index_tiles
    from rsretrieve.network.device import choose_device
    from rsretrieve.network.model_folder import load_model

    upkeep = work.upkeep
    if work.tiles is None or upkeep.model is None:
        raise typer.BadParameter("TILES and --model are needed")
    context = RunContext(strict=upkeep.strict, listener=terminal.listen)
    found = find_tiles(work.tiles, work.labels, work.scenes, context)
    work.paths.check_tiles(lambda: (tile.path for tile in found))
    terminal.notice(*found.notices)
    if work.update:
        terminal.notice(*unchecked_notices(tile.path for tile in found))
    summary = index_tiles(
        load_model(upkeep.model, choose_device(upkeep.device), context),
        found,
        upkeep.index,
        context,
        goal=work.goal,
        overwrite=upkeep.overwrite,
        update=work.update,
    )
    terminal.notice(*context.notices)
    terminal.result(indexing_json(summary), indexing_summary(summary))
    return terminal.failures(context.failures)


def _foreign(work: _Work, source: Path, terminal: Terminal) -> int:
    """Index embeddings that were made elsewhere."""
    from rsretrieve.cli.io.render import indexing_summary
    from rsretrieve.data.discovery.find_tiles import find_tiles
    from rsretrieve.data.run_context import RunContext
    from rsretrieve.errors import InvalidArgument
    from rsretrieve.export.results import indexing_json
    from rsretrieve.index.build_from_embeddings import index_embeddings
    from rsretrieve.index.write import Filing

    upkeep = work.upkeep
    if work.tiles is None and work.labels is not None:
        raise typer.BadParameter("--labels are of TILES, and there are none")
    if work.tiles is not None and Path(work.tiles).is_dir():
        raise InvalidArgument(
            f"{work.tiles} is a folder, whose tiles have no order that the rows could follow",
            hint="give a list (CSV or Parquet: tile), row i of which is row i of the .npy",
        )
    listing = None if work.tiles is None else find_tiles(work.tiles, work.labels)
    work.paths.check_tiles(lambda: (tile.path for tile in listing or ()))
    terminal.notice(*(listing.notices if listing else ()))
    context = RunContext(strict=upkeep.strict, listener=terminal.listen)
    filing = Filing(upkeep.index, work.goal, upkeep.gpu(), overwrite=upkeep.overwrite)
    summary = index_embeddings(source, listing, filing, context)
    terminal.result(indexing_json(summary), indexing_summary(summary))
    return terminal.failures(context.failures)
