"""What decoding a tile may take of memory and of processor time, by what there is to decode.

The system ends a process that takes more time, and refuses it more memory; who asked is told.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

MEMORY_BYTES = 1 << 30
"""What a worker may take above what it is made of: a few copies of the largest RGB tile."""
_MORE_BYTES = 1 << 30  # for large files, and at most `_EACH_BYTE` times their size
_EACH_BYTE = 8
_LEAST_S, _A_MEGABYTE_S, _A_MEGAVALUE_S = 1.0, 1.0, 0.1
_FILES = 256  # open at once
_POSIX = os.name == "posix"

_limited = False  # this is a worker
_base_bytes = 0


def limit_process() -> None:
    """Let few files be open, and no core file be left; from now on tiles are limited."""
    global _limited
    if not _POSIX:
        return
    import resource

    _limited = True

    for limit, most in ((resource.RLIMIT_CORE, 0), (resource.RLIMIT_NOFILE, _FILES)):
        with suppress(OSError, ValueError):  # stricter ones are set
            resource.setrlimit(limit, (most, most))


def let_no_file_be_written() -> None:
    """Let files be made, at most, and nothing be written into them, wherever there are limits."""
    if _POSIX:
        import resource

        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def measure_base() -> None:
    """Take what the process is made of now as what its tiles need nothing of."""
    global _base_bytes
    if _POSIX:
        with suppress(OSError, ValueError):
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            _base_bytes = pages * os.sysconf("SC_PAGE_SIZE")


def begin_tile(size_bytes: int) -> None:
    """Limit memory and time for a tile, or for some that are read together.

    Args:
        size_bytes: of its file, or of what is read of it.
    """
    if not _limited:
        return
    _limit_time(_LEAST_S + _A_MEGABYTE_S * size_bytes / 1e6)
    if not _base_bytes:
        measure_base()
    import resource

    most = _base_bytes + MEMORY_BYTES + min(_MORE_BYTES, _EACH_BYTE * size_bytes)
    with suppress(OSError, ValueError):
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (most, hard))


def allow_values(count: int) -> None:
    """Give the tile more time: its file says that this many values are to be decoded."""
    left = signal.getitimer(signal.ITIMER_PROF)[0] if _limited else 0
    if left:
        _limit_time(left + _A_MEGAVALUE_S * count / 1e6)


def end_tile() -> None:
    """Stop the clock."""
    if _limited:
        _limit_time(0)


def _limit_time(seconds: float) -> None:
    """The system sends SIGPROF, which ends the process, after so much time of its processors."""
    signal.setitimer(signal.ITIMER_PROF, seconds)
