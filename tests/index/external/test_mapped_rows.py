import numpy as np
import pyarrow
import pytest

from rsretrieve.index.external import mapped_rows
from rsretrieve.index.external.mapped_rows import (
    CountedIds,
    MappedRows,
    count_ids,
    first_repeated,
    kept_rows,
)
from rsretrieve.index.store.tile_table import IndexedTile, TileTable


def rows(*names):
    return [IndexedTile(name, f"/tiles/{name}", None, 1, 2, None) for name in names]


@pytest.mark.parametrize("block", [1, 3, 100])
@pytest.mark.parametrize("few", [0, 100])
def test_rows_are_kept_in_their_order(monkeypatch, few, block):
    monkeypatch.setattr(mapped_rows, "FEW_ROWS", few)
    monkeypatch.setattr(mapped_rows, "BLOCK_ROWS", block)
    kept = MappedRows(5)
    for some in (rows("a", "b"), rows("c"), rows("d", "e")):
        kept.append(TileTable.of(some).columns)
    assert kept.table() == rows("a", "b", "c", "d", "e")


def test_many_rows_lie_on_the_disk_in_large_blocks(monkeypatch):
    monkeypatch.setattr(mapped_rows, "FEW_ROWS", 0)
    monkeypatch.setattr(mapped_rows, "BLOCK_ROWS", 10)
    kept, before = MappedRows(100), pyarrow.total_allocated_bytes()
    for i in range(100):
        kept.append(TileTable.of(rows(str(i))).columns)
    table = kept.table()
    assert [row.id for row in table] == [str(i) for i in range(100)]
    assert table.columns.column("id").num_chunks == 10
    del kept
    assert pyarrow.total_allocated_bytes() - before < 1000  # its values are mapped


@pytest.mark.parametrize("few", [0, 100])
def test_some_of_many_rows_are_kept(monkeypatch, few):
    monkeypatch.setattr(mapped_rows, "FEW_ROWS", few)
    monkeypatch.setattr(mapped_rows, "BLOCK_ROWS", 2)
    table = TileTable.of(rows(*"abcdefg"))
    are_kept = np.array([name in "adeg" for name in "abcdefg"])
    assert kept_rows(table, are_kept) == rows(*"adeg")


def test_no_rows_are_a_table_without_rows(monkeypatch):
    monkeypatch.setattr(mapped_rows, "FEW_ROWS", -1)
    assert len(MappedRows(0).table()) == 0


@pytest.mark.parametrize("few", [0, 100])
@pytest.mark.parametrize(("ids", "expected"), [("abcde", None), ("abcdb", "b"), ("aa", "a")])
def test_an_id_that_occurs_twice_is_found(monkeypatch, few, ids, expected):
    monkeypatch.setattr(mapped_rows, "FEW_ROWS", few)
    monkeypatch.setattr(mapped_rows, "BLOCK_ROWS", 2)
    chunked = pyarrow.chunked_array([list(ids[:2]), list(ids[2:])], pyarrow.string())
    assert first_repeated(chunked) == expected
    assert count_ids(lambda: iter(ids)) == CountedIds(len(ids), expected)


@pytest.mark.parametrize("apart", [1, 2, 3, 7, 50])
def test_an_id_that_occurs_twice_far_apart_is_found(monkeypatch, apart):
    monkeypatch.setattr(mapped_rows, "BLOCK_ROWS", 3)
    ids = [str(i) for i in range(60)]
    ids[5 + apart] = ids[5]
    assert count_ids(lambda: iter(ids)) == CountedIds(60, "5")


def test_all_ids_occur_twice(monkeypatch):
    monkeypatch.setattr(mapped_rows, "BLOCK_ROWS", 3)
    monkeypatch.setattr(mapped_rows, "MOST_SUSPECTS", 2)
    found = count_ids(lambda: iter([*"abcdefgh", *"hgfedcba"]))
    assert found.count == 16
    assert found.repeated in set("abcdefgh")


def test_ids_with_the_same_hash_are_not_the_same():
    class Same(str):
        __slots__ = ()

        def __hash__(self):
            return 7

    ids = [Same("a"), Same("b")]
    assert count_ids(lambda: iter(ids)).repeated is None
    assert count_ids(lambda: iter([*ids, Same("a")])).repeated == "a"


def test_a_repeated_id_is_found_after_others_that_share_their_hash(monkeypatch):
    """Each look at the ids has one hash; which comes first depends on Python's seed."""

    class Shared(str):
        __slots__ = ()

        def __hash__(self):
            return ord(self[0])

    monkeypatch.setattr(mapped_rows, "MOST_SUSPECTS", 1)
    ids = [Shared(name) for name in ("a1", "a2", "b1", "b2", "c1", "c2", "c1")]
    assert count_ids(lambda: iter(ids[:-1])) == CountedIds(6, None)
    assert count_ids(lambda: iter(ids)) == CountedIds(7, "c1")


def test_no_ids_are_none():
    assert count_ids(lambda: iter(())) == CountedIds(0, None)
