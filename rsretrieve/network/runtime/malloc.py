"""Keep freed memory in the process while a network runs.

glibc returns large blocks to the system as soon as they are freed, and the system fills each page
with zeros before it hands it out again. Every training step and every embedded batch frees and
allocates the same hundreds of megabytes. That took a twentieth of a step's time (MobileNetV2 at
64 px, batches of 64, one thread).
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Option numbers from glibc's <malloc.h>."""
_LARGEST_RETAINED = 1 << 28
_GLIBC_MAX_MMAP_THRESHOLD = 1 << 25
"""glibc's own upper limit for the mmap threshold; older versions accept no larger value."""


@contextmanager
def retain_freed_memory() -> Iterator[bool]:
    """Let glibc keep freed blocks of up to 256 MB inside the `with` block, then release them.

    The process reuses what it keeps. Its peak memory grows only by the gaps between blocks of
    different sizes.

    Yields:
        Whether the setting took effect. It does nothing with other C libraries than glibc.
    """
    retained = _set_malloc_options(retain=True)
    try:
        yield retained
    finally:
        _set_malloc_options(retain=False)


def _set_malloc_options(*, retain: bool) -> bool:
    """Set glibc's thresholds; without `retain` restore them and release all freed memory.

    Returns:
        Whether glibc accepted the values.
    """
    library = _glibc()
    if library is None:
        return False
    # The mmap threshold first: with the trim threshold alone, blocks above 128 kB would still be
    # returned to the system.
    mmap_thresholds = (
        (_LARGEST_RETAINED, _GLIBC_MAX_MMAP_THRESHOLD) if retain else (_GLIBC_MAX_MMAP_THRESHOLD,)
    )
    accepted = any(library.mallopt(_M_MMAP_THRESHOLD, size) for size in mmap_thresholds)
    trim_threshold = _LARGEST_RETAINED if retain else 2 * _GLIBC_MAX_MMAP_THRESHOLD
    accepted = accepted and bool(library.mallopt(_M_TRIM_THRESHOLD, trim_threshold))
    if not retain:
        library.malloc_trim(0)
    return accepted


def _glibc() -> Any:
    """The C library if it is glibc, else None (Windows, macOS, musl)."""
    try:
        library = ctypes.CDLL(None)
        return library if library.mallopt and library.malloc_trim else None
    except (OSError, AttributeError, TypeError):
        return None
