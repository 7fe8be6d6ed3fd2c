"""Limits of memory and processor time for decoding a tile, by the size of its file.

The system ends a process that takes more time, and refuses it more memory.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

MEMORY_BYTES = 1 << 30
"""What a worker may take beyond its base: a few copies of the largest RGB tile."""
_MORE_BYTES = 1 << 30  # for large files, and at most `_EACH_BYTE` times their size
_EACH_BYTE = 8
_LEAST_S, _A_MEGABYTE_S, _A_MEGAVALUE_S = 1.0, 1.0, 0.1
HEADER_BYTES = 4_000_000
"""What counts as the size of a file of which only the header is read."""
_FILES = 256  # open at once
_POSIX = os.name == "posix"

is_limited = False  # this process is a worker
_base_bytes = 0


def limit_process() -> None:
    """Limit open files, forbid core files, and switch on the limits of tiles."""
    global is_limited
    if not _POSIX:
        return
    import resource

    is_limited = True

    for limit, most in ((resource.RLIMIT_CORE, 0), (resource.RLIMIT_NOFILE, _FILES)):
        with suppress(OSError, ValueError):  # stricter limits are set
            resource.setrlimit(limit, (most, most))


def let_no_file_be_written() -> None:
    """Forbid writing into files; empty files may still be made (POSIX systems only)."""
    if _POSIX:
        import resource

        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def measure_base() -> None:
    """Record the memory that the process takes now as its base, without any tile."""
    global _base_bytes
    if _POSIX:
        with suppress(OSError, ValueError):
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            _base_bytes = pages * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def tile_limits(size_bytes: int) -> Iterator[None]:
    """Limit memory and processor time for a tile, or for tiles that are read together.

    The limit of memory stays until the next tile.

    Args:
        size_bytes: the size of the file, or of the part that is read.
    """
    if not is_limited:
        yield
        return
    _limit_memory(size_bytes)
    _limit_time(_LEAST_S + _A_MEGABYTE_S * size_bytes / 1e6)
    try:
        yield
    finally:
        _limit_time(0)


def _limit_memory(size_bytes: int) -> None:
    if not _base_bytes:
        measure_base()
    import resource

    most = _base_bytes + MEMORY_BYTES + min(_MORE_BYTES, _EACH_BYTE * size_bytes)
    with suppress(OSError, ValueError):
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (most, hard))


def allow_values(count: int) -> None:
    """Allow more processor time: `count` values are to be decoded."""
    left = signal.getitimer(signal.ITIMER_PROF)[0] if is_limited else 0
    if left:
        _limit_time(left + _A_MEGAVALUE_S * count / 1e6)


def _limit_time(seconds: float) -> None:
    """Have the system send SIGPROF, which ends the process, after this much processor time."""
    signal.setitimer(signal.ITIMER_PROF, seconds)
