"""What `rsretrieve index` runs: with tiles and a model, or with embeddings from elsewhere."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from rsretrieve.cli.commands.upkeep.index_upkeep_command import Upkeep
from rsretrieve.cli.early_checks import (
    check_embeddings,
    check_faiss_key,
    check_frozen,
    check_labels_file,
    check_model,
    check_tiles,
)
from rsretrieve.cli.given_command import record_config
from rsretrieve.cli.index_options import ExternalOptions
from rsretrieve.cli.io.default_model import DefaultRequest, model_for_index
from rsretrieve.cli.scene_options import given_tile_options
from rsretrieve.cli.terminal import Terminal
from rsretrieve.data.windowing import SceneChoices
from rsretrieve.export.output_paths import OutputPaths

if TYPE_CHECKING:
    from rsretrieve.data.run_context import RunContext
    from rsretrieve.index.cluster.cluster_options import ClusterOptions
    from rsretrieve.index.external.listed_rows import Listing
    from rsretrieve.index.long_list import LongList
    from rsretrieve.index.vectors.choose_kind import IndexGoal
    from rsretrieve.index.write import IndexingSummary


@dataclass(frozen=True)
class IndexRun:
    """The inputs of an index, and the options for building it."""

    upkeep: Upkeep
    tiles: list[str] | None
    labels: Path | None
    scenes: SceneChoices
    goal: IndexGoal | None
    update: bool
    paths: OutputPaths
    request: DefaultRequest
    external: ExternalOptions
    stores_model: bool
    cluster: ClusterOptions | None = None


def run_with_tiles(work: IndexRun, terminal: Terminal) -> int:
    """Index tiles with a model."""
    started = time.perf_counter()
    check_tiles(work.tiles)
    check_model(work.upkeep.model)
    check_frozen(work.request.backbone, work.request.weights)
    check_labels_file(work.labels)
    check_faiss_key(work.upkeep.model, work.goal)
    from rsretrieve._core.paths import unchecked_notices
    from rsretrieve.data.discovery.find_tiles import find_tiles
    from rsretrieve.data.run_context import RunContext
    from rsretrieve.index.build import index_tiles

    upkeep = work.upkeep
    if work.tiles is None:
        raise typer.BadParameter("TILES are required")
    context = RunContext(strict=upkeep.strict, listener=terminal.listen)
    if (listed := _long_list(work, context, terminal)) is not None:
        summary = _with_long_list(work, listed, context)
        return _report(summary, started, context, terminal)
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
            store_model=work.stores_model,
            cluster=work.cluster,
        )
    return _report(summary, started, context, terminal)


def _long_list(work: IndexRun, context: RunContext, terminal: Terminal) -> LongList | None:
    """The tiles, if they are long lists of which a new index is made as it is."""
    from rsretrieve.index.long_list import REPEATED, is_long_list, long_list

    is_plain = work.labels is None and work.scenes == SceneChoices() and not work.update
    if not is_plain or not is_long_list(work.tiles or ()):
        return None
    context.start_stage("reading the list")
    listed = long_list(work.tiles or (), refuse_repeated=work.cluster is not None)
    terminal.notice(*([REPEATED] if listed is None else listed.sample.notices))
    return listed


def _with_long_list(work: IndexRun, listed: LongList, context: RunContext) -> IndexingSummary:
    """Index lists that are too long to be kept in memory."""
    from rsretrieve.index.build_from_list import index_long_list

    upkeep = work.upkeep
    work.paths.check_tiles(listed.paths)
    with model_for_index(upkeep, listed.sample, work.request, context, update=False) as model:
        return index_long_list(
            model,
            listed,
            upkeep.index,
            context,
            work.cluster,
            goal=work.goal,
            overwrite=upkeep.overwrite,
            store_model=work.stores_model,
        )


def run_with_embeddings(work: IndexRun, source: Path, terminal: Terminal) -> int:
    """Index embeddings from elsewhere."""
    started = time.perf_counter()
    from rsretrieve.data.discovery.find_tiles import find_tiles
    from rsretrieve.data.run_context import RunContext
    from rsretrieve.errors import InvalidArgument
    from rsretrieve.index.build_from_embeddings import EmbeddingUpdate, index_embeddings
    from rsretrieve.index.external.choices import EmbeddingChoices
    from rsretrieve.index.long_list import LongList
    from rsretrieve.index.write import IndexBuildOptions

    upkeep = work.upkeep
    of_list = replace(work.scenes, windows=None)  # windows are those of a raster of embeddings
    for_tiles = given_tile_options(work.labels, of_list)
    if work.tiles is None and for_tiles:
        raise typer.BadParameter(f"{for_tiles[0]} applies to TILES, which are missing")
    folders = [name for name in work.tiles or () if Path(name).is_dir()]
    if folders:
        raise InvalidArgument(
            f"{folders[0]} is a folder; its tiles have no order to match the rows of {source.name}",
            hint="give a list (CSV or Parquet, column tile) in the order of the embeddings",
        )
    chosen = work.external
    choices = EmbeddingChoices(
        chosen.id_column, chosen.vector_column, chosen.dims, work.scenes.windows
    )
    check_embeddings(source, rasters=True)
    check_tiles(work.tiles)
    check_labels_file(work.labels)
    context = RunContext(strict=upkeep.strict, listener=terminal.listen)
    listing: Listing | None = _long_list(work, context, terminal)
    if isinstance(listing, LongList):
        work.paths.check_tiles(listing.paths)
    elif work.tiles is not None:
        listing = found = find_tiles(work.tiles, work.labels, of_list, context)
        work.paths.check_tiles(lambda: (tile.path for tile in found))
        terminal.notice(*found.notices)
    build = IndexBuildOptions(upkeep.index, work.goal, upkeep.gpu(), overwrite=upkeep.overwrite)
    update = EmbeddingUpdate(chosen.changes_only) if work.update else None
    summary = index_embeddings(source, listing, build, context, choices, update)
    return _report(summary, started, context, terminal)


def record_run(work: IndexRun) -> None:
    """Write `config.toml`: the options that make this index anew.

    An update keeps the model and the goal of the index, so they are written in place of options
    that were not typed. An index that --changes-only changed has no such file: no file of
    embeddings names all of its tiles.
    """
    folder, model = work.upkeep.index, work.upkeep.model
    if not work.update:
        record_config(folder)
    elif not work.external.changes_only:
        from rsretrieve.index.store.kept_goal import goal_from_manifest
        from rsretrieve.index.store.manifest import read_manifest

        manifest = read_manifest(folder)
        kept = goal_from_manifest(manifest).options()
        kept["faiss_key"] = kept.pop("index")
        if model is None:
            kept["model"] = manifest.model_path(folder)
        record_config(folder, update=False, **kept)


def _report(
    summary: IndexingSummary, started: float, context: RunContext, terminal: Terminal
) -> int:
    """Print notices, result and failures; returns the exit code.

    The seconds are those since `started`: finding tiles, and choosing and fitting the embedding
    count, too.
    """
    from rsretrieve.cli.io.result_tables import indexing_summary
    from rsretrieve.export.results import indexing_json

    summary = replace(summary, seconds=time.perf_counter() - started)
    terminal.notice(*context.notices)
    terminal.result(indexing_json(summary), indexing_summary(summary))
    return terminal.failures(context.failures)
