"""Rows of an id table, collected block by block: what repeats is stored once, the rest on disk."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from typing import Any

import pyarrow

from rsretrieve.index.store.tile_schema import SCHEMA

FREE_BYTES = 1 << 30
"""Free space that rows leave in the temporary folder, if they may stay in memory."""


class RowBlocks:
    """Collects blocks of rows.

    A block of a column that is like the block before, such as one of nulls or of a constant, is
    not stored again.

    Args:
        on_disk: write them to temporary files, one for each column, which end with the process.
        may_stay: keep a block in memory if the temporary folder is full, cannot be used, or would
            have less than `FREE_BYTES` left.
    """

    def __init__(self, *, on_disk: bool, may_stay: bool) -> None:
        self._columns = [_Column(entry, on_disk, may_stay) for entry in SCHEMA]

    def append(self, block: pyarrow.Table) -> None:
        """Add rows, a table of `SCHEMA`.

        Raises:
            OSError: the temporary folder is full, and blocks may not stay in memory.
        """
        block = block.combine_chunks()  # a column of more than 2 GiB still has several
        for column in self._columns:
            for chunk in filter(len, block.column(column.name).chunks):
                column.append(chunk)

    def table(self) -> pyarrow.Table:
        """All rows; those on disk are memory-mapped."""
        return pyarrow.table([column.whole() for column in self._columns], schema=SCHEMA)


class _Column:
    """The blocks of a column.

    Args:
        entry: its name and type.
        on_disk, may_stay: see `RowBlocks`.
    """

    def __init__(self, entry: pyarrow.Field, on_disk: bool, may_stay: bool) -> None:
        self.name, self._type = entry.name, entry.type
        self._on_disk, self._may_stay = on_disk, may_stay
        self._last: Any = None
        self._blocks: list[Any] = []  # an array, or the number of a batch in the file
        self._parts: list[tuple[int, int]] = []  # the number of a block, and rows of it
        self._file: Any = None
        self._writer: Any = None
        self._written = 0

    def append(self, chunk: pyarrow.Array) -> None:
        last = self._last
        if last is None or not last.slice(0, len(chunk)).equals(chunk):
            self._last = chunk
            self._blocks.append(self._stored(chunk))
        self._parts.append((len(self._blocks) - 1, len(chunk)))

    def _stored(self, chunk: pyarrow.Array) -> pyarrow.Array | int:
        if not self._on_disk:
            return chunk
        try:
            if self._may_stay and not _has_room(chunk.nbytes):
                self._on_disk = False
                return chunk
            self._write(chunk)
        except OSError:
            if not self._may_stay:
                raise
            self._on_disk = False
            return chunk
        return self._written - 1

    def _write(self, chunk: pyarrow.Array) -> None:
        batch = pyarrow.record_batch([chunk], names=[self.name])
        if self._file is None:
            self._file = tempfile.NamedTemporaryFile(prefix="rsretrieve-rows-")  # noqa: SIM115
            weakref.finalize(self, self._file.close)  # if an error ends the reading
            self._writer = pyarrow.ipc.new_stream(self._file.name, batch.schema)
        self._writer.write_batch(batch)
        self._written += 1

    def whole(self) -> pyarrow.ChunkedArray:
        """All blocks; those on disk are memory-mapped."""
        mapped = self._mapped()
        blocks = [mapped[block] if isinstance(block, int) else block for block in self._blocks]
        parts = [blocks[number].slice(0, count) for number, count in self._parts]
        return pyarrow.chunked_array(parts, self._type)

    def _mapped(self) -> list[pyarrow.Array]:
        if self._file is None:
            return []
        self._writer.close()
        stream = pyarrow.ipc.open_stream(pyarrow.memory_map(self._file.name))
        # Not to the end: a full disk may have cut off what follows.
        found = [stream.read_next_batch().column(0) for _ in range(self._written)]
        self._file.close()  # removes the file; the mapping keeps its content
        return found


def _has_room(size_bytes: int) -> bool:
    return shutil.disk_usage(tempfile.gettempdir()).free >= size_bytes + FREE_BYTES
