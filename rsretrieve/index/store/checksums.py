"""Compare files with their checksums, and remember the result for large files.

A checksum needs the whole file. If a large file matches, that is noted (`FileNote`), and a query of
an index of 100 GB need not read all of it first.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rsretrieve._core.file_notes import NOTED_FROM_BYTES, FileNote
from rsretrieve._core.regular_files import sha256_of_regular


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
        note = FileNote.of(path, "checked", sha256, NOTED_FROM_BYTES)
        if not thorough and note.is_kept:
            return True
        if sha256_of_regular(path) != sha256:
            return False
    except OSError:
        return False
    note.keep()
    return True
