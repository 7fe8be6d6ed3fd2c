"""Memory that a training lets go and soon takes again stays with the process.

The C library gives large blocks back to the system as soon as they are free, and the system
fills each page with zeros before it hands it out again. A training step frees and takes the
same hundreds of megabytes each time: a twentieth of a step's time went into that (MobileNetV2
at 64 px, batches of 64, one thread). Embedding, which takes less at once, gains nothing by it.
"""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Their numbers in glibc's <malloc.h>."""
_KEPT = 1 << 30
_LARGEST_OF_OLD_GLIBC = 1 << 25


def keep_freed_memory() -> bool:
    """Let the C library keep up to a gigabyte that is free, for this process from now on.

    Returns:
        Whether it does; libraries other than glibc are left as they are.
    """
    try:
        set_option = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):  # Windows and macOS have none
        return False
    # Blocks first: with the other alone, all above 128 kB would go back to the system.
    blocks_stay = any(set_option(_MMAP_THRESHOLD, size) for size in (_KEPT, _LARGEST_OF_OLD_GLIBC))
    return blocks_stay and bool(set_option(_TRIM_THRESHOLD, _KEPT))
