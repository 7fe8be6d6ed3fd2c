"""Bring an index of external embeddings up to date: add, replace and remove tiles by their ids."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.compute as pc
from numpy.typing import NDArray

from rsretrieve.data.run_context import RunContext
from rsretrieve.errors import InvalidArgument, ModelMismatch, NoUsableTiles
from rsretrieve.index.external.embeddings_file import EmbeddingChanges
from rsretrieve.index.store.folder import IndexContent, IndexStore
from rsretrieve.index.store.manifest import READING
from rsretrieve.index.store.tile_table import TileTable

_SAME = 1e-6  # two unit vectors whose numbers differ by no more are the same
_BLOCK = 65_536
MOST_REMOVED = 0.5
"""An update that would remove a larger share of the tiles of an index is refused."""


@dataclass(frozen=True)
class MergedEmbeddings:
    """The content of an index after an update.

    Attributes:
        content: its tiles and vectors.
        origin: (N,) int64, for each tile its row in the previous index, or −1 if its vector is new.
        removed: the number of tiles of the previous index that are gone.
    """

    content: IndexContent
    origin: NDArray[np.int64]
    removed: int


def merged_with_all(
    source: Path, content: IndexContent, store: IndexStore, *, removes_most: bool = False
) -> MergedEmbeddings:
    """The update by a file that names all tiles: those that it does not name are removed.

    Args:
        source: the file.
        content: its tiles and vectors.
        store: the index.
        removes_most: most tiles of the index may be removed.

    Raises:
        InvalidArgument: the vectors have another length, or most tiles would be removed.
        ModelMismatch: the vectors are of another model than those of the index.
    """
    _require_same_vectors(source, content, store)
    rows = TileTable.of(content.rows)
    before = _rows_of(rows.columns.column("id"), store)
    removed = len(store.rows) - int((before >= 0).sum())
    if removed > MOST_REMOVED * len(store.rows) and not removes_most:
        raise InvalidArgument(
            f"{source} does not name {removed:,} of the {len(store.rows):,} tiles of "
            f"{store.folder}, and --update would remove them",
            hint="give --changes-only if the file names only tiles that changed; or give "
            "--overwrite, too, if those tiles are gone for good",
        )
    origin = _unchanged(content.vectors, before, store)
    facts = _facts_with_all(content, rows, origin, store)
    merged = replace(store.content(), rows=rows, vectors=content.vectors, facts=facts)
    return MergedEmbeddings(merged, origin, removed)


def merged_with_changes(
    source: Path, changes: EmbeddingChanges, store: IndexStore, context: RunContext
) -> MergedEmbeddings:
    """The update by a file that names the tiles that changed; a row without a vector removes one.

    Raises:
        InvalidArgument: the vectors have another length.
        ModelMismatch: the vectors are of another model than those of the index.
        NoUsableTiles: no tile is left.
    """
    if changes.model_fingerprint:  # a file that only removes tiles need not name a model
        _require_same_model(source, changes.model_fingerprint, store)
    old = store.rows.columns
    gone = _rows_of(
        pyarrow.chunked_array([pyarrow.array(changes.missing, pyarrow.string())]), store
    )
    if unknown := int((gone < 0).sum()):
        context.notice(f"{source}: {unknown:,} tiles to remove are not in the index")
    removed = gone[gone >= 0]
    table, vectors = old, np.empty((0, store.manifest.dimensions), np.float32)
    source_row = np.arange(len(old))
    origin = np.arange(len(old))
    if changes.content is not None:
        _require_same_vectors(source, changes.content, store)
        vectors = changes.content.vectors
        new = TileTable.of(changes.content.rows).columns
        before = _rows_of(new.column("id"), store)
        table = pyarrow.concat_tables([old, new])
        known = before >= 0
        source_row[before[known]] = len(old) + np.flatnonzero(known)
        origin[before[known]] = _unchanged(vectors, before, store)[known]
        added = np.flatnonzero(~known)
        source_row = np.r_[source_row, len(old) + added]
        origin = np.r_[origin, np.full(len(added), -1)]
    kept = np.ones(len(source_row), bool)
    kept[removed] = False
    if not kept.any():
        raise NoUsableTiles(f"{source} removes all tiles of {store.folder}")
    source_row, origin = source_row[kept], origin[kept]
    rows = TileTable(table.take(pyarrow.array(source_row)).combine_chunks())
    stacked = _stacked(store.vectors, vectors, source_row)
    merged = replace(store.content(), rows=rows, vectors=stacked)
    if changes.content is not None:
        facts = _facts_with_changes(source, changes.content, rows, origin, store)
        merged = replace(merged, facts=facts)
    return MergedEmbeddings(merged, origin, len(removed))


def _rows_of(ids: pyarrow.ChunkedArray, store: IndexStore) -> NDArray[np.int64]:
    """(N,) the row of each id in an index, or −1."""
    found = pc.index_in(ids, value_set=store.rows.columns.column("id"))
    rows: NDArray[np.int64] = pc.fill_null(found, -1).to_numpy().astype(np.int64)
    return rows


def _unchanged(
    vectors: NDArray[np.float32], before: NDArray[np.int64], store: IndexStore
) -> NDArray[np.int64]:
    """(N,) the rows `before` where the vector is the same, else −1."""
    origin = before.copy()
    for start in range(0, len(before), _BLOCK):
        part = slice(start, start + _BLOCK)
        old = store.vectors[np.maximum(before[part], 0)]
        same = (np.abs(old - vectors[part]) <= _SAME).all(axis=1)
        origin[part][~same] = -1
    return origin


def _stacked(
    old: NDArray[np.float32], new: NDArray[np.float32], rows: NDArray[np.int64]
) -> NDArray[np.float32]:
    """The rows of both arrays, one after the other, block by block: `old` is memory-mapped."""
    stacked = np.empty((len(rows), old.shape[1]), np.float32)
    is_new = rows >= len(old)
    for start in range(0, len(rows), _BLOCK):
        part = slice(start, start + _BLOCK)
        fresh = is_new[part]
        stacked[part][~fresh] = old[rows[part][~fresh]]
        stacked[part][fresh] = new[rows[part][fresh] - len(old)]
    return stacked


def _facts_with_all(
    content: IndexContent, rows: TileTable, origin: NDArray[np.int64], store: IndexStore
) -> dict[str, Any]:
    """The facts after an update by a file of all tiles; what it does not know stays."""
    manifest = store.manifest
    facts = {**manifest.content_facts, **content.facts, "places": 0}  # the file has its own places
    if not _tells_reading(content) and _are_read_alike(rows, origin, store):
        facts["provenance"] = {**content.facts["provenance"], **manifest.reading}
    if manifest.has_stored_model or not facts["model"]:
        facts["model"] = manifest.model
    return facts


def _facts_with_changes(
    source: Path,
    content: IndexContent,
    rows: TileTable,
    origin: NDArray[np.int64],
    store: IndexStore,
) -> dict[str, Any]:
    """The facts after an update by changes; without a reading if theirs is another, or unknown."""
    manifest = store.manifest
    is_same = _tells_reading(content) and content.facts["packing"] == manifest.packing
    if is_same or _are_read_alike(rows, origin, store):
        return manifest.content_facts
    told = {key: value for key, value in manifest.provenance.items() if key not in READING}
    return {**manifest.content_facts, "provenance": {"embeddings": str(source.resolve()), **told}}


def _tells_reading(content: IndexContent) -> bool:
    return all(name in content.facts for name in READING)


def _are_read_alike(rows: TileTable, origin: NDArray[np.int64], store: IndexStore) -> bool:
    """Whether all rows have a vector of the index, and were read at the same resolution."""
    if (origin < 0).any():
        return False
    before = store.rows.columns.column("read_px").take(pyarrow.array(origin))
    return bool(before.equals(rows.columns.column("read_px")))


def _require_same_vectors(source: Path, content: IndexContent, store: IndexStore) -> None:
    manifest, dimensions = store.manifest, content.vectors.shape[1]
    if dimensions != manifest.dimensions:
        raise InvalidArgument(
            f"{source} has vectors of {dimensions} dimensions, but {store.folder} has "
            f"{manifest.dimensions}",
            hint="give --dims if the index was built with it; or give --overwrite without --update "
            "to build it again",
        )
    _require_same_model(source, str(content.facts.get("model_fingerprint") or ""), store)


def _require_same_model(source: Path, fingerprint: str, store: IndexStore) -> None:
    if fingerprint != store.manifest.model_fingerprint:
        raise ModelMismatch(
            f"{source} is not of the model of {store.folder}: similarities between vectors of two "
            "models are meaningless",
            hint="update the index with TILES and its --model, or build another one from the file",
        )
