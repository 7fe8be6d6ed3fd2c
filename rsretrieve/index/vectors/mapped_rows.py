"""Read scattered rows of a memory-mapped array from the disk at once instead of one by one."""

from __future__ import annotations

import mmap
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MOST_ROWS = 4096  # of more, most pages are needed more than once, and the calls cost more


def read_ahead(stored: Any, rows: NDArray[np.int64]) -> None:
    """Ask the system to read rows of a memory-mapped array, all at the same time.

    Without it, each row that is not in memory is waited for before the next is asked for. It does
    nothing for an array in memory, for very many rows, and on a system that has no such call.

    Args:
        stored: (N, D), an array; may be memory-mapped.
        rows: numbers of rows; those below 0 are left out.
    """
    mapped = getattr(stored, "_mmap", None)
    if not isinstance(mapped, mmap.mmap) or not hasattr(mmap, "MADV_WILLNEED"):
        return
    if rows.size > _MOST_ROWS:
        return
    width = stored.strides[0]
    # The map begins at a page of the file, and the array some bytes after it.
    first = stored.ctypes.data - np.frombuffer(mapped, np.uint8).ctypes.data
    starts = first + np.unique(rows[rows >= 0]) * width
    for page, end in zip((starts // mmap.PAGESIZE * mmap.PAGESIZE).tolist(), starts.tolist()):
        mapped.madvise(mmap.MADV_WILLNEED, page, end + width - page)
