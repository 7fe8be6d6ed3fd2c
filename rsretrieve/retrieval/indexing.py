"""From tiles and a model to an index folder, new or brought up to date."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rsretrieve.errors import ModelMismatch
from rsretrieve.learning.device import describe_device
from rsretrieve.learning.model import Model
from rsretrieve.progress import Listener, StageStarted, unheard
from rsretrieve.retrieval.embedding import embed_readable_tiles, none_usable
from rsretrieve.retrieval.index_store import (
    MANIFEST_FILE,
    IndexStore,
    open_index,
    write_index,
)
from rsretrieve.retrieval.table import IndexedTile
from rsretrieve.retrieval.vector_index import EXACT_KEY, VectorIndex, measured_recall, usable_gpu
from rsretrieve.storage import refuse_to_overwrite
from rsretrieve.tiles.records import TileSet
from rsretrieve.tiles.stream import FailureLog


@dataclass(frozen=True)
class IndexingSummary:
    """What came of indexing.

    Attributes:
        index: the index folder.
        tiles: how many it holds.
        added, removed, unchanged: against the index that was there; a changed tile counts
            as added.
        failed: how many tiles could not be used.
        faiss_key: of the index.
        recall_at_10: measured against exact search.
        seconds: of the whole run.
        tiles_per_second: of embedding alone; 0 when nothing had to be embedded.
        device: what computed.
    """

    index: str
    tiles: int
    added: int
    removed: int
    unchanged: int
    failed: int
    faiss_key: str
    recall_at_10: float
    seconds: float
    tiles_per_second: float
    device: str


@dataclass(frozen=True)
class _Known:
    """The part of an index that stays."""

    rows: list[IndexedTile]
    vectors: NDArray[np.float32]
    removed: int


def index_tiles(
    model: Model,
    tiles: TileSet,
    folder: Path,
    log: FailureLog,
    listener: Listener = unheard,
    *,
    faiss_key: str = "auto",
    overwrite: bool = False,
    update: bool = False,
) -> IndexingSummary:
    """Embed tiles and write an index folder.

    Args:
        model: embeds the tiles, and their queries later on.
        tiles: what the index will hold.
        folder: the index folder.
        log: takes the tiles that cannot be read.
        listener: is told how the work goes.
        faiss_key: `auto` (exact search; in an update what the index is), or a key in FAISS's
            notation.
        overwrite: replace an index that is there.
        update: keep the vectors of tiles whose files did not change (by path, size and
            time of change), embed the others, drop what is no longer among `tiles`.

    Raises:
        OutputExists, InvalidArgument, NoUsableTiles, TileError: see their own texts.
        ModelMismatch: `update` with another model than the index was built with.
    """
    started = time.perf_counter()
    refuse_to_overwrite(folder, overwrite=overwrite or update, marker=MANIFEST_FILE)
    store = open_index(folder) if update else None
    known = _nothing_known(model) if store is None else _known(store, tiles, model)
    known_ids = {row.id for row in known.rows}
    new = tiles.select([i for i, tile in enumerate(tiles) if tile.id not in known_ids])
    embedded = embed_readable_tiles(model, new, log, listener)
    if not known.rows and not len(embedded.tiles):
        raise none_usable(tiles, log)
    added = [IndexedTile.of(t, place) for t, place in zip(embedded.tiles, embedded.places)]
    rows, vectors = _in_order(tiles, known, added, embedded.vectors)
    listener(StageStarted("building the index"))
    key = faiss_key
    if key == "auto":
        key = EXACT_KEY if store is None else store.manifest.faiss_key
    gpu = usable_gpu(str(model.device))
    vector_index = VectorIndex.build(vectors, key, gpu)
    recall = measured_recall(vector_index, vectors)
    facts = {
        "model": str(model.folder.resolve()),
        "model_fingerprint": model.description.fingerprint,
        "faiss_key": key,
        "recall_at_10": recall,
    }
    write_index(folder, facts, rows, vectors, vector_index, overwrite=overwrite or update)
    return IndexingSummary(
        index=str(folder),
        tiles=len(rows),
        added=len(added),
        removed=known.removed,
        unchanged=len(known.rows),
        failed=len(log.failures),
        faiss_key=key,
        recall_at_10=recall,
        seconds=time.perf_counter() - started,
        tiles_per_second=len(added) / embedded.seconds if added else 0.0,
        device=describe_device(model.device),
    )


def _nothing_known(model: Model) -> _Known:
    return _Known([], np.empty((0, model.description.dimensions), np.float32), 0)


def _known(store: IndexStore, tiles: TileSet, model: Model) -> _Known:
    """The rows of an index whose tiles are still there, unchanged, with their labels of today."""
    require_same_model(store, model)
    today = {tile.id: tile for tile in tiles}
    kept = [
        i for i, row in enumerate(store.rows) if row.id in today and row.is_current(today[row.id])
    ]
    rows = [replace(store.rows[i], label=today[store.rows[i].id].label) for i in kept]
    removed = sum(row.id not in today for row in store.rows)
    return _Known(rows, np.array(store.vectors[kept]), removed)


def _in_order(
    tiles: TileSet, known: _Known, added: list[IndexedTile], vectors: NDArray[np.float32]
) -> tuple[list[IndexedTile], NDArray[np.float32]]:
    """Known and added rows in the order of the tiles, so that an update equals a rebuild."""
    rows = known.rows + added
    position = {tile.id: i for i, tile in enumerate(tiles)}
    order = sorted(range(len(rows)), key=lambda i: position[rows[i].id])
    return [rows[i] for i in order], np.concatenate((known.vectors, vectors))[order]


def require_same_model(store: IndexStore, model: Model) -> None:
    """Refuse a model, or a preprocessing, that the index was not built with.

    Raises:
        ModelMismatch: naming both fingerprints.
    """
    found, wanted = model.description.fingerprint, store.manifest.model_fingerprint
    if found != wanted:
        raise ModelMismatch(
            f"{store.folder} was built with the model {wanted[:12]}, and {model.folder} is "
            f"{found[:12]}: their vectors cannot be compared",
            hint=f"give --model with the model it was built with (it was {store.manifest.model}), "
            "or build the index again with this one",
        )
