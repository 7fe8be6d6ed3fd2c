"""Rows of an id table that are collected batch by batch; many of them lie on disk meanwhile."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.compute as pc
from numpy.typing import NDArray

from rsretrieve.index.store.tile_schema import SCHEMA
from rsretrieve.index.store.tile_table import TileTable

FEW_ROWS = 500_000
"""Up to this number rows are kept in memory: they take 100 to 300 bytes each."""
_AT_ONCE = 100_000


class MappedRows:
    """Collects rows.

    Args:
        count: the number of rows that will come. If these are more than `FEW_ROWS`, they are
            written to a temporary file, which ends with the process.
    """

    def __init__(self, count: int) -> None:
        self._tables = [SCHEMA.empty_table()]
        self._file: Any = None
        self._writer: Any = None
        if count > FEW_ROWS:
            self._file = tempfile.NamedTemporaryFile(prefix="rsretrieve-rows-")  # noqa: SIM115
            self._writer = pyarrow.ipc.new_file(self._file.name, SCHEMA)

    def append(self, table: pyarrow.Table) -> None:
        """Add rows, a table of `SCHEMA`.

        Raises:
            OSError: the temporary folder is full.
        """
        if self._writer is None:
            self._tables.append(table)
            return
        with _room_named():
            self._writer.write_table(table)

    def table(self) -> TileTable:
        """All rows; those on disk are memory-mapped."""
        if self._writer is None:
            return TileTable(pyarrow.concat_tables(self._tables).combine_chunks())
        with _room_named():
            self._writer.close()
        mapped = pyarrow.memory_map(self._file.name)
        rows = TileTable(pyarrow.ipc.open_file(mapped).read_all())
        self._file.close()  # removes the file; the mapping keeps its content
        return rows


def first_repeated(ids: pyarrow.ChunkedArray) -> str | None:
    """An id that occurs twice, or None."""
    if len(ids) <= FEW_ROWS:
        counts = pc.value_counts(ids)
        twice = counts.filter(pc.greater(counts.field("counts"), 1))
        return str(twice[0]["values"].as_py()) if len(twice) else None
    return count_ids(lambda: (one for chunk in ids.chunks for one in chunk.to_pylist())).repeated


@dataclass(frozen=True)
class CountedIds:
    """Ids that were counted.

    Attributes:
        count: how many there are.
        repeated: one that occurs twice, or None.
    """

    count: int
    repeated: str | None


def count_ids(ids: Callable[[], Iterable[str]]) -> CountedIds:
    """Count ids, and find one that occurs twice, without keeping them.

    Of each only 8 bytes are kept, on disk: Python's hash, whose seed nobody knows.

    Args:
        ids: begins to list them; called again to look at those with the same hash.

    Raises:
        OSError: the temporary folder is full.
    """
    count = 0
    with tempfile.NamedTemporaryFile(prefix="rsretrieve-ids-") as file, _room_named():
        listed = iter(ids())
        while some := list(islice(listed, _AT_ONCE)):
            np.fromiter(map(hash, some), np.int64, len(some)).tofile(file)
            count += len(some)
        file.flush()
        if not count:
            return CountedIds(0, None)
        hashes = np.memmap(file.name, np.int64, "r+")
        hashes.sort()
        same = (block[1:][block[1:] == block[:-1]] for block in _overlapping(hashes))
        suspects = {one for block in same for one in block.tolist()}
    seen: set[str] = set()
    for one in ids() if suspects else ():
        if hash(one) in suspects:
            if one in seen:
                return CountedIds(count, one)
            seen.add(one)
    return CountedIds(count, None)


def _overlapping(values: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Blocks that overlap: each begins with the last value of the one before."""
    for start in range(0, len(values), _AT_ONCE):
        yield values[max(0, start - 1) : start + _AT_ONCE]


@contextmanager
def _room_named() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        folder = tempfile.tempdir or os.environ.get("TMPDIR") or "the temporary folder"
        reason = f"{os.strerror(error.errno)}: the rows are kept there (TMPDIR names another one)"
        raise OSError(error.errno, reason, str(Path(folder))) from error
