"""From embeddings made elsewhere to an index folder. Needs no model, and no PyTorch."""

from __future__ import annotations

import time
from pathlib import Path

from rsretrieve._core.atomic_write import only_writer, refuse_to_overwrite
from rsretrieve.data.failures import FailureLog
from rsretrieve.data.tile import TileSet
from rsretrieve.index.external.embeddings_file import read_embeddings
from rsretrieve.index.store.manifest import MANIFEST_FILE
from rsretrieve.index.write import Filing, IndexingSummary, file_vectors
from rsretrieve.progress import Listener, StageStarted, unheard


def index_embeddings(
    source: Path,
    listing: TileSet | None,
    filing: Filing,
    log: FailureLog,
    listener: Listener = unheard,
) -> IndexingSummary:
    """Write an index folder of embeddings that are there.

    Args:
        source: a Parquet file or a `.npy`, as `read_embeddings` takes it.
        listing: the tiles of a `.npy`.
        filing: where and how.
        log: takes the rows that cannot be used.
        listener: is told how the work goes.

    Raises:
        OutputExists, OutputBusy, InvalidArgument, TableError, NoUsableTiles: see their own texts.
    """
    started = time.perf_counter()
    refuse_to_overwrite(filing.folder, overwrite=filing.overwrite, marker=MANIFEST_FILE)
    with only_writer(filing.folder):
        listener(StageStarted("reading embeddings"))
        content = read_embeddings(source, listing, log)
        filed = file_vectors(content, filing, listener)
    return IndexingSummary(
        index=str(filing.folder),
        tiles=len(content.rows),
        added=len(content.rows),
        removed=0,
        unchanged=0,
        failed=len(log.failures),
        faiss_key=filed.faiss_key,
        recall_at_10=filed.recall_at_10,
        seconds=time.perf_counter() - started,
        tiles_per_second=0.0,
        device="cpu" if filing.gpu is None else f"cuda:{filing.gpu}",
        predicted_bytes=filed.predicted_bytes,
        search=filed.search,
    )
