"""`rsretrieve index`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rsretrieve.cli import options
from rsretrieve.cli.scenes import takes_scenes
from rsretrieve.cli.terminal import Terminal
from rsretrieve.tiles.windows import SceneChoices


@takes_scenes
def index(
    tiles: options.Tiles,
    model: options.Model,
    output: Annotated[Path, typer.Option(metavar="DIR", help="The index folder to write.")],
    faiss_key: Annotated[
        str,
        typer.Option(
            "--index",
            metavar="KEY",
            help="auto (exact search), or a FAISS key such as IVF256,Flat or HNSW32.",
        ),
    ] = "auto",
    update: Annotated[
        bool,
        typer.Option(
            "--update",
            help="Bring the index up to date: embed new and changed tiles (by size and time of "
            "change), drop vanished ones, keep all else.",
        ),
    ] = False,
    labels: options.Labels = None,
    device: options.Device = "auto",
    overwrite: options.Overwrite = False,
    strict: options.Strict = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    scenes: SceneChoices = SceneChoices(),
) -> None:
    """Embed tiles and build an index in which a scene finds its like."""
    with Terminal(as_json=as_json, quiet=quiet) as terminal:
        from rsretrieve.cli.render import indexing_summary
        from rsretrieve.learning.device import choose_device
        from rsretrieve.learning.model_store import load_model
        from rsretrieve.report.records import indexing_json
        from rsretrieve.retrieval.indexing import index_tiles
        from rsretrieve.tiles.catalog import find_tiles
        from rsretrieve.tiles.sources import unchecked_notices
        from rsretrieve.tiles.stream import FailureLog

        log = FailureLog(strict=strict)
        found = find_tiles(tiles, labels, scenes, log)
        terminal.notice(*found.notices)
        if update:
            terminal.notice(*unchecked_notices(tile.path for tile in found))
        summary = index_tiles(
            load_model(model, choose_device(device)),
            found,
            output,
            log,
            terminal.listen,
            faiss_key=faiss_key,
            overwrite=overwrite,
            update=update,
        )
        terminal.notice(*log.notices)
        terminal.result(indexing_json(summary), indexing_summary(summary))
        raise typer.Exit(terminal.failures(log.failures))
