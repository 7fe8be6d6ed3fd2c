"""Read files that must be regular files: opening a pipe may block indefinitely.

Not for paths that the user typed: these may be pipes on purpose.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from contextlib import suppress
from functools import cache
from io import BufferedReader
from pathlib import Path

_MAX_TEXT_BYTES = 1 << 26
"""Limit for a text file of a model or index folder: a sparse file could fill the memory."""


@cache
def _system_devices() -> frozenset[int]:
    """The devices of the system's own files, which are no files on a disk."""
    found = set()
    for folder in ("/proc", "/sys", "/dev"):
        with suppress(OSError):
            found.add(os.stat(folder).st_dev)  # noqa: PTH116
    with suppress(OSError):
        found.discard(os.stat("/").st_dev)  # noqa: PTH116
    return frozenset(found) if os.name == "posix" else frozenset()


def is_of_system(status: os.stat_result) -> bool:
    """Whether something lies in /proc, /sys or /dev, whose files may block or never end."""
    return status.st_dev in _system_devices()


def open_regular(path: Path) -> BufferedReader:
    """Open a regular file for reading.

    Raises:
        OSError: it cannot be opened, or is a folder, a pipe, a socket or a device.
    """
    _require_regular(path, path.stat().st_mode)
    # Another program may replace the file by a pipe in between: open without blocking, check again.
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        _require_regular(path, os.fstat(handle).st_mode)
    except OSError:
        os.close(handle)
        raise
    return os.fdopen(handle, "rb")


def sha256_of_regular(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file of a model or index folder; see `open_regular`."""
    with open_regular(path) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_regular_text(path: Path) -> str:
    """Read a text file (UTF-8) of a model or index folder; see `open_regular`.

    Returns:
        The text; every line ends with a line feed.

    Raises:
        OSError: it cannot be read, or is larger than 64 MiB.
        ValueError: it is not UTF-8.
    """
    with open_regular(path) as stream:
        content = stream.read(_MAX_TEXT_BYTES + 1)
    if len(content) > _MAX_TEXT_BYTES:
        reason = f"is larger than {_MAX_TEXT_BYTES >> 20} MiB"
        raise OSError(errno.EFBIG, reason, str(path))
    return content.decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")


def _require_regular(path: Path, mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "is a folder, not a file", str(path))
    if not stat.S_ISREG(mode):
        reason = "is a pipe, a socket or a device, not a file"
        raise OSError(errno.EINVAL, reason, str(path))
