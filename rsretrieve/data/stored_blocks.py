"""Which windows of a sparse scene touch stored blocks, by a summed-area table."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class StoredBlocks:
    """Finds the windows of a sparse scene that touch at least one stored block.

    Args:
        stored: (rows, columns) which blocks the file stores.
        block_px: width and height of a block.
    """

    def __init__(self, stored: NDArray[np.bool_], block_px: tuple[int, int]) -> None:
        counts = stored.astype(np.int64).cumsum(0).cumsum(1)
        self._until = np.pad(counts, ((1, 0), (1, 0)))
        self._block_px = block_px

    def among(
        self, rows: list[tuple[int, int]], columns: list[tuple[int, int]]
    ) -> NDArray[np.bool_]:
        """(R, C) whether the window of each row and column touches a stored block.

        Args:
            rows: R starts and sizes along y.
            columns: C starts and sizes along x.
        """
        top, bottom = self._blocks(rows, 0)
        left, right = self._blocks(columns, 1)
        until = self._until
        count = until[np.ix_(bottom, right)] - until[np.ix_(top, right)]
        count += until[np.ix_(top, left)] - until[np.ix_(bottom, left)]
        return np.asarray(count > 0)

    def _blocks(
        self, cut: list[tuple[int, int]], axis: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The first block that each window touches along an axis, and the one after the last."""
        starts, sizes = np.array(cut, np.int64).T
        block_px, most = self._block_px[1 - axis], self._until.shape[axis] - 1
        ends = -(-(starts + sizes) // block_px)
        return np.minimum(starts // block_px, most), np.minimum(ends, most)
