"""Open Parquet files so that reading them batch by batch takes the memory of a few batches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_BUFFER_BYTES = 1 << 16


def open_parquet(path: Path, **options: Any) -> Any:
    """Open a Parquet file of any length, to read it with `iter_batches`.

    By default, pyarrow keeps all that it has read ahead until the file is closed
    (https://github.com/apache/arrow/issues/39808). Without a buffer, it reads each column of a row
    group at once, and many programs write a whole file as one row group.

    Args:
        path: the file.
        options: further arguments of `pyarrow.parquet.ParquetFile`.

    Returns:
        A `pyarrow.parquet.ParquetFile`.
    """
    from pyarrow import parquet

    return parquet.ParquetFile(path, pre_buffer=False, buffer_size=_BUFFER_BYTES, **options)
