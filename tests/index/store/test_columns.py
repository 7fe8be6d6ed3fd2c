"""Whole columns of the id table against plain loops over its rows."""

from __future__ import annotations

import random

import numpy as np
import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsretrieve.data.geo.place import Place
from rsretrieve.index.store import columns
from rsretrieve.index.store.columns import (
    Footprints,
    TileWindows,
    encode_column,
    find_rows,
    number_texts,
    rows_of_ids,
    taken,
    taken_rows,
)
from rsretrieve.index.store.tile_schema import SCHEMA
from rsretrieve.index.store.tile_table import IndexedTile, TileTable

texts = st.text(st.sampled_from("abß€/"), max_size=4)


def table_of(ids: list[str], places: list[Place | None] | None = None) -> TileTable:
    places = places or [None] * len(ids)
    return TileTable.of([IndexedTile(i, "/" + i, i or None, 1, 1, p) for i, p in zip(ids, places)])


def in_chunks(table: TileTable, size: int) -> TileTable:
    """The same table in slices of its columns."""
    batches = table.columns.to_batches(max_chunksize=size)
    return TileTable(pyarrow.Table.from_batches(batches, table.columns.schema))


@settings(deadline=None, max_examples=60)
@given(st.lists(texts, max_size=12), texts, st.integers(1, 5))
@pytest.mark.medium
def test_rows_with_a_text_are_those_a_loop_finds(ids: list[str], text: str, size: int) -> None:
    for table in (table_of(ids), in_chunks(table_of(ids), size)):
        for asked in {text, *ids}:
            expected = [row for row, name in enumerate(ids) if name == asked]
            assert find_rows(table, "id", asked).tolist() == expected


@settings(deadline=None, max_examples=30)
@given(st.lists(texts, max_size=12))
def test_codes_stand_for_the_texts_and_absent_fields_have_none(ids: list[str]) -> None:
    codes, names = encode_column(table_of(ids), "label")
    assert [names[code] if code >= 0 else None for code in codes] == [i or None for i in ids]


def place(*corners: tuple[float, float]) -> Place:
    return Place("EPSG:4326", (0, 0, 1, 1), corners)


@pytest.mark.parametrize("size", [1, 2, 10])
def test_footprints_are_those_of_the_rows_that_have_one(size: int) -> None:
    square = place((1, 1), (1, 0), (2, 0), (2, 1))
    triangle = place((5, 5), (6, 5), (6, 6))
    across = place((179, 1), (179, 0), (-179, 0), (-179, 1))
    globe = place((-180, 90), (-180, -90), (180, -90), (180, 90))
    places = [None, square, None, triangle, across, globe]
    found = Footprints.of(in_chunks(table_of(list("abcdef"), places), size))
    assert found.rows.tolist() == [1, 3, 4, 5]
    there = [p for p in places if p is not None]
    assert [found[i] for i in range(4)] == [list(p.footprint) for p in there]
    assert found.crosses_antimeridian().tolist() == [False, False, True, False]
    boxes = [(1, 0, 2, 1), (5, 5, 6, 6), (179, 0, 181, 1), (-180, -90, 180, 90)]
    np.testing.assert_allclose(found.boxes(), boxes)


def test_an_index_without_places_has_no_footprints() -> None:
    for table in (table_of([]), table_of(["a", "b"])):
        found = Footprints.of(table)
        assert len(found) == 0
        assert found.boxes().shape == (0, 4)
        assert found.crosses_antimeridian().tolist() == []


@settings(deadline=None, max_examples=40)
@given(st.lists(texts, min_size=1, max_size=12), st.integers(1, 5), st.randoms())
@pytest.mark.medium
def test_a_table_of_many_chunks_gives_what_one_of_one_chunk_gives(
    ids: list[str], size: int, chance: random.Random
) -> None:
    whole = table_of([f"{name}#{i % 3},0,5,7" if i % 2 else name for i, name in enumerate(ids)])
    parts = in_chunks(whole, size)
    rows = np.array([chance.randrange(len(ids)) for _ in range(9)], np.int64)
    for some in (rows, np.sort(rows), rows[:0]):
        expected = [whole[i] for i in some.tolist()]
        assert taken_rows(parts, some) == expected
        assert taken(parts.columns.column("id"), some).to_pylist() == [row.id for row in expected]
    assert encode_column(parts, "label")[1] == encode_column(whole, "label")[1]
    assert (encode_column(parts, "label")[0] == encode_column(whole, "label")[0]).all()
    one, other = TileWindows.of(whole), TileWindows.of(parts)
    assert one.files.to_pylist() == other.files.to_pylist()
    assert (one.edges == other.edges).all()
    assert (one.is_window == other.is_window).all()
    names = whole.column("id")
    asked = [*names, "absent", names[0]]
    found = rows_of_ids(parts, pyarrow.array(asked)).tolist()
    assert found == [names.index(name) if name in names else -1 for name in asked]


def test_texts_beyond_the_limit_of_an_array_are_numbered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "_MOST_BYTES", 10)
    column = pyarrow.chunked_array([["a", "b"], [None, "a"]], pyarrow.string())
    codes, names = number_texts(column)
    assert (codes.tolist(), names.to_pylist()) == ([0, 1, -1, 0], ["a", "b"])
    assert names.type == pyarrow.large_string()
    codes, names = number_texts(pyarrow.chunked_array([], pyarrow.string()))
    assert (len(codes), len(names)) == (0, 0)


@pytest.mark.exhaustive
@pytest.mark.parametrize("differ", [False, True])
def test_columns_of_more_than_2_gib_are_encoded_and_taken(differ: bool) -> None:
    """Of one block again and again, or of texts that all differ. Takes up to 15 GB of memory."""
    count, wide = 100_000, 1_000
    blocks = [
        pyarrow.array([f"{number if differ else 0:09}{i:0{wide}}" for i in range(count)])
        for number in range(23 if differ else 1)
    ]
    column = pyarrow.chunked_array(blocks if differ else blocks * 23)
    nothing = {f.name: pyarrow.nulls(len(column), f.type) for f in SCHEMA}
    table = TileTable(pyarrow.table({**nothing, "id": column, "path": column}, schema=SCHEMA))
    rows = np.array([2_299_999, 0, 1_150_000])
    expected = [column[i].as_py() for i in rows.tolist()]
    codes, names = number_texts(column)
    assert [names[codes[i]].as_py() for i in rows.tolist()] == expected
    assert taken(column, rows).to_pylist() == expected
    assert taken_rows(table, rows, ("id", "path")).column("path") == expected
    assert rows_of_ids(table, pyarrow.array(expected[:1])).tolist() == [
        2_299_999 if differ else 99_999
    ]
    found = TileWindows.of(table)
    assert not found.is_window.any()
    assert taken(found.files, rows).to_pylist() == expected
