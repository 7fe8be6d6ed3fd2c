"""Rows of an id table that are collected batch by batch; many of them lie on disk meanwhile."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.compute as pc
from numpy.typing import NDArray

from rsretrieve.index.store.row_blocks import RowBlocks
from rsretrieve.index.store.tile_schema import SCHEMA
from rsretrieve.index.store.tile_table import TileTable

FEW_ROWS = 500_000
"""Up to this number rows are kept in memory: they take 100 to 300 bytes each."""
BLOCK_ROWS = 100_000
"""Rows and ids that are held in memory at once."""
MOST_SUSPECTS = 10_000
"""Hashes of repeated ids that are looked up at once."""


class MappedRows:
    """Collects rows.

    Args:
        count: the number of rows that will come. If these are more than `FEW_ROWS`, they are
            written to temporary files, which end with the process, in blocks of `BLOCK_ROWS`: each
            block that is mapped takes some memory.
    """

    def __init__(self, count: int) -> None:
        self._tables: list[pyarrow.Table] = []
        self._waiting = 0
        self._blocks = RowBlocks(on_disk=count > FEW_ROWS, may_stay=False)

    def append(self, table: pyarrow.Table) -> None:
        """Add rows, a table of `SCHEMA`.

        Raises:
            OSError: the temporary folder is full.
        """
        self._tables.append(table)
        self._waiting += len(table)
        if self._waiting >= BLOCK_ROWS:
            self._add_block()

    def _add_block(self) -> None:
        with _room_named():
            self._blocks.append(pyarrow.concat_tables([SCHEMA.empty_table(), *self._tables]))
        self._tables, self._waiting = [], 0

    def table(self) -> TileTable:
        """All rows; those on disk are memory-mapped."""
        self._add_block()
        with _room_named():
            return TileTable(self._blocks.table())


def blocks_of(rows: TileTable) -> Iterator[pyarrow.Table]:
    """The columns of rows, `BLOCK_ROWS` rows at a time."""
    for start in range(0, len(rows), BLOCK_ROWS):
        yield rows.columns.slice(start, BLOCK_ROWS)


def kept_rows(rows: TileTable, are_kept: NDArray[np.bool_]) -> TileTable:
    """Some of many rows, in their order.

    Args:
        rows: N tiles.
        are_kept: (N,) which of them.

    Raises:
        OSError: the temporary folder is full.
    """
    kept, start = MappedRows(int(are_kept.sum())), 0
    for block in blocks_of(rows):
        kept.append(block.filter(pyarrow.array(are_kept[start : start + len(block)])))
        start += len(block)
    return kept.table()


def first_repeated(ids: pyarrow.ChunkedArray, *, empty_too: bool = True) -> str | None:
    """An id that occurs twice, or None; with `empty_too=False`, not the empty one."""
    if len(ids) <= FEW_ROWS:
        counts = pc.value_counts(ids if empty_too else ids.filter(pc.not_equal(ids, "")))
        twice = counts.filter(pc.greater(counts.field("counts"), 1))
        return str(twice[0]["values"].as_py()) if len(twice) else None
    listed = partial(_listed, ids, empty_too=empty_too)
    return count_ids(listed).repeated


def _listed(ids: pyarrow.ChunkedArray, *, empty_too: bool) -> Iterator[str]:
    return (one for chunk in ids.chunks for one in chunk.to_pylist() if one or empty_too)


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

    Of each only 8 bytes are kept, on disk: Python's hash, whose seed nobody knows. Ids that share
    a hash are compared themselves.

    Args:
        ids: begins to list them; called again to look at those with the same hash.

    Raises:
        OSError: the temporary folder is full.
    """
    count = 0
    with tempfile.NamedTemporaryFile(prefix="rsretrieve-ids-") as file, _room_named():
        listed = iter(ids())
        while some := list(islice(listed, BLOCK_ROWS)):
            np.fromiter(map(hash, some), np.int64, len(some)).tofile(file)
            count += len(some)
        file.flush()
        if not count:
            return CountedIds(0, None)
        hashes = np.memmap(file.name, np.int64, "r+")
        hashes.sort()
        suspects = _repeated_values(hashes)
        while some_hashes := set(islice(suspects, MOST_SUSPECTS)):
            repeated = _repeated_among(ids(), some_hashes)
            if repeated is not None:
                return CountedIds(count, repeated)
    return CountedIds(count, None)


def _repeated_values(rising: NDArray[np.int64]) -> Iterator[int]:
    """The values of a sorted array that occur more than once."""
    for start in range(0, len(rising), BLOCK_ROWS):
        block = rising[max(0, start - 1) : start + BLOCK_ROWS]
        yield from block[1:][block[1:] == block[:-1]].tolist()


def _repeated_among(ids: Iterable[str], hashes: set[int]) -> str | None:
    """The first id with one of these hashes that was there before, or None."""
    seen: set[str] = set()
    for one in ids:
        if hash(one) in hashes:
            if one in seen:
                return one
            seen.add(one)
    return None


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
