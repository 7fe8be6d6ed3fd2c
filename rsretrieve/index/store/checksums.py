"""Whether a file is still the one that a checksum was taken of.

A file is read whole to know it. Of a large one that was found right, its size, its times and
its number on the disk are noted in the user's cache: as long as they stay, nobody has
written to it, and a query over an index of 100 GB need not read all of it first.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from rsretrieve._core.atomic_write import sha256_of_file, write_json
from rsretrieve._core.cache_dir import cache_dir

NOTED_FROM_BYTES = 256 << 20  # below, reading takes a moment


def find_wrong_files(
    paths: Mapping[str, Path], sha256: Mapping[str, str], *, thorough: bool = False
) -> list[str]:
    """The names of files that are missing or whose content differs.

    Args:
        paths: where each lies, by its name.
        sha256: of each.
        thorough: read every file, whatever was noted of it.
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
        if sha256_of_file(path) != sha256:
            return False
    except OSError:
        return False
    if note is not None:
        with suppress(OSError):  # a note that cannot be kept costs time only
            write_json(note, [*before, sha256], overwrite=True)
    return True


def _identity(path: Path) -> list[int]:
    """What changes when somebody writes to a file; ctime cannot be set by a program."""
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev]


def _noted(note: Path) -> object:
    try:
        content: object = json.loads(note.read_text(encoding="utf-8"))
        return content
    except (OSError, ValueError):
        return None


def _note_path(path: Path) -> Path | None:
    """Where the note on a file lies; None for who has no home to keep it in."""
    root = cache_dir()
    name = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:32]
    return None if root is None else root / "checked" / f"{name}.json"
