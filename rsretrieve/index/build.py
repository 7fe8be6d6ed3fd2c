"""From tiles and a model to an index folder, new or brought up to date."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rsretrieve._core.atomic_write import refuse_to_overwrite
from rsretrieve._core.locks import only_writer
from rsretrieve.data.geo.place import Place
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.index.compatibility import require_same_model
from rsretrieve.index.embed_tiles import Embeddings, embed_readable_tiles, none_usable
from rsretrieve.index.file_state import FileStates
from rsretrieve.index.journal import Journal
from rsretrieve.index.reuse import Known, Work, find_known, windows_json
from rsretrieve.index.store.folder import open_index
from rsretrieve.index.store.manifest import MANIFEST_FILE
from rsretrieve.index.store.tile_table import IndexedTile
from rsretrieve.index.vectors.choose_kind import IndexGoal
from rsretrieve.index.vectors.vector_index import usable_gpu
from rsretrieve.index.write import (
    Filed,
    Filing,
    IndexingSummary,
    Previous,
    Vectors,
    file_vectors,
)
from rsretrieve.network.device import describe_device
from rsretrieve.network.model import Model


def index_tiles(
    model: Model,
    tiles: TileSet,
    folder: Path,
    context: RunContext,
    *,
    goal: IndexGoal | None = None,
    overwrite: bool = False,
    update: bool = False,
) -> IndexingSummary:
    """Embed tiles and write an index folder.

    What an interrupted run has embedded is taken over: tiles whose files did not change since
    are not read again.

    Args:
        model: embeds the tiles, and their queries later on.
        tiles: what the index will hold.
        folder: the index folder.
        context: takes the tiles that cannot be read.
        goal: what the index is to be; None for `IndexGoal()`, and in an update for what it is.
        overwrite: replace an index that is there.
        update: keep the vectors of tiles whose files did not change (by path, size and
            time of change, then by content), embed the others, drop what is no longer among
            `tiles`.

    Raises:
        OutputExists, OutputBusy, InvalidArgument, NoUsableTiles, TileError: see their own texts.
        ModelMismatch: `update` with another model than the index was built with.
    """
    started = time.perf_counter()
    refuse_to_overwrite(folder, overwrite=overwrite or update, marker=MANIFEST_FILE)
    with only_writer(folder):
        description = model.description
        windows = windows_json(tiles)
        journal = Journal(folder, description.fingerprint, description.dimensions, windows)
        work = Work(model, tiles, context, journal, FileStates(tiles))
        store = open_index(folder) if update else None
        if store is not None:
            require_same_model(store.folder, store.manifest, model)
        known = find_known(work, store)
        new = tiles.select([i for i, tile in enumerate(tiles) if tile not in known])
        embedded = _embedded(work, new)
        if not known.rows and not len(embedded.tiles):
            raise none_usable(tiles, context)
        content, origin = _in_order(work, known, embedded)
        previous = None if store is None else Previous(store, origin)
        gpu = usable_gpu(str(model.device))
        filing = Filing(folder, goal, gpu, previous, overwrite or update)
        filed = file_vectors(content, filing, context)
        journal.discard()
    summary = _summary(work, known, embedded, filed, len(content.rows))
    return replace(summary, index=str(folder), seconds=time.perf_counter() - started)


def _embedded(work: Work, tiles: TileSet) -> Embeddings:
    """Embed tiles, and note every batch in the journal as soon as it is done."""

    def keep(done: list[Tile], places: list[Place | None], vectors: NDArray[np.float32]) -> None:
        rows = [IndexedTile.of(tile, place, work.files) for tile, place in zip(done, places)]
        work.journal.append(rows, vectors)

    return embed_readable_tiles(work.model, tiles, work.context, keep)


def _in_order(work: Work, known: Known, embedded: Embeddings) -> tuple[Vectors, NDArray[np.int64]]:
    """Everything in the order of the tiles, so that an update equals a rebuild.

    What nobody can see today comes last.

    Returns:
        The rows with their vectors; for each the row of the old index that it was, or −1.
    """
    rows, vectors = dict(known.rows), dict(known.vectors)
    for tile, place, vector in zip(embedded.tiles, embedded.places, embedded.vectors):
        rows[tile.id], vectors[tile.id] = IndexedTile.of(tile, place, work.files), vector
    seen = {tile.id: None for tile in work.tiles if tile.id in rows}
    ids = [*seen, *(tile_id for tile_id in rows if tile_id not in seen)]
    stacked = np.empty((len(ids), work.model.description.dimensions), np.float32)
    for i, tile_id in enumerate(ids):
        stacked[i] = vectors[tile_id]
    origin = np.array([known.origin.get(tile_id, -1) for tile_id in ids], np.int64)
    facts = {
        "model": str(work.model.folder.resolve()),
        "model_fingerprint": work.model.description.fingerprint,
        "windows": windows_json(work.tiles),
    }
    skipped = [
        known.skipped.get(tile.id) or IndexedTile.of(tile, None, work.files)
        for tile in work.context.skipped
    ]
    return Vectors([rows[tile_id] for tile_id in ids], stacked, facts, skipped), origin


def _summary(
    work: Work, known: Known, embedded: Embeddings, filed: Filed, count: int
) -> IndexingSummary:
    done = len(embedded.tiles)
    return IndexingSummary(
        index="",
        tiles=count,
        added=count - len(known.origin),
        removed=known.removed,
        unchanged=len(known.origin),
        failed=len(work.context.failures),
        faiss_key=filed.faiss_key,
        recall_at_10=filed.recall_at_10,
        seconds=0.0,
        tiles_per_second=done / embedded.seconds if done else 0.0,
        device=describe_device(work.model.device),
        resumed=len(known.rows) - len(known.origin),
        predicted_bytes=filed.predicted_bytes,
        search=filed.search,
    )
