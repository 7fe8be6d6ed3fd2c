"""Whole columns of the id table against plain loops over its rows."""

from __future__ import annotations

import numpy as np
import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsretrieve.data.geo.place import Place
from rsretrieve.index.store.columns import Footprints, encode_column, find_rows
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
