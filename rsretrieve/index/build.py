"""Build or update an index folder from tiles and a model."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rsretrieve._core.atomic_write import refuse_to_overwrite, resolved
from rsretrieve._core.folders.known_folders import INDEX_FOLDER
from rsretrieve._core.locks import only_writer
from rsretrieve.data.file_state import FileStates
from rsretrieve.data.geo.place import Place
from rsretrieve.data.geo.window_places import PLACES_VERSION
from rsretrieve.data.profile.measure_scale import measure_scale
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.index.cluster.cluster_options import ClusterOptions
from rsretrieve.index.cluster.run_files import remove_own_shards
from rsretrieve.index.common_packing import (
    packing_of_manifest,
    packing_of_tiles,
    packing_of_update,
)
from rsretrieve.index.compatibility import require_same_model, scale_warnings
from rsretrieve.index.embed_tiles import embed_readable_tiles, no_usable_tiles
from rsretrieve.index.journal import Journal
from rsretrieve.index.places_again import renew_places
from rsretrieve.index.reuse import (
    IndexRun,
    ReusableTiles,
    find_reusable,
    require_most_tiles,
    windows_json,
)
from rsretrieve.index.store.folder import IndexContent, IndexStore, open_index
from rsretrieve.index.store.manifest import STORED_MODEL, Manifest
from rsretrieve.index.store.tile_table import IndexedTile
from rsretrieve.index.vectors.choose_kind import AUTO, IndexGoal
from rsretrieve.index.vectors.faiss_loader import usable_gpu
from rsretrieve.index.vectors.key_checks import check_key
from rsretrieve.index.write import (
    BuildResult,
    IndexBuildOptions,
    IndexingSummary,
    PreviousIndex,
    write_index,
)
from rsretrieve.network.device import describe_device
from rsretrieve.network.model import Model

_MEASURED_TILES = 1000


@dataclass(frozen=True)
class _NewRows:
    """The tiles that this run embedded.

    Attributes:
        rows: N tiles.
        vectors: (N, D) float32, unit rows.
        skipped: the windows that the user's choices exclude.
        embedded: how many of the rows were embedded now, and not by an interrupted run.
        seconds: duration of the embedding.
        device: what computed.
    """

    rows: list[IndexedTile]
    vectors: NDArray[np.float32]
    skipped: list[IndexedTile]
    embedded: int
    seconds: float
    device: str


def index_tiles(
    model: Model,
    tiles: TileSet,
    folder: Path,
    context: RunContext,
    *,
    goal: IndexGoal | None = None,
    overwrite: bool = False,
    update: bool = False,
    store_model: bool = False,
    cluster: ClusterOptions | None = None,
    repaired: Manifest | None = None,
) -> IndexingSummary:
    """Embed tiles and write an index folder.

    Embeddings of an interrupted run are reused: tiles whose files have not changed since are not
    read again.

    Args:
        model: embeds the tiles; queries need the same model.
        tiles: the tiles to index.
        folder: the index folder.
        context: receives the tiles that cannot be read, notices and progress.
        goal: the kind of index wanted; None for `IndexGoal()`, or in an update for the goal of
            the existing index. An update with a goal trains the index again.
        overwrite: replace an existing index; in an update, even if most of its tiles are gone.
        update: keep the vectors of tiles whose files have not changed (same path, size and
            times and inode, or else same content; sidecars count), embed the others, and remove
            tiles that are not among `tiles`.
        store_model: copy the model into the index folder. A model that lies there already stays
            there.
        cluster: embed on a Ray cluster; None: in this process.
        repaired: the manifest of the index whose vectors are lost: its kind, its goal, and the
            scale and offset of its tiles stay. None: a new index, or an update.

    Returns:
        Counts, the kind of index, the measured recall and timings.

    Raises:
        OutputExists: the folder exists, and neither `overwrite` nor `update` is set.
        OutputBusy: another run is writing this index.
        InvalidArgument: FAISS cannot build an index of this kind from these tiles, or an update
            would remove most tiles.
        NoUsableTiles: no tile can be used.
        TileError: a tile cannot be read, and the context is strict.
        ModelMismatch: `update` with another model than the index was built with.
        MissingPackage, InputError: Ray is not installed, or its cluster cannot be used.
    """
    started = time.perf_counter()
    refuse_to_overwrite(folder, overwrite=overwrite or update, kind=INDEX_FOLDER)
    key = repaired.faiss_key if repaired is not None else goal.key if goal is not None else AUTO
    if key != AUTO:
        most = None if tiles.unseen else len(tiles)  # tiles that cannot be listed now may stay
        check_key(key, model.description.dimensions, most)
    with only_writer(folder, INDEX_FOLDER):
        store = open_index(folder) if update else None
        run = _run(model, tiles, folder, store or repaired, context)
        reusable = find_reusable(run, store)
        if store is not None and not overwrite:
            require_most_tiles(run, store, reusable)
        placed = PLACES_VERSION if store is None else renew_places(run, store, reusable)
        new = tiles.select([i for i, tile in enumerate(tiles) if tile not in reusable])
        embedded = _embed(run, new, folder, cluster)
        if not reusable.rows and not embedded.rows:
            raise no_usable_tiles(tiles, context)
        content, origin = _in_tile_order(run, reusable, embedded)
        content = _with_scale(run, content, placed)
        has_stored = store is not None and store.manifest.has_stored_model
        if store_model or has_stored or resolved(model.folder) == resolved(folder) / STORED_MODEL:
            facts = {**content.facts, "model": STORED_MODEL}
            content = replace(content, model=model.folder, facts=facts)
        previous = None if store is None else PreviousIndex(store, origin)
        gpu = usable_gpu(str(model.device))
        options = IndexBuildOptions(
            *(folder, goal, gpu, previous, overwrite or update), repaired=repaired
        )
        result = write_index(content, options, context)
        run.journal.discard()
        remove_own_shards(folder)
    summary = _summarize(run, reusable, embedded, result, len(content.rows))
    return replace(summary, index=str(folder), seconds=time.perf_counter() - started)


def _run(
    model: Model,
    tiles: TileSet,
    folder: Path,
    before: IndexStore | Manifest | None,
    context: RunContext,
) -> IndexRun:
    if before is None:
        packing = packing_of_tiles(model, tiles, context)
    elif isinstance(before, Manifest):
        packing = packing_of_manifest(folder, before, model)
    else:
        require_same_model(before.folder, before.manifest, model)
        packing = packing_of_update(model, tiles, before, context)
    kept = {} if packing is None else packing.to_json()
    fingerprint, dimensions = model.description.fingerprint, model.description.dimensions
    journal = Journal(folder, fingerprint, dimensions, windows_json(tiles), kept)
    return IndexRun(model, tiles, context, journal, FileStates(tiles), packing)


def _embed(run: IndexRun, tiles: TileSet, folder: Path, cluster: ClusterOptions | None) -> _NewRows:
    if cluster is None:
        return _embed_and_journal(run, tiles)
    from rsretrieve.index.cluster.embed_on_cluster import ListedParts, embed_on_cluster
    from rsretrieve.index.cluster.parts import divided

    parts = ListedParts(len(tiles), divided(tiles, cluster.rows_a_shard(len(tiles))))
    found = embed_on_cluster(run, parts, folder, cluster)
    return _NewRows(
        list(found.rows), found.vectors, found.skipped, found.embedded, found.seconds, found.device
    )


def _embed_and_journal(run: IndexRun, tiles: TileSet) -> _NewRows:
    """Embed tiles, and add each finished batch to the journal."""
    found: list[IndexedTile] = []
    before = len(run.context.skipped)

    def on_batch(
        done: list[Tile], places: list[Place | None], vectors: NDArray[np.float32]
    ) -> None:
        rows = [IndexedTile.of(tile, place, run.files) for tile, place in zip(done, places)]
        run.journal.append(rows, vectors)
        found.extend(rows)

    done = embed_readable_tiles(run.model, tiles, run.context, on_batch, run.packing)
    skipped = [IndexedTile.of(tile, None, run.files) for tile in run.context.skipped[before:]]
    device = describe_device(run.model.device)
    return _NewRows(found, done.vectors, skipped, len(found), done.seconds, device)


def _in_tile_order(
    run: IndexRun, reusable: ReusableTiles, embedded: _NewRows
) -> tuple[IndexContent, NDArray[np.int64]]:
    """All rows in the order of the tiles, so that an update equals a rebuild.

    Rows whose tiles cannot be listed today (`TileSet.unseen`) come last.

    Returns:
        The content of the new index; and (N,) int64, for each row its row in the previous index,
        or −1.
    """
    rows, vectors = dict(reusable.rows), dict(reusable.vectors)
    for row, vector in zip(embedded.rows, embedded.vectors):
        rows[row.id], vectors[row.id] = row, vector
    seen = {tile.id: None for tile in run.tiles if tile.id in rows}
    ids = [*seen, *(tile_id for tile_id in rows if tile_id not in seen)]
    stacked = np.empty((len(ids), run.model.description.dimensions), np.float32)
    for i, tile_id in enumerate(ids):
        stacked[i] = vectors[tile_id]
    origin = np.array([reusable.origin.get(tile_id, -1) for tile_id in ids], np.int64)
    facts = {
        "model": str(run.model.folder.resolve()),
        "model_fingerprint": run.model.description.fingerprint,
        "windows": windows_json(run.tiles),
        "packing": {} if run.packing is None else run.packing.to_json(),
    }
    skipped = [*reusable.skipped.values(), *embedded.skipped]
    return IndexContent([rows[tile_id] for tile_id in ids], stacked, facts, skipped), origin


def _with_scale(run: IndexRun, content: IndexContent, places: int) -> IndexContent:
    """Record the size of the tiles, and the version of their places.

    A notice says if the model was trained on tiles of another size.
    """
    apart = -(-len(content.rows) // _MEASURED_TILES)
    some = [content.rows[i] for i in range(0, len(content.rows), apart)]
    tiles = replace(run.tiles, tiles=tuple(row.tile for row in some))
    scale = measure_scale(tiles, [row.place for row in some])
    for text in scale_warnings(run.model.description, scale):
        run.context.notice(text)
    facts = {**content.facts, "tile_scale": scale.to_json(), "places": places}
    return replace(content, facts=facts)


def _summarize(
    run: IndexRun, reusable: ReusableTiles, embedded: _NewRows, result: BuildResult, count: int
) -> IndexingSummary:
    done = embedded.embedded
    return IndexingSummary(
        index="",
        tiles=count,
        added=count - len(reusable.origin),
        removed=reusable.removed,
        unchanged=len(reusable.origin),
        failed=len(run.context.failures),
        faiss_key=result.faiss_key,
        recall_at_10=result.recall_at_10,
        seconds=0.0,
        tiles_per_second=done / embedded.seconds if done else 0.0,
        device=embedded.device,
        resumed=len(reusable.rows) - len(reusable.origin) + len(embedded.rows) - done,
        predicted_bytes=result.predicted_bytes,
        search=result.search,
    )
