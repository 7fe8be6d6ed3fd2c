"""Build an index folder from external embeddings. Needs no model and no PyTorch."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from rsretrieve._core.atomic_write import refuse_to_overwrite
from rsretrieve._core.folders.known_folders import INDEX_FOLDER
from rsretrieve._core.locks import only_writer
from rsretrieve.data.run_context import RunContext
from rsretrieve.index.external.choices import EmbeddingChoices
from rsretrieve.index.external.embeddings_file import read_changes, read_embeddings
from rsretrieve.index.external.listed_rows import Listing
from rsretrieve.index.merge_embeddings import (
    MergedEmbeddings,
    merged_with_all,
    merged_with_changes,
)
from rsretrieve.index.store.folder import open_index
from rsretrieve.index.write import (
    BuildResult,
    IndexBuildOptions,
    IndexingSummary,
    PreviousIndex,
    write_index,
)


@dataclass(frozen=True)
class EmbeddingUpdate:
    """How embeddings change an index that exists.

    Attributes:
        changes_only: the file names only tiles that changed, and a row without a vector removes
            its tile; otherwise tiles that the file does not name are removed.
    """

    changes_only: bool = False


def index_embeddings(
    source: Path,
    listing: Listing | None,
    options: IndexBuildOptions,
    context: RunContext,
    choices: EmbeddingChoices | None = None,
    update: EmbeddingUpdate | None = None,
) -> IndexingSummary:
    """Write an index folder from embeddings that were made elsewhere, or update it.

    Args:
        source: a table (Parquet or CSV), a `.npy` file or a raster; see `read_embeddings`.
        listing: the tiles of a `.npy` file, row by row; else None.
        options: where and how. In an update, `overwrite` lets most tiles be removed.
        context: receives the rows that cannot be used, notices and progress.
        choices: columns, dimensions and windows; None: found by name, and all.
        update: bring the index that exists up to date, by the ids of the tiles; None: write a new
            one.

    Returns:
        Counts, the kind of index, the measured recall and timings.

    Raises:
        OutputExists: the folder exists, and neither `options.overwrite` is set, nor `update` given.
        OutputBusy: another run is writing this index.
        IndexNotFound: an update, and there is no index.
        InvalidArgument: FAISS cannot build an index of this kind from these vectors, or an update
            does not fit the index.
        ModelMismatch: an update with vectors of another model.
        TableError: the source is not a file of embeddings, or does not fit the list.
        NoUsableTiles: no row can be used.
    """
    started = time.perf_counter()
    choices = choices or EmbeddingChoices()
    overwrite = options.overwrite or update is not None
    refuse_to_overwrite(options.folder, overwrite=overwrite, kind=INDEX_FOLDER)
    with only_writer(options.folder, INDEX_FOLDER):
        context.start_stage("reading embeddings")
        if update is None:
            content = read_embeddings(source, listing, context, choices)
            merged = MergedEmbeddings(content, np.broadcast_to(np.int64(-1), len(content.rows)), 0)
        else:
            store = open_index(options.folder)
            if update.changes_only:
                changes = read_changes(source, listing, context, choices)
                merged = merged_with_changes(source, changes, store, context)
            else:
                content = read_embeddings(source, listing, context, choices)
                merged = merged_with_all(source, content, store, removes_most=options.overwrite)
            previous = PreviousIndex(store, merged.origin)
            options = replace(options, previous=previous, overwrite=True)
        result = write_index(merged.content, options, context)
    summary = _summary(merged, result, options)
    seconds = time.perf_counter() - started
    return replace(summary, failed=len(context.failures), seconds=seconds)


def _summary(
    merged: MergedEmbeddings, result: BuildResult, options: IndexBuildOptions
) -> IndexingSummary:
    previous = options.previous
    unchanged = 0 if previous is None else int((previous.origin >= 0).sum())
    return IndexingSummary(
        index=str(options.folder),
        tiles=len(merged.origin),
        added=len(merged.origin) - unchanged,
        removed=merged.removed,
        unchanged=unchanged,
        failed=0,
        faiss_key=result.faiss_key,
        recall_at_10=result.recall_at_10,
        seconds=0.0,
        tiles_per_second=0.0,
        device="cpu" if options.gpu is None else f"cuda:{options.gpu}",
        predicted_bytes=result.predicted_bytes,
        search=result.search,
    )
