"""Parquet files of any length are read in the memory of a few batches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from rsretrieve._core.tables import open_parquet

ROWS = 200_000


@pytest.mark.parametrize("group", [ROWS, 10_000])
def test_batches_are_read_one_after_another(tmp_path: Path, group: int) -> None:
    values = np.random.default_rng(0).standard_normal((4, ROWS))  # cannot be compressed
    path = tmp_path / "t.parquet"
    table = pyarrow.table({f"column {i}": column for i, column in enumerate(values)})
    parquet.write_table(
        table, path, row_group_size=group, use_dictionary=False, data_page_size=1 << 14
    )
    size, before, most = path.stat().st_size, pyarrow.total_allocated_bytes(), 0
    read = []
    with open_parquet(path) as file:
        for batch in file.iter_batches(1000):
            most = max(most, pyarrow.total_allocated_bytes() - before)
            read.append(batch.column(3).to_numpy().copy())
    assert np.array_equal(np.concatenate(read), values[3])
    assert size > 8 * values.size
    assert most < size / 2  # not the file, nor a row group
