"""Build an index folder from external embeddings. Needs no model and no PyTorch."""

from __future__ import annotations

import time
from pathlib import Path

from rsretrieve._core.atomic_write import refuse_to_overwrite
from rsretrieve._core.locks import only_writer
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import TileSet
from rsretrieve.index.external.embeddings_file import read_embeddings
from rsretrieve.index.store.manifest import MANIFEST_FILE
from rsretrieve.index.write import IndexBuildOptions, IndexingSummary, write_index


def index_embeddings(
    source: Path,
    listing: TileSet | None,
    options: IndexBuildOptions,
    context: RunContext,
) -> IndexingSummary:
    """Write an index folder from a file of embeddings.

    Args:
        source: a Parquet or `.npy` file; see `read_embeddings`.
        listing: the tiles of a `.npy` file, row by row; None for a Parquet file.
        options: where and how.
        context: receives the rows that cannot be used, notices and progress.

    Returns:
        Counts, the kind of index, the measured recall and timings.

    Raises:
        OutputExists: the folder exists, and `options.overwrite` is false.
        OutputBusy: another run is writing this index.
        InvalidArgument: FAISS cannot build an index of this kind from these vectors.
        TableError: `source` is not a file of embeddings, or does not fit `listing`.
        NoUsableTiles: no row can be used.
    """
    started = time.perf_counter()
    refuse_to_overwrite(options.folder, overwrite=options.overwrite, marker=MANIFEST_FILE)
    with only_writer(options.folder):
        context.start_stage("reading embeddings")
        content = read_embeddings(source, listing, context)
        result = write_index(content, options, context)
    return IndexingSummary(
        index=str(options.folder),
        tiles=len(content.rows),
        added=len(content.rows),
        removed=0,
        unchanged=0,
        failed=len(context.failures),
        faiss_key=result.faiss_key,
        recall_at_10=result.recall_at_10,
        seconds=time.perf_counter() - started,
        tiles_per_second=0.0,
        device="cpu" if options.gpu is None else f"cuda:{options.gpu}",
        predicted_bytes=result.predicted_bytes,
        search=result.search,
    )
