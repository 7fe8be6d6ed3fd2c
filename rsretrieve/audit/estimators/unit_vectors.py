"""Embeddings as unit vectors, converted block by block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK_BYTES = 64 << 20
"""Largest block of an N × K matrix; the whole matrix is never kept."""


@dataclass(frozen=True)
class UnitRows:
    """N rows of unit length, float32, converted when they are read.

    A million embeddings on disk are thus read block by block and never copied as a whole.

    Attributes:
        source: (M, D) of any float type, in memory or memory-mapped; never changed.
        rows: (N,) int64 rows of `source`; None for all of them.
    """

    source: NDArray[Any]
    rows: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.source) if self.rows is None else len(self.rows)

    @property
    def dimensions(self) -> int:
        """Number of dimensions, D."""
        return int(self.source.shape[1])

    def __getitem__(self, chosen: slice | NDArray[np.int64]) -> NDArray[np.float32]:
        """Some rows, as a new (n, D) float32 array."""
        positions = chosen if self.rows is None else self.rows[chosen]
        block = np.array(self.source[positions], np.float32)
        block /= np.maximum(np.linalg.norm(block, axis=1, keepdims=True), 1e-12)
        return block

    def taken(self, rows: NDArray[np.int64]) -> UnitRows:
        """Some of the rows, in another order; nothing is copied."""
        return UnitRows(self.source, rows if self.rows is None else self.rows[rows])


def blocks_of(count: int, columns: int) -> Iterator[slice]:
    """Split rows into blocks whose products with `columns` vectors fit in `BLOCK_BYTES`.

    Args:
        count: number of rows.
        columns: number of values per row, each of 4 bytes.

    Yields:
        Slices of the rows, in order.

    >>> list(blocks_of(0, 8))
    []
    """
    size = max(1, BLOCK_BYTES // (4 * max(1, columns)))
    return (slice(start, min(start + size, count)) for start in range(0, count, size))
