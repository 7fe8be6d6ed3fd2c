"""Build an index of long lists of tiles. No list of all tiles is kept in memory."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from rsretrieve._core.atomic_write import refuse_to_overwrite
from rsretrieve._core.folders.known_folders import INDEX_FOLDER
from rsretrieve._core.locks import only_writer
from rsretrieve.data.file_state import FileStates
from rsretrieve.data.geo.window_places import PLACES_VERSION
from rsretrieve.data.profile.measure_scale import measure_scale
from rsretrieve.data.run_context import RunContext
from rsretrieve.index.cluster.cluster_options import ClusterOptions
from rsretrieve.index.cluster.embed_on_cluster import (
    ClusterEmbeddings,
    ListedParts,
    embed_on_cluster,
)
from rsretrieve.index.cluster.run_files import remove_own_shards
from rsretrieve.index.common_packing import packing_of_tiles
from rsretrieve.index.compatibility import scale_warnings
from rsretrieve.index.embed_tiles import no_usable_tiles
from rsretrieve.index.journal import Journal
from rsretrieve.index.long_list import LongList
from rsretrieve.index.reuse import IndexRun
from rsretrieve.index.store.folder import IndexContent
from rsretrieve.index.store.manifest import STORED_MODEL
from rsretrieve.index.vectors.choose_kind import AUTO, IndexGoal
from rsretrieve.index.vectors.faiss_loader import usable_gpu
from rsretrieve.index.vectors.key_checks import check_key
from rsretrieve.index.write import (
    BuildResult,
    IndexBuildOptions,
    IndexingSummary,
    write_index,
)
from rsretrieve.network.model import Model

LOCAL_PART_ROWS = 16_384
"""Tiles of a part that this process embeds: if it is interrupted, one part is embedded again."""
_MEASURED_TILES = 1_000


def index_long_list(
    model: Model,
    listed: LongList,
    folder: Path,
    context: RunContext,
    cluster: ClusterOptions | None,
    *,
    goal: IndexGoal | None = None,
    overwrite: bool = False,
    store_model: bool = False,
) -> IndexingSummary:
    """Embed the tiles of long lists, part by part, and write a new index folder.

    Parts that an interrupted run embedded are reused: tiles whose files have not changed since are
    not read again.

    Args:
        model: see `index_tiles`.
        listed: the lists.
        folder: the index folder.
        context: see `index_tiles`.
        cluster: where the tiles are embedded; None: in this process.
        goal: see `index_tiles`.
        overwrite: replace an existing index.
        store_model: see `index_tiles`.

    Returns:
        See `index_tiles`.

    Raises:
        OutputExists, OutputBusy, InvalidArgument, NoUsableTiles, TileError: see `index_tiles`.
        MissingPackage, InputError: Ray is not installed, or its cluster cannot be used.
    """
    started = time.perf_counter()
    refuse_to_overwrite(folder, overwrite=overwrite, kind=INDEX_FOLDER)
    if goal is not None and goal.key != AUTO:
        check_key(goal.key, model.description.dimensions, listed.count)
    with only_writer(folder, INDEX_FOLDER):
        run = _run(model, listed, folder, context)
        context.class_sizes.update(listed.class_sizes)
        rows = LOCAL_PART_ROWS if cluster is None else cluster.rows_a_shard(listed.count)
        sets = listed.sets(rows)
        found = embed_on_cluster(run, ListedParts(listed.count, sets), folder, cluster)
        if not len(found.rows):
            raise no_usable_tiles(listed.sample, context)
        content = _content(run, found, store_model=store_model)
        gpu = usable_gpu(str(model.device))
        options = IndexBuildOptions(folder, goal, gpu, None, overwrite, found.fill)
        result = write_index(content, options, context)
        run.journal.discard()
        remove_own_shards(folder)
    summary = _summary(found, result, len(context.failures))
    return replace(summary, index=str(folder), seconds=time.perf_counter() - started)


def _run(model: Model, listed: LongList, folder: Path, context: RunContext) -> IndexRun:
    packing = packing_of_tiles(model, listed.sample, context)
    description = model.description
    journal = Journal(folder, description.fingerprint, description.dimensions)
    return IndexRun(model, listed.sample, context, journal, FileStates([]), packing)


def _content(run: IndexRun, found: ClusterEmbeddings, *, store_model: bool) -> IndexContent:
    apart = -(-len(found.rows) // _MEASURED_TILES)
    some = [found.rows[i] for i in range(0, len(found.rows), apart)]
    tiles = replace(run.tiles, tiles=tuple(row.tile for row in some))
    scale = measure_scale(tiles, [row.place for row in some])
    for text in scale_warnings(run.model.description, scale):
        run.context.notice(text)
    facts = {
        "model": STORED_MODEL if store_model else str(run.model.folder.resolve()),
        "model_fingerprint": run.model.description.fingerprint,
        "windows": {},
        "packing": {} if run.packing is None else run.packing.to_json(),
        "tile_scale": scale.to_json(),
        "places": PLACES_VERSION,
    }
    kept = run.model.folder if store_model else None
    return IndexContent(found.rows, found.vectors, facts, found.skipped, kept)


def _summary(found: ClusterEmbeddings, result: BuildResult, failed: int) -> IndexingSummary:
    count = len(found.rows)
    return IndexingSummary(
        index="",
        tiles=count,
        added=count,
        removed=0,
        unchanged=0,
        failed=failed,
        faiss_key=result.faiss_key,
        recall_at_10=result.recall_at_10,
        seconds=0.0,
        tiles_per_second=found.embedded / found.seconds,
        device=found.device,
        resumed=count - found.embedded,
        predicted_bytes=result.predicted_bytes,
        search=result.search,
    )
