"""From embeddings made elsewhere to an index folder. Needs no model, and no PyTorch."""

from __future__ import annotations

import time
from pathlib import Path

from rsretrieve._core.atomic_write import refuse_to_overwrite
from rsretrieve._core.locks import only_writer
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import TileSet
from rsretrieve.index.external.embeddings_file import read_embeddings
from rsretrieve.index.store.manifest import MANIFEST_FILE
from rsretrieve.index.write import Filing, IndexingSummary, file_vectors


def index_embeddings(
    source: Path,
    listing: TileSet | None,
    filing: Filing,
    context: RunContext,
) -> IndexingSummary:
    """Write an index folder of embeddings that are there.

    Args:
        source: a Parquet file or a `.npy`, as `read_embeddings` takes it.
        listing: the tiles of a `.npy`.
        filing: where and how.
        context: takes the rows that cannot be used.

    Raises:
        OutputExists, OutputBusy, InvalidArgument, TableError, NoUsableTiles: see their own texts.
    """
    started = time.perf_counter()
    refuse_to_overwrite(filing.folder, overwrite=filing.overwrite, marker=MANIFEST_FILE)
    with only_writer(filing.folder):
        context.start_stage("reading embeddings")
        content = read_embeddings(source, listing, context)
        filed = file_vectors(content, filing, context)
    return IndexingSummary(
        index=str(filing.folder),
        tiles=len(content.rows),
        added=len(content.rows),
        removed=0,
        unchanged=0,
        failed=len(context.failures),
        faiss_key=filed.faiss_key,
        recall_at_10=filed.recall_at_10,
        seconds=time.perf_counter() - started,
        tiles_per_second=0.0,
        device="cpu" if filing.gpu is None else f"cuda:{filing.gpu}",
        predicted_bytes=filed.predicted_bytes,
        search=filed.search,
    )
