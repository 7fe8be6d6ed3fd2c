"""Rows that are collected block by block are the rows, wherever they lie and whatever repeats."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsretrieve.index.store import row_blocks
from rsretrieve.index.store.row_blocks import RowBlocks
from rsretrieve.index.store.tile_table import IndexedTile, TileTable

texts = st.sampled_from(["", "a", "ä", "long" * 30])
rows_of_blocks = st.lists(
    st.lists(
        st.builds(IndexedTile, texts, texts, st.none() | texts, st.just(1), st.integers(0, 1),
                  st.none(), texts),
        max_size=4,
    ),
    max_size=5,
)  # fmt: skip


def collected(
    blocks: Sequence[Sequence[IndexedTile]], *, on_disk: bool, may_stay: bool = True
) -> TileTable:
    kept = RowBlocks(on_disk=on_disk, may_stay=may_stay)
    for block in blocks:
        kept.append(TileTable.of(block).columns)
    return TileTable(kept.table())


@settings(deadline=None, max_examples=60)
@given(rows_of_blocks, st.booleans())
@pytest.mark.medium
def test_blocks_together_are_the_rows(blocks: list[list[IndexedTile]], on_disk: bool) -> None:
    assert collected(blocks, on_disk=on_disk) == [row for block in blocks for row in block]


def numbered(start: int, count: int) -> list[IndexedTile]:
    return [IndexedTile(f"{i:09}", "", None, -1, 0, None) for i in range(start, start + count)]


@pytest.mark.parametrize("on_disk", [False, True])
def test_a_column_of_nulls_or_of_a_constant_takes_the_room_of_a_block(on_disk: bool) -> None:
    blocks = [numbered(1000 * i, 1000) for i in range(20)]
    before = pyarrow.total_allocated_bytes()
    table = collected([*blocks, numbered(20_000, 500)], on_disk=on_disk)
    taken = pyarrow.total_allocated_bytes() - before
    assert len(table) == 20_500
    assert table.columns.column("crs").null_count == 20_500
    assert table[20_499] == numbered(20_499, 1)[0]
    ids = 0 if on_disk else 13 * 20_500  # nine letters and an offset; without them, 16 columns more
    assert taken < 1.1 * ids + 200_000 * (not on_disk) + 1000


def test_no_rows_are_a_table_without_rows() -> None:
    assert len(collected([], on_disk=True)) == len(collected([[]], on_disk=False)) == 0


@pytest.mark.parametrize("when", ["no folder", "full", "little room"])
def test_rows_that_find_no_room_on_disk_stay_in_memory(
    when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = [numbered(i, 3) for i in (0, 3, 6)]
    if when == "no folder":
        monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    elif when == "full":
        monkeypatch.setattr(pyarrow.ipc, "new_stream", Full)
    else:
        usage = iter([SimpleNamespace(free=2 * row_blocks.FREE_BYTES), SimpleNamespace(free=5)])
        real = shutil.disk_usage("/")
        monkeypatch.setattr(shutil, "disk_usage", lambda _: next(usage, real._replace(free=5)))
    assert collected(blocks, on_disk=True) == [row for block in blocks for row in block]


@pytest.mark.parametrize("when", ["no folder", "full"])
def test_rows_that_must_lie_on_disk_are_an_error_without_room(
    when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if when == "no folder":
        monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    else:
        monkeypatch.setattr(pyarrow.ipc, "new_stream", Full)
    with pytest.raises(OSError):  # noqa: PT011
        collected([numbered(0, 3), numbered(3, 3)], on_disk=True, may_stay=False)


def test_no_temporary_file_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    table = collected([numbered(0, 3)], on_disk=True)
    assert not list(tmp_path.iterdir())
    assert table == numbered(0, 3)


class Full:
    """A file of which the second block finds no room, and leaves half of itself."""

    def __init__(self, path: str, schema: pyarrow.Schema) -> None:
        self._stream, self._path, self._left = pyarrow.OSFile(path, "wb"), path, 1
        self._writer = pyarrow.RecordBatchStreamWriter(self._stream, schema)

    def write_batch(self, batch: pyarrow.RecordBatch) -> None:
        if not self._left:
            self._stream.write(b"\xff\xff\xff\xff\x40")
            raise OSError(28, "No space left on device")
        self._left -= 1
        self._writer.write_batch(batch)

    def close(self) -> None:
        self._stream.close()
