"""Find a file that a FAISS index names, before FAISS opens it.

FAISS's lists on disk (`OnDiskInvertedLists`) are a second file. The index names it by its path, and
FAISS maps it while it reads the index: a stranger's index could name any file. FAISS's flags for
reading do not prevent this in an index within an index, such as a coarse quantizer. So the file is
searched for such lists: their mark (`ilod`), and after it the lists, the free slots and the path,
each with its length, as `OnDiskInvertedListsIOHook` of FAISS's `OnDiskInvertedLists.cpp` reads
them. FAISS opens nothing if one of them is longer than the file, or the path is empty; codes that
contain the mark by chance are therefore passed over.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path

from rsretrieve._core.file_notes import NOTED_FROM_BYTES, FileNote
from rsretrieve._core.regular_files import open_regular

BLOCK_BYTES = 1 << 24
_MARK = b"ilod"
_BEFORE_LISTS = 20  # bytes: the mark, the number of lists, the size of a code
_LIST_BYTES, _SLOT_BYTES = 24, 16


def refuse_named_files(path: Path) -> None:
    """Refuse an index that names another file.

    A large file that was searched is noted, and not read again as long as it stays unchanged.

    Args:
        path: the file of a FAISS index.

    Raises:
        ValueError: it names another file.
        OSError: it cannot be read.
    """
    note = FileNote.of(path, "searched", "names no file", NOTED_FROM_BYTES)
    if note.is_kept:
        return
    with open_regular(path) as stream:
        size = path.stat().st_size
        if any(_names_file(stream, place, size) for place in list(_marks(stream))):
            raise ValueError("names another file, in which FAISS would read its lists")
    note.keep()


def _marks(stream: BufferedReader) -> Iterator[int]:
    """The places of the mark in a file."""
    start, tail = 0, b""
    while block := stream.read(BLOCK_BYTES):
        block, start = tail + block, start - len(tail)
        found = block.find(_MARK)
        while found >= 0:
            yield start + found
            found = block.find(_MARK, found + 1)
        start, tail = start + len(block), block[1 - len(_MARK) :]


def _names_file(stream: BufferedReader, place: int, size: int) -> bool:
    """Whether lists on disk, with the path of their file, can begin at a place of a file."""
    place += _BEFORE_LISTS
    for item_bytes in (_LIST_BYTES, _SLOT_BYTES):
        place += 8 + item_bytes * _number(stream, place)
        if place > size:
            return False
    length = _number(stream, place)
    return 0 < length <= size - place and stream.read(1) != b"\0"


def _number(stream: BufferedReader, place: int) -> int:
    """The 64-bit number at a place; 0 at the end of the file."""
    stream.seek(place)
    number: int = struct.unpack("<Q", stream.read(8).ljust(8, b"\0"))[0]
    return number
