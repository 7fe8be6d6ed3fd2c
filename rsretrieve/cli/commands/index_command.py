"""`rsretrieve index`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from rsretrieve.cli import cluster_arguments, options
from rsretrieve.cli.commands.upkeep.index_upkeep_command import (
    Exports,
    Upkeep,
    export_index,
    repair_index,
    verify_index,
)
from rsretrieve.cli.early_checks import check_device, find_model
from rsretrieve.cli.index_options import (
    ExternalOptions,
    IndexArguments,
    check_arguments,
    goal_of_options,
)
from rsretrieve.cli.io.default_model import DefaultRequest, weights_file
from rsretrieve.cli.runs.index_run import IndexRun, record_run, run_with_embeddings, run_with_tiles
from rsretrieve.cli.scene_options import given_tile_options, takes_scenes
from rsretrieve.cli.terminal import Terminal
from rsretrieve.data.windowing import SceneChoices
from rsretrieve.enums import Engine
from rsretrieve.export.output_paths import OutputPaths

_KEPT = "embedded tiles are kept; to continue, repeat the command"
_type = partial(typer.Option, rich_help_panel="Index type")
_external = partial(typer.Option, rich_help_panel="Embeddings from elsewhere")
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
            metavar="DIR|NAME",
            help="Model folder, written by rsretrieve train; or a model of `rsretrieve models`, "
            "which is stored in the index. A folder comes first. \\[default: an embedding that "
            "needs no training, chosen by the tiles and stored in the index; with --update, "
            "--verify and --repair: the model of the index]",
        ),
    ] = None,
    weights: options.FrozenWeights = None,
    backbone: options.FrozenBackbone = None,
    from_embeddings: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Instead of --model: embeddings from elsewhere. Parquet or CSV (a column of ids; "
            "vectors as a column of lists, or a column a dimension; optionally label, path, and "
            "geometry or longitude and latitude), .npy, whose row i is tile i of the list TILES "
            "(without TILES, rows are numbered), or a GeoTIFF with a band a dimension, whose "
            "pixels are tiles (with --window, the mean of each window is one).",
        ),
    ] = None,
    id_column: Annotated[
        str | None,
        _external(
            metavar="NAME",
            help="Column of ids. \\[default: id, tile, unique_id, tile_id, chip_id, system:index "
            "or index; rows are numbered if there is none]",
        ),
    ] = None,
    vector_column: Annotated[
        str | None,
        _external(
            metavar="NAME",
            help="Column of lists, or what the names of numbered columns begin with (A for A00, "
            "A01 …). \\[default: embedding, vector or embeddings; the only column of lists; "
            "A00 …, embedding_0 …]",
        ),
    ] = None,
    dims: Annotated[
        int | None,
        _external(
            metavar="D",
            help="Keep only the first D dimensions. Right only for models that were trained for it "
            "(Matryoshka). \\[default: all]",
        ),
    ] = None,
    changes_only: Annotated[
        bool,
        _external(
            "--changes-only",
            help="With --update: the file names only tiles that changed, and a row without a "
            "vector removes its tile. Without it, tiles that the file does not name are removed.",
        ),
    ] = False,
    faiss_key: Annotated[
        str | None,
        _type(
            "--index",
            metavar="KEY",
            help="auto (chosen by the number of tiles, --recall and --memory), or a FAISS key "
            "such as Flat, IVF256,Flat or HNSW32. With --update, it is trained again. "
            "\\[default: auto; with --update: unchanged]",
        ),
    ] = None,
    recall: Annotated[
        float | None,
        _type(
            metavar="SHARE",
            help="Share of the true 10 nearest neighbours that a search must find; 1 is exact. "
            "Search parameters are set by measuring it. \\[default: 0.95; with --update: "
            "unchanged]",
        ),
    ] = None,
    memory: Annotated[
        str | None,
        _type(
            metavar="SIZE",
            help="Memory limit of the index, such as 500MB or 2GB. \\[default: half of the free "
            "memory; with --update: unchanged]",
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
            "Changes are found by size and modification time, then by content. With "
            "--from-embeddings: add, replace and remove tiles by their ids.",
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
    gpkg: Annotated[
        Path | None,
        _existing(
            metavar="FILE.gpkg",
            help="Write footprints, ids and labels as GeoPackage, or as FlatGeobuf (.fgb), for "
            "programs that do not read Parquet. It holds no embeddings.",
        ),
    ] = None,
    stac: Annotated[
        Path | None,
        _existing(
            metavar="FILE.json",
            help="With --export: write a STAC collection that describes the GeoParquet file.",
        ),
    ] = None,
    engine: cluster_arguments.EngineOption = Engine.LOCAL,
    address: cluster_arguments.Address = None,
    shards: cluster_arguments.Shards = None,
    workers: cluster_arguments.Workers = None,
    shard_folder: cluster_arguments.ShardFolder = None,
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

    Without --model, the tiles choose an embedding that needs no labels and no training: for 8-bit
    RGB the model default of rsretrieve models; otherwise random convolutional features and band
    statistics. It is fitted to the tiles and stored in the index. A notice says which and why.

    Example:
        rsretrieve index tiles --output index
        rsretrieve index scene.tif --window 64 --stride 32 --output index
        rsretrieve index tiles --model models/mine --output index
        rsretrieve index tiles --model models/mine --output index --update
        rsretrieve index --verify --output index
    """
    model = (named := find_model(model)).folder
    external = ExternalOptions(id_column, vector_column, dims, changes_only)
    arguments = IndexArguments(
        *(tiles, model, weights, backbone, from_embeddings, update, verify, repair),
        *(export or gpkg, external, given_tile_options(labels, scenes), overwrite),
    )
    goal_options = (faiss_key, recall, memory, append_only or None)
    check_arguments(arguments, chooses=any(option is not None for option in goal_options))
    updated = output if update else None
    goal = goal_of_options(faiss_key, recall, memory, append_only=append_only, updated=updated)
    exports = Exports(export, gpkg, stac)
    only_exports = exports.any and tiles is None and from_embeddings is None
    written = {} if verify or only_exports else {"--output": output}
    tiles = tiles or None
    read = {**options.inputs_of("TILES", tiles), "--labels": labels, "--model": model}
    read["--weights"] = weights_file(weights)
    if update or repair:  # they keep the options that the index was made with
        read["--config"] = None
    paths = OutputPaths(
        exports.files,
        written,
        {
            **read,
            "--from-embeddings": from_embeddings,
            **({"--output": output} if not written else {}),
        },
        overwrite,
        {"--shard-folder": shard_folder},
    )
    with Terminal(
        as_json=as_json, quiet=quiet, notices=named.notices, after_interrupt=_KEPT
    ) as terminal:
        exports.check()
        paths.check()
        terminal.leave_output_to(paths.on_standard_output)
        check_device(device)
        cluster = cluster_arguments.cluster_of_options(
            engine,
            device,
            (address, shards, workers, shard_folder),
            embeds=tiles is not None and from_embeddings is None,
        )
        upkeep = Upkeep(output, model, device, overwrite=overwrite, strict=strict)
        if verify:
            raise typer.Exit(verify_index(upkeep, terminal))
        if repair:
            raise typer.Exit(repair_index(upkeep, terminal))
        if only_exports:
            raise typer.Exit(export_index(upkeep, exports, terminal))
        request = DefaultRequest(weights, backbone, seed)
        stores_model = not update and (model is None or named.is_shipped)
        work = IndexRun(
            *(upkeep, tiles, labels, scenes, goal, update, paths, request, external),
            stores_model=stores_model,
            cluster=cluster,
        )
        if from_embeddings:
            code = run_with_embeddings(work, from_embeddings, terminal)
        else:
            code = run_with_tiles(work, terminal)
        record_run(work)
        if exports.any:
            export_index(upkeep, exports, terminal, shown=False)
        raise typer.Exit(code)
