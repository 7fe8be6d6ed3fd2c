"""Compare files with their checksums, and remember the result for large files.

A checksum needs the whole file. If a large file matches, its size, times and inode are noted in the
user's cache: as long as they stay the same, nobody has written to it, and a query of an index of
100 GB need not read all of it first.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from rsretrieve._core.atomic_write import write_json
from rsretrieve._core.cache_dir import cache_dir
from rsretrieve._core.regular_files import sha256_of_regular

NOTED_FROM_BYTES = 256 << 20  # smaller files are read in a moment


def find_wrong_files(
    paths: Mapping[str, Path], sha256: Mapping[str, str], *, thorough: bool = False
) -> list[str]:
    """The names of files that are missing, are not regular files, or do not match their checksum.

    Args:
        paths: the files by name.
        sha256: the expected checksums by name, hexadecimal.
        thorough: read every file, even if a note says that it matched.

    Returns:
        Names, in the order of `sha256`.
    """
    with ThreadPoolExecutor(max(1, len(sha256))) as pool:
        right = pool.map(lambda item: _is_right(paths[item[0]], item[1], thorough), sha256.items())
    return [name for name, fine in zip(sha256, right) if not fine]


def _is_right(path: Path, sha256: str, thorough: bool) -> bool:
    try:
        before = _identity(path)
        note = _note_path(path) if before[0] >= NOTED_FROM_BYTES else None
        if note is not None and not thorough and _noted(note) == [*before, sha256]:
            return True
        if sha256_of_regular(path) != sha256:
            return False
    except OSError:
        return False
    if note is not None:
        with suppress(OSError):  # a missing note costs only time
            write_json(note, [*before, sha256], overwrite=True)
    return True


def _identity(path: Path) -> list[int]:
    """What changes if somebody writes to a file; programs cannot set its ctime."""
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev]


def _noted(note: Path) -> object:
    try:
        content: object = json.loads(note.read_text(encoding="utf-8"))
        return content
    except (OSError, ValueError):
        return None


def _note_path(path: Path) -> Path | None:
    """The path of the note about a file; None if the user has no cache folder."""
    root = cache_dir()
    name = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:32]
    return None if root is None else root / "checked" / f"{name}.json"
