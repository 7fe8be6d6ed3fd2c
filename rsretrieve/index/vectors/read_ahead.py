"""Read scattered rows of a memory-mapped array from the disk at once instead of one by one."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_ROWS = 4096  # of more, most pages are needed more than once, and the calls cost more

Advise = Callable[[mmap.mmap, int, int], None]
"""Announces that bytes of a map will be needed: the map, the first byte, how many."""


def _will_need(mapped: mmap.mmap, start: int, length: int) -> None:
    if hasattr(mmap, "MADV_WILLNEED"):  # not on Windows
        mapped.madvise(mmap.MADV_WILLNEED, start, length)


def read_ahead(stored: Any, rows: NDArray[np.int64], advise: Advise = _will_need) -> None:
    """Ask the system to read rows of a memory-mapped array, all at the same time.

    Without it, each row that is not in memory is waited for before the next is asked for. It does
    nothing for an array in memory, for very many rows, and on a system that has no such call.

    Args:
        stored: (N, D), an array; may be memory-mapped.
        rows: numbers of rows; those below 0 are left out.
        advise: announces bytes to the system.
    """
    mapped = getattr(stored, "_mmap", None)
    if not isinstance(mapped, mmap.mmap) or rows.size > MOST_ROWS:
        return
    width = stored.strides[0]
    # The map begins at a page of the file, and the array some bytes after it.
    first = stored.ctypes.data - np.frombuffer(mapped, np.uint8).ctypes.data
    starts = first + np.unique(rows[rows >= 0]) * width
    for start in starts.tolist():
        page = start // mmap.PAGESIZE * mmap.PAGESIZE
        advise(mapped, page, start + width - page)
