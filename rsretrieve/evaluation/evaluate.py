"""Measure retrieval: queries with known labels against the tiles of an index."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rsretrieve._core.text import some_of
from rsretrieve.data.labels.true_labels import true_labels_by_id
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import TileSet
from rsretrieve.errors import InputError, LabelsError
from rsretrieve.evaluation.gallery import Gallery, LeftOut, labelled_gallery
from rsretrieve.evaluation.labelled_queries import AsIndexed, Queries, embedded_queries
from rsretrieve.evaluation.per_class import ClassFigures, Confusion, figures_per_class
from rsretrieve.evaluation.retrieval_metrics import (
    LabelledVectors,
    QueryFigures,
    RetrievalFigures,
    measure_queries,
    normalized_mutual_information,
)
from rsretrieve.index.common_packing import packing_of_index
from rsretrieve.index.compatibility import require_same_model
from rsretrieve.index.store.folder import IndexStore
from rsretrieve.index.vectors.fit import spherical_kmeans
from rsretrieve.network.model import Model
from rsretrieve.search.expansion import expanded_queries


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
        left_out: the tiles that the figures do not count.
        per_class: the figures of each class, in the order of their names.
        confusion: the classes that the nearest neighbours vote for.
        expanded: queries were expanded by their nearest hits.
    """

    figures: RetrievalFigures
    nmi: float
    gallery: int
    gallery_labels: str
    left_out: LeftOut
    per_class: tuple[ClassFigures, ...]
    confusion: Confusion
    expanded: bool = False


def evaluate_index(
    store: IndexStore,
    seed: int,
    context: RunContext,
    *,
    queries: TileSet | None = None,
    model: Model | None = None,
    true_labels: Mapping[str, str] | None = None,
    expand: bool = False,
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
        expand: expand each query by its nearest hits; NMI does not change.

    Returns:
        The metrics. A query is never its own hit, wherever its file lies: the content decides.
        A content that several queries have counts once; with different labels, not at all.

    Raises:
        LabelsError: queries or gallery have no labels, or the gallery has one class only.
        ModelMismatch: the model is not the one that the index was built with.
        InputError: no query has a tile of its label in the gallery.
        NoUsableTiles: no query can be read.
    """
    gallery = labelled_gallery(store, true_labels, context)
    asking = _queries(store, queries, model, gallery, context)
    context.start_stage("measuring retrieval")
    names = sorted({*asking.labels, *gallery.labels})
    numbers = {name: number for number, name in enumerate(names)}
    _require_common_class(asking.labels, gallery.labels)
    query_side = _side(asking.vectors, asking.labels, numbers)
    gallery_side = _side(gallery.vectors, gallery.labels, numbers)
    searched = query_side
    if expand:
        vectors = expanded_queries(asking.vectors, gallery.vectors, asking.own_rows)
        searched = replace(query_side, vectors=vectors)
    measured = measure_queries(searched, gallery_side, asking.own_rows)
    figures = measured.mean()
    if figures.without_relevant:
        context.notice(
            f"{figures.without_relevant} queries have no tile of their label in the gallery "
            "and are left out"
        )
    left_out = replace(
        gallery.left_out,
        queries_without_label=asking.left_out.queries_without_label,
        queries_copies=asking.left_out.queries_copies,
        queries_contradicting=asking.left_out.queries_contradicting,
        queries_without_relevant=figures.without_relevant,
    )
    return Evaluation(
        figures=figures,
        nmi=_nmi(query_side, measured, seed),
        gallery=len(gallery.labels),
        gallery_labels="given labels" if true_labels is None else "clean gallery",
        left_out=left_out,
        per_class=figures_per_class(names, query_side.labels, gallery_side.labels, measured),
        confusion=Confusion.of(names, measured),
        expanded=expand,
    )


def true_labels_of_index(store: IndexStore, path: Path, context: RunContext) -> dict[str, str]:
    """Read the true labels of the tiles of an index.

    Args:
        store: the index.
        path: see `true_labels_by_id`.
        context: receives notices.

    Returns:
        Tile id → true label.
    """
    labels = {label for label in store.rows.column("label") if label}
    ids = set(store.rows.column("id"))
    table = true_labels_by_id(path, ids, sorted(labels), str(store.folder))
    for text in table.notices:
        context.notice(text)
    return table.known


def _queries(
    store: IndexStore,
    queries: TileSet | None,
    model: Model | None,
    gallery: Gallery,
    context: RunContext,
) -> Queries:
    if queries is None:
        return Queries(gallery.vectors, gallery.labels, np.arange(len(gallery.labels)))
    if model is None:
        raise LabelsError("queries need a model to embed them")
    require_same_model(store.folder, store.manifest, model)
    packing = packing_of_index(store, model)
    return embedded_queries(queries, AsIndexed(model, packing), gallery, context)


def _side(
    vectors: NDArray[np.float32], labels: list[str], numbers: Mapping[str, int]
) -> LabelledVectors:
    return LabelledVectors(vectors, np.array([numbers[name] for name in labels], np.int64))


def _nmi(queries: LabelledVectors, measured: QueryFigures, seed: int) -> float:
    """NMI over the queries that are counted."""
    clusters = spherical_kmeans(
        np.ascontiguousarray(queries.vectors[measured.rows]),
        len(set(measured.labels.tolist())),
        seed,
    )
    return normalized_mutual_information(measured.labels, clusters)


def _require_common_class(queries: list[str], gallery: list[str]) -> None:
    asked, known = sorted(set(queries)), sorted(set(gallery))
    if not set(asked).intersection(known):
        raise InputError(
            "no query has a tile of its label in the gallery: the queries are labelled "
            f"{some_of(asked, 5)}, and the gallery {some_of(known, 5)}",
            hint="give both sides the same class names, by --labels and --truth",
        )
