"""Unit vectors that are made block by block from whatever the embeddings are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK_BYTES = 64 << 20
"""What a block of an N × K matrix may take; no such matrix is ever kept."""


@dataclass(frozen=True)
class UnitRows:
    """N rows of unit length, float32, each made when it is asked for.

    A million embeddings on disk are read through here a block at a time, and never copied.

    Attributes:
        source: (M, D) of any float type, in memory or memory-mapped; never changed.
        rows: (N,) int64, which rows of `source` these are; None for all of them.
    """

    source: NDArray[Any]
    rows: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.source) if self.rows is None else len(self.rows)

    @property
    def dimensions(self) -> int:
        """D."""
        return int(self.source.shape[1])

    def __getitem__(self, chosen: slice | NDArray[np.int64]) -> NDArray[np.float32]:
        """Some rows, as a fresh (n, D) array."""
        positions = chosen if self.rows is None else self.rows[chosen]
        block = np.array(self.source[positions], np.float32)
        block /= np.maximum(np.linalg.norm(block, axis=1, keepdims=True), 1e-12)
        return block


def blocks_of(count: int, columns: int) -> Iterator[slice]:
    """Cut rows into blocks whose products with `columns` vectors stay within `BLOCK_BYTES`.

    >>> list(blocks_of(0, 8))
    []
    """
    size = max(1, BLOCK_BYTES // (4 * max(1, columns)))
    return (slice(start, min(start + size, count)) for start in range(0, count, size))
