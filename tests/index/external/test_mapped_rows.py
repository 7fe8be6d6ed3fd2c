import pyarrow
import pytest

from rsretrieve.index.external import mapped_rows
from rsretrieve.index.external.mapped_rows import CountedIds, MappedRows, count_ids, first_repeated
from rsretrieve.index.store.tile_table import IndexedTile, TileTable


def rows(*names):
    return [IndexedTile(name, f"/tiles/{name}", None, 1, 2, None) for name in names]


@pytest.mark.parametrize("few", [0, 100])
def test_rows_are_kept_in_their_order(monkeypatch, few):
    monkeypatch.setattr(mapped_rows, "FEW_ROWS", few)
    kept = MappedRows(5)
    for some in (rows("a", "b"), rows("c"), rows("d", "e")):
        kept.append(TileTable.of(some).columns)
    assert kept.table() == rows("a", "b", "c", "d", "e")


def test_no_rows_are_a_table_without_rows(monkeypatch):
    monkeypatch.setattr(mapped_rows, "FEW_ROWS", -1)
    assert len(MappedRows(0).table()) == 0


@pytest.mark.parametrize("few", [0, 100])
@pytest.mark.parametrize(("ids", "expected"), [("abcde", None), ("abcdb", "b"), ("aa", "a")])
def test_an_id_that_occurs_twice_is_found(monkeypatch, few, ids, expected):
    monkeypatch.setattr(mapped_rows, "FEW_ROWS", few)
    monkeypatch.setattr(mapped_rows, "_AT_ONCE", 2)
    chunked = pyarrow.chunked_array([list(ids[:2]), list(ids[2:])], pyarrow.string())
    assert first_repeated(chunked) == expected
    assert count_ids(lambda: iter(ids)) == CountedIds(len(ids), expected)


def test_ids_with_the_same_hash_are_not_the_same():
    class Same(str):
        __slots__ = ()

        def __hash__(self):
            return 7

    ids = [Same("a"), Same("b")]
    assert count_ids(lambda: iter(ids)).repeated is None
    assert count_ids(lambda: iter([*ids, Same("a")])).repeated == "a"


def test_no_ids_are_none():
    assert count_ids(lambda: iter(())) == CountedIds(0, None)
