import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from rsretrieve.data.notes import Note
from rsretrieve.index.cluster.shard_file import Shard, ShardRow, read_shard
from rsretrieve.index.store.tile_table import IndexedTile

PART = "0123456789abcdef"


def row(name, place=None):
    return IndexedTile(f"{name}.png", f"/tiles/{name}.png", "forest", 10, 20, place, "cc")


ROWS = [
    ShardRow(row("a"), np.array([1, 0], np.float32), notes=(Note.FILL,)),
    ShardRow(row("b"), None, "it is no image"),
    ShardRow(row("c"), np.array([0, 1], np.float32), means=np.array([1.5]), deviations=np.ones(1)),
    ShardRow(row("d"), None, "too much of it is nodata", is_skipped=True),
]


def content():
    return Shard.of(ROWS, 2).to_bytes(PART)


def test_a_shard_is_read_as_it_was_written():
    shard = read_shard(content(), PART, 2)
    assert shard.rows.column("id").to_pylist() == ["a.png", "c.png"]
    assert shard.vectors.tolist() == [[1, 0], [0, 1]]
    assert [(bad.id, why, out) for bad, why, out in shard.failed] == [
        ("b.png", "it is no image", False),
        ("d.png", "too much of it is nodata", True),
    ]
    assert shard.notes == [("a.png", (Note.FILL,))]
    assert shard.features.means.tolist() == [[1.5]]
    assert [record.row for record in shard.records()] == [one.row for one in ROWS]


def test_the_same_rows_make_the_same_bytes():
    assert content() == content()


@pytest.mark.parametrize(("part", "dimensions"), [("other", 2), (PART, 3)])
def test_the_shard_of_another_part_is_refused(part, dimensions):
    with pytest.raises(ValueError, match="other tiles"):
        read_shard(content(), part, dimensions)


def test_a_shard_that_is_cut_short_or_changed_is_refused():
    whole = content()
    assert len(whole) > 100
    for length in (0, 10, len(whole) // 2, len(whole) - 1):
        with pytest.raises(ValueError, match="it "):
            read_shard(whole[:length], PART, 2)


def test_no_changed_byte_gives_another_content():
    whole, expected = content(), read_shard(content(), PART, 2).table
    for position in range(4, len(whole), 37):
        changed = bytearray(whole)
        changed[position] ^= 1
        try:
            found = read_shard(bytes(changed), PART, 2).table
        except ValueError:
            continue
        assert found.equals(expected)


def test_a_table_of_somebody_else_is_refused():
    sink = pyarrow.BufferOutputStream()
    parquet.write_table(pyarrow.table({"embedding": [[1.0, 0.0]]}), sink)
    with pytest.raises(ValueError, match="other tiles"):
        read_shard(sink.getvalue().to_pybytes(), PART, 2)


@pytest.mark.parametrize("vector", [[np.nan, 0], [1, 0, 0]])
def test_vectors_that_are_none_are_refused(vector):
    rows = [ShardRow(row("a"), np.array(vector, np.float32))]
    with pytest.raises(ValueError, match="finite"):
        read_shard(Shard.of(rows, 2).to_bytes(PART), PART, 2)
