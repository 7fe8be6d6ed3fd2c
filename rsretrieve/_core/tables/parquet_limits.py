"""Refuse Parquet files that declare far more content than their size allows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rsretrieve._core.tables.parquet_stream import open_parquet

_FEW_BYTES, _EXPANSION = 1 << 27, 64  # limits of a Parquet file's size in memory


def refuse_bombs(path: Path, file: Any, rows: int | None = None) -> None:
    """Refuse a Parquet file that declares far more content than its size allows, before reading.

    Args:
        path: the file.
        file: a `pyarrow.parquet.ParquetFile`.
        rows: the number of rows it must have, if known.

    Raises:
        ValueError: it declares too much.
    """
    metadata, groups = file.metadata, range(file.metadata.num_row_groups)
    chunks = [metadata.row_group(g).column(c) for g in groups for c in range(metadata.num_columns)]
    stored = sum(max(0, chunk.total_compressed_size) for chunk in chunks) + metadata.serialized_size
    most = _FEW_BYTES + _EXPANSION * stored
    if rows is not None and metadata.num_rows != rows:
        raise ValueError(f"{metadata.num_rows} rows for {rows} tiles")
    if not 0 <= metadata.num_rows <= most:
        raise ValueError(f"it declares {metadata.num_rows} rows")
    if sum(chunk.total_uncompressed_size for chunk in chunks) > most:
        raise ValueError("it declares far more data than a file of its size holds")
    if 8 * sum(chunk.num_values for chunk in chunks) > 4 * most:
        raise ValueError("it declares far more values than a file of its size holds")
    for name in dict.fromkeys(chunk.path_in_schema for chunk in chunks):
        own = [chunk for chunk in chunks if chunk.path_in_schema == name]
        # Each value may be as long as everything stored of the column.
        longest = sum(chunk.num_values * chunk.total_uncompressed_size for chunk in own)
        if longest > most and "." not in name and _decoded_bytes(path, file, name) > most:
            raise ValueError(f"the texts of its column {name!r} are far longer than the file")


def _decoded_bytes(path: Path, file: Any, name: str) -> int:
    """Size of a text column's values in memory, by its dictionary; 0 for other columns."""
    import pyarrow

    types, kind = pyarrow.types, file.schema_arrow.field(name).type
    kind = kind.value_type if types.is_dictionary(kind) else kind
    texts = (types.is_string, types.is_large_string, types.is_binary, types.is_large_binary)
    if not any(is_text(kind) for is_text in texts):
        return 0
    total = 0
    with open_parquet(path, read_dictionary=[name]) as encoded:
        for batch in encoded.iter_batches(columns=[name]):
            column = batch.column(0)
            if not types.is_dictionary(column.type):
                column = column.dictionary_encode()
            total += _bytes_of_texts(column)
    return total


def _bytes_of_texts(column: Any) -> int:
    """Size of the texts of a dictionary array in memory.

    Computed from the buffers: `to_numpy` imports pandas where that is installed, and
    `pyarrow.compute` takes longer to import than a query takes.
    """
    import numpy as np
    import pyarrow

    texts, indices = column.dictionary, column.indices
    large = pyarrow.types.is_large_string(texts.type) or pyarrow.types.is_large_binary(texts.type)
    ends = np.frombuffer(texts.buffers()[1], np.int64 if large else np.int32)
    lengths = np.diff(ends[texts.offset : texts.offset + len(texts) + 1].astype(np.int64))
    kind = np.dtype(str(indices.type))
    used = np.frombuffer(indices.buffers()[1], kind)[indices.offset : indices.offset + len(indices)]
    if len(lengths) == 0:
        return 0
    return int(
        lengths[np.clip(used, 0, len(lengths) - 1)].sum()
    )  # the index of a null is arbitrary
