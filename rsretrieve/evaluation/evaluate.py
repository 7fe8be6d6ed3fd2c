"""Measure retrieval: queries with known labels against the tiles of an index."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import TileSet
from rsretrieve.errors import LabelsError
from rsretrieve.evaluation.retrieval_metrics import (
    LabelledVectors,
    RetrievalFigures,
    normalized_mutual_information,
    retrieval_figures,
)
from rsretrieve.index.compatibility import require_same_model
from rsretrieve.index.embed_tiles import embed_tiles
from rsretrieve.index.store.folder import IndexStore
from rsretrieve.index.vectors.fit import spherical_kmeans
from rsretrieve.network.model import Model


@dataclass(frozen=True)
class Evaluation:
    """Retrieval metrics, and what they were measured on.

    Attributes:
        figures: the retrieval metrics.
        nmi: normalised mutual information of the labels and a k-means clustering of the queries
            into as many clusters as there are labels.
        gallery: number of labelled tiles of the index that were searched.
        gallery_labels: `given labels` (those in the index, as a user sees them) or
            `clean gallery` (true labels, comparable with the paper).
    """

    figures: RetrievalFigures
    nmi: float
    gallery: int
    gallery_labels: str


@dataclass(frozen=True)
class _Labelled:
    """Embedded tiles with labels; a key is equal for the same file and window."""

    vectors: NDArray[np.float32]
    labels: list[str]
    keys: list[tuple[str, str]]


def evaluate_index(
    store: IndexStore,
    seed: int,
    context: RunContext,
    *,
    queries: TileSet | None = None,
    model: Model | None = None,
    true_labels: Mapping[str, str] | None = None,
) -> Evaluation:
    """Measure retrieval.

    Args:
        store: the index.
        seed: random seed of the clustering for NMI.
        context: receives the queries that cannot be read, notices and progress.
        queries: tiles with labels; None queries every tile of the index against the others
            (leave one out).
        model: the model of the index; needed with `queries`.
        true_labels: tile id → label of the gallery; None for the labels in the index.

    Returns:
        The metrics. A query is never its own hit.

    Raises:
        LabelsError: queries or gallery have no labels.
        ModelMismatch: the model is not the one that the index was built with.
        InputError: no query has a tile of its label in the gallery.
        NoUsableTiles: no query can be read.
    """
    gallery = _gallery(store, true_labels, context)
    if queries is None:
        asking, own_rows = gallery, np.arange(len(gallery.labels))
    else:
        if model is None:
            raise LabelsError("queries need a model to embed them")
        require_same_model(store.folder, store.manifest, model)
        asking = _embedded(queries, model, context)
        row_of = {key: row for row, key in enumerate(gallery.keys)}
        own_rows = np.array([row_of.get(key, -1) for key in asking.keys], np.int64)
    context.start_stage("measuring retrieval")
    numbers = {name: i for i, name in enumerate(sorted({*asking.labels, *gallery.labels}))}
    query_side, gallery_side = _side(asking, numbers), _side(gallery, numbers)
    figures = retrieval_figures(query_side, gallery_side, own_rows)
    if figures.without_relevant:
        context.notice(
            f"{figures.without_relevant} queries have no tile of their label in the gallery"
        )
    clusters = spherical_kmeans(query_side.vectors, len(set(asking.labels)), seed)
    return Evaluation(
        figures=figures,
        nmi=normalized_mutual_information(query_side.labels, clusters),
        gallery=len(gallery.labels),
        gallery_labels="given labels" if true_labels is None else "clean gallery",
    )


def _side(part: _Labelled, numbers: Mapping[str, int]) -> LabelledVectors:
    return LabelledVectors(
        part.vectors, np.array([numbers[name] for name in part.labels], np.int64)
    )


def _gallery(
    store: IndexStore, true_labels: Mapping[str, str] | None, context: RunContext
) -> _Labelled:
    """The labelled tiles of an index; a file and window with several ids counts once."""
    known = {row.id: row.label for row in store.rows} if true_labels is None else true_labels
    kept: dict[tuple[str, str], int] = {}
    labelled = 0
    for i, row in enumerate(store.rows):
        if known.get(row.id) is not None:
            labelled += 1
            # Embeddings from elsewhere may name no file: then only the id tells rows apart.
            kept.setdefault((row.path, str(row.tile.window)) if row.path else ("", row.id), i)
    if not kept:
        raise LabelsError(
            f"no tile of {store.folder} has a label",
            hint="index tiles in class sub-folders, or with --labels, or give --truth FILE",
        )
    if unlabelled := len(store.rows) - labelled:
        context.notice(f"{unlabelled} tiles of the index have no label and are left out")
    if repeated := labelled - len(kept):
        context.notice(f"{repeated} tiles of the index are the file of another tile; left out")
    return _Labelled(
        vectors=np.ascontiguousarray(store.vectors[list(kept.values())]),
        labels=[str(known[store.rows[i].id]) for i in kept.values()],
        keys=list(kept),
    )


def _embedded(queries: TileSet, model: Model, context: RunContext) -> _Labelled:
    labelled = queries.labelled()
    if not len(labelled):
        raise LabelsError(
            f"{queries.source}: no tile has a label",
            hint="class sub-folders are the labels, or give --labels FILE.csv (tile,label)",
        )
    if left_out := len(queries) - len(labelled):
        context.notice(f"{left_out} queries have no label and are left out")
    embedded = embed_tiles(model, labelled, context)
    return _Labelled(
        vectors=embedded.vectors,
        labels=[str(tile.label) for tile in embedded.tiles],
        keys=[(tile.location.absolute(), str(tile.window)) for tile in embedded.tiles],
    )
