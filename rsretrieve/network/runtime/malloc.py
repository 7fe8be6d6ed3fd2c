"""Memory that a network lets go and soon takes again stays with the process.

The C library gives large blocks back to the system as soon as they are free, and the system
fills each page with zeros before it hands it out again. A step of training, or a batch that is
embedded, frees and takes the same hundreds of megabytes each time: a twentieth of a step's time
went into that (MobileNetV2 at 64 px, batches of 64, one thread).
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Their numbers in glibc's <malloc.h>."""
_LARGEST_KEPT = 1 << 28
_LARGEST_OF_ITSELF = 1 << 25
"""As far as glibc raises the threshold by itself, and older ones let it be raised."""


@contextmanager
def freed_memory_kept() -> Iterator[bool]:
    """Let the C library keep blocks of up to 256 MB that are free, and give them back at the end.

    What is kept is for the same process to take again: its peak grows by no more than the holes
    that blocks of many sizes leave between them.

    Yields:
        Whether it does; libraries other than glibc are left as they are.
    """
    kept = keep_freed_memory(keep=True)
    try:
        yield kept
    finally:
        keep_freed_memory(keep=False)


def keep_freed_memory(*, keep: bool) -> bool:
    """Let the C library keep what is free, or let it be as it comes and give all of that back.

    Returns:
        Whether it was told.
    """
    library = _glibc()
    if library is None:
        return False
    # Blocks first: with the other alone, all above 128 kB would go back to the system.
    sizes = (_LARGEST_KEPT, _LARGEST_OF_ITSELF) if keep else (_LARGEST_OF_ITSELF,)
    blocks_stay = any(library.mallopt(_MMAP_THRESHOLD, size) for size in sizes)
    most_on_top = _LARGEST_KEPT if keep else 2 * _LARGEST_OF_ITSELF
    told = blocks_stay and bool(library.mallopt(_TRIM_THRESHOLD, most_on_top))
    if not keep:
        library.malloc_trim(0)
    return told


def _glibc() -> Any:
    """The C library, if it is one that can be told; Windows and macOS have others."""
    try:
        library = ctypes.CDLL(None)
        return library if library.mallopt and library.malloc_trim else None
    except (OSError, AttributeError, TypeError):
        return None
