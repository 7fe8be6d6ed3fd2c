"""The id table beside an index: what is written is read, and files that changed are told."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import replace
from pathlib import Path

import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from rsretrieve.data import file_state
from rsretrieve.data.file_state import FileStates, content_digest
from rsretrieve.data.geo.place import Place
from rsretrieve.data.tile import Tile
from rsretrieve.data.window import Window
from rsretrieve.errors import IndexDamaged
from rsretrieve.index.store import tile_table
from rsretrieve.index.store.tile_schema import SCHEMA
from rsretrieve.index.store.tile_table import IndexedTile, TileTable, read_table, write_table

PLACE = Place(
    "EPSG:32632",
    (600_000.0, 5_300_000.0, 600_080.5, 5_300_080.0),
    ((9.1, 47.9), (9.1, 47.8), (9.2, 47.8), (9.2, 47.9)),
)
PLACED = IndexedTile("a/1.tif", "/tiles/a/1.tif", "a", 10, 1_700_000_000_123_456_789, PLACE)
NEWER = {name: [""] for name in ("sidecars", "state", "datetime_source")}
"""Columns that are left out where they are empty."""
UNDATED = {name: [None] for name in ("datetime", "end_datetime")}
BARE = IndexedTile("großes Feld.png", "/tiles/großes Feld.png", None, 0, 0, None)


@pytest.fixture
def tile(tmp_path: Path) -> Tile:
    """A tile whose file is there."""
    path = tmp_path / "tile.tif"
    path.write_bytes(b"0123456789")
    return Tile("tile.tif", str(path), "forest")


def test_rows_with_and_without_place_and_label_are_read_as_written(tmp_path: Path) -> None:
    write_table(tmp_path / "tiles.parquet", [PLACED, BARE, replace(PLACED, id="b", label=None)])
    rows = read_table(tmp_path / "tiles.parquet")
    assert rows == [PLACED, BARE, replace(PLACED, id="b", label=None)]


def test_an_empty_table_is_read_as_none(tmp_path: Path) -> None:
    write_table(tmp_path / "tiles.parquet", [])
    assert read_table(tmp_path / "tiles.parquet") == []


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
numbers = st.floats(-1e7, 1e7)
corners = st.tuples(st.floats(-360, 360), st.floats(-90, 90))
places = st.builds(
    Place, texts, st.tuples(*[numbers] * 4), st.tuples(corners, corners, corners, corners)
)
sizes = st.integers(0, 2**63 - 1)
rows = st.builds(IndexedTile, texts, texts, st.none() | texts, sizes, sizes, st.none() | places)


@settings(deadline=None, max_examples=25)
@given(st.lists(rows, max_size=5))
def test_any_rows_survive_the_file(
    tmp_path_factory: pytest.TempPathFactory, table: list[IndexedTile]
) -> None:
    path = tmp_path_factory.mktemp("table") / "tiles.parquet"
    write_table(path, table)
    assert read_table(path) == table


def test_the_table_has_the_columns_of_the_contract(tmp_path: Path) -> None:
    write_table(tmp_path / "tiles.parquet", [PLACED])
    assert parquet.read_table(tmp_path / "tiles.parquet").column_names == [
        *("id", "path", "label", "size_bytes", "mtime_ns"),
        *("content", "crs", "bounds", "footprint"),
    ]


@pytest.mark.parametrize("content", [None, b"", b"PAR1 garbage PAR1"], ids=["none", "empty", "bad"])
def test_a_file_that_is_no_table_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "tiles.parquet"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(IndexDamaged, match=rf"^{re.escape(str(path))} cannot be read \("):
        read_table(path)


def test_half_a_place_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tiles.parquet"
    write_table(path, [PLACED])
    table = parquet.read_table(path).to_pydict()
    halved = {**table, "bounds": [None], "read_px": [None], "parts": [None], **NEWER, **UNDATED}
    parquet.write_table(pyarrow.table(halved, schema=SCHEMA), path)
    with pytest.raises(IndexDamaged, match=r"cannot be read \("):
        read_table(path)


@pytest.mark.parametrize("box", [[], [1.0, 2.0, 3.0], [1.0, 2.0, 3.0, 4.0, 5.0]], ids=len)
def test_bounds_that_are_not_four_numbers_are_refused(tmp_path: Path, box: list[float]) -> None:
    path = tmp_path / "tiles.parquet"
    write_table(path, [PLACED, PLACED, BARE])
    table = parquet.read_table(path).to_pydict()
    other = [0.0] * (8 - len(box))  # in all there are four numbers a tile
    changed = {
        **table,
        "bounds": [box, other, None],
        "read_px": [None] * 3,
        "parts": [None] * 3,
        **{name: [""] * 3 for name in NEWER},
        **{name: [None] * 3 for name in UNDATED},
    }
    parquet.write_table(pyarrow.table(changed, schema=SCHEMA), path)
    with pytest.raises(IndexDamaged, match="bounds of a tile are not four numbers"):
        read_table(path)


def test_no_list_of_fixed_length_is_written_for_tiles_without_a_place(tmp_path: Path) -> None:
    """Before 26, pyarrow cannot write or cannot read null among lists of a fixed length."""
    write_table(tmp_path / "tiles.parquet", [PLACED, BARE])
    written = parquet.read_schema(tmp_path / "tiles.parquet")
    assert written.field("bounds").type == pyarrow.list_(pyarrow.float64())


@pytest.mark.parametrize("table", [[PLACED], [PLACED, BARE], [BARE]])
def test_a_table_of_before_is_read(tmp_path: Path, table: list[IndexedTile]) -> None:
    if int(pyarrow.__version__.split(".")[0]) < 26 and BARE in table:
        pytest.skip("this pyarrow cannot read null among lists of a fixed length")
    path = tmp_path / "tiles.parquet"
    write_table(path, table)
    found = parquet.read_table(path)
    place = found.schema.get_field_index("bounds")
    fixed = pyarrow.array(found.column("bounds").to_pylist(), pyarrow.list_(pyarrow.float64(), 4))
    parquet.write_table(found.set_column(place, "bounds", fixed), path)
    assert read_table(path) == table


def test_a_row_notes_the_files_size_and_time_of_change(tile: Tile) -> None:
    os.utime(tile.path, ns=(1, 1_700_000_000_000_000_007))
    row = IndexedTile.of(tile, PLACE)
    digest = hashlib.blake2b(b"0123456789", digest_size=16).hexdigest()
    time_ns = 1_700_000_000_000_000_007
    assert row == IndexedTile("tile.tif", tile.path, "forest", 10, time_ns, PLACE, digest)


def test_a_file_that_changes_while_it_is_read_has_no_digest(tile: Tile) -> None:
    files = FileStates([tile])
    Path(tile.path).write_bytes(b"9876543210")
    os.utime(tile.path, ns=(1, 1))
    row = IndexedTile.of(tile, None, files)
    assert row.content == ""
    assert not row.is_current(tile)


def test_what_is_no_file_here_is_current_while_its_path_is_the_same() -> None:
    tile = Tile("a", "/nowhere/a.tif")
    row = IndexedTile.of(tile, None)
    assert (row.size_bytes, row.content) == (-1, "")
    assert row.is_current(tile)
    assert not row.is_current(replace(tile, path="/nowhere/b.tif"))


def test_every_file_is_looked_at_once_however_many_windows_it_has(
    tile: Tile, monkeypatch: pytest.MonkeyPatch
) -> None:
    windows = [replace(tile, id=f"tile.tif#{i},0,1,1") for i in range(50)]
    read: list[str] = []

    def noting(path: str) -> str:
        read.append(path)
        return content_digest(path)

    monkeypatch.setattr(file_state, "content_digest", noting)
    files = FileStates(windows)
    rows = [IndexedTile.of(window, None, files) for window in windows]
    assert read == [tile.path]
    assert len({row.content for row in rows}) == 1


def test_a_table_from_before_there_were_digests_is_read(tmp_path: Path) -> None:
    path = tmp_path / "tiles.parquet"
    write_table(path, [PLACED, BARE])
    parquet.write_table(parquet.read_table(path).drop_columns(["content"]), path)
    assert read_table(path) == [PLACED, BARE]


def test_rows_are_made_one_by_one(tmp_path: Path) -> None:
    write_table(tmp_path / "tiles.parquet", [PLACED, BARE])
    table = read_table(tmp_path / "tiles.parquet")
    assert (table[0], table[-1], table[0:2]) == (PLACED, BARE, [PLACED, BARE])
    assert table.column("id") == [PLACED.id, BARE.id]
    with pytest.raises(IndexError):
        table[2]


def test_a_row_gives_its_tile_back_with_its_window() -> None:
    row = replace(BARE, id="scene.tif#16,0,32,64", label="a")
    assert row.tile == Tile(row.id, row.path, "a", Window(16, 0, 32, 64))


def test_a_tile_is_current_while_its_file_is_untouched(tile: Tile) -> None:
    assert IndexedTile.of(tile, None).is_current(tile)


def test_another_label_leaves_a_tile_current(tile: Tile) -> None:
    assert IndexedTile.of(tile, None).is_current(replace(tile, label="water"))


def test_two_spellings_of_one_path_are_the_same_file(tile: Tile) -> None:
    path = Path(tile.path)
    detour = path.parent / ".." / path.parent.name / path.name
    assert IndexedTile.of(tile, None).is_current(replace(tile, path=str(detour)))


def test_a_file_of_another_size_is_not_current(tile: Tile) -> None:
    row, status = IndexedTile.of(tile, None), Path(tile.path).stat()
    Path(tile.path).write_bytes(b"01234567890")
    os.utime(tile.path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert not row.is_current(tile)


def test_a_file_written_anew_at_the_same_size_is_not_current(tile: Tile) -> None:
    row = IndexedTile.of(tile, None)
    Path(tile.path).write_bytes(b"9876543210")
    os.utime(tile.path, ns=(1, 1))
    assert not row.is_current(tile)


def test_a_file_that_was_only_touched_is_current(tile: Tile) -> None:
    row = IndexedTile.of(tile, None)
    os.utime(tile.path, ns=(1, 1))
    assert row.is_current(tile)
    assert not replace(row, content="").is_current(tile)  # when nothing is known of its content


def test_a_copy_elsewhere_is_current_by_its_content(tile: Tile, tmp_path: Path) -> None:
    row, copy = IndexedTile.of(tile, None), tmp_path / "copy.tif"
    copy.write_bytes(Path(tile.path).read_bytes())
    assert row.is_current(replace(tile, path=str(copy)))
    copy.write_bytes(b"9876543210")
    os.utime(copy, ns=(row.mtime_ns, row.mtime_ns))
    assert not row.is_current(replace(tile, path=str(copy)))


def test_a_file_that_is_gone_is_not_current(tile: Tile) -> None:
    row = IndexedTile.of(tile, None)
    Path(tile.path).unlink()
    assert not row.is_current(tile)


COARSE = Tile("s.tif#0,0,64,64", "s.tif", None, Window(0, 0, 64, 64, read_px=16))


def test_a_window_is_read_again_at_the_side_it_was_read_at(tmp_path: Path) -> None:
    (tmp_path / "s.tif").write_bytes(b"x")
    tile = replace(COARSE, path=str(tmp_path / "s.tif"))
    row = IndexedTile.of(tile, None)
    write_table(tmp_path / "tiles.parquet", [row])
    assert read_table(tmp_path / "tiles.parquet")[0].tile == tile
    assert row.is_current(tile)
    assert not row.is_current(replace(tile, window=Window(0, 0, 64, 64)))


def test_only_a_table_of_such_windows_has_a_column_for_the_side(tmp_path: Path) -> None:
    for read_px, has_column in ((None, False), (16, True)):
        write_table(tmp_path / "tiles.parquet", [PLACED, replace(BARE, read_px=read_px)])
        names = parquet.read_table(tmp_path / "tiles.parquet").column_names
        assert ("read_px" in names) == has_column


def test_what_lies_behind_a_url_is_current_while_its_path_is_the_same() -> None:
    tile = replace(COARSE, path="https://example.org/s.tif")
    row = IndexedTile.of(tile, None)
    assert (row.path, row.size_bytes, row.mtime_ns) == (tile.path, -1, -1)
    assert row.is_current(tile)
    assert not row.is_current(replace(tile, path="https://example.org/other/s.tif"))


def test_texts_that_are_no_utf_8_are_damage(tmp_path):
    rows = [IndexedTile("a", "/a.tif", "x", 1, 1, None)]
    columns = TileTable.of(rows).columns
    bad = pyarrow.array([b"\xff\xfe"], pyarrow.binary()).view(pyarrow.string())
    for name in ("id", "path", "label"):
        place = columns.schema.get_field_index(name)
        parquet.write_table(columns.set_column(place, name, bad), tmp_path / "t.parquet")
        with pytest.raises(IndexDamaged, match="UTF8"):
            read_table(tmp_path / "t.parquet")


def test_parts_of_a_footprint_are_read_as_written(tmp_path: Path) -> None:
    hole = ((9.14, 47.84), (9.16, 47.84), (9.16, 47.86))
    parts = ((PLACE.footprint, hole), (((10.0, 47.0), (11.0, 47.0), (11.0, 48.0)),))
    row = replace(PLACED, place=replace(PLACE, parts=parts))
    write_table(tmp_path / "tiles.parquet", [row, BARE, PLACED])
    assert list(read_table(tmp_path / "tiles.parquet")) == [row, BARE, PLACED]


@pytest.mark.parametrize("parts", [[[[[0, 0], [1, 1]]]], [[]], [[[[0, 0], [1, 1], [0, 95]]]]])
def test_parts_that_are_no_polygons_are_refused(tmp_path: Path, parts: list[object]) -> None:
    table = TileTable.of([PLACED]).columns
    at = table.schema.get_field_index("parts")
    table = table.set_column(at, SCHEMA.field(at), pyarrow.array([parts], SCHEMA.field(at).type))
    parquet.write_table(table, tmp_path / "tiles.parquet")
    with pytest.raises(IndexDamaged):
        read_table(tmp_path / "tiles.parquet")


def test_places_beyond_the_globe_of_earlier_versions_are_not_passed_on(tmp_path: Path) -> None:
    over = replace(PLACE, footprint=((0.0, 90.125), (0.0, 74.0), (16.0, 74.0), (16.0, 90.125)))
    metres = replace(PLACE, footprint=((5e5, 5e6), (5e5, 4e6), (6e5, 4e6)))
    rows = [
        replace(PLACED, id=str(i), place=place) for i, place in enumerate((over, metres, PLACE))
    ]
    write_table(tmp_path / "tiles.parquet", rows)
    first, second, third = read_table(tmp_path / "tiles.parquet")
    assert first.place is not None
    assert first.place.footprint == ((0.0, 90.0), (0.0, 74.0), (16.0, 74.0), (16.0, 90.0))
    assert second.place is None
    assert third.place == PLACE


@pytest.mark.parametrize("most", [0, 10_000])
@pytest.mark.parametrize("block", [1, 7, 1000])
def test_a_table_is_the_same_read_block_by_block(
    most: int, block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [replace(PLACED if i % 3 else BARE, id=str(i)) for i in range(40)]
    write_table(tmp_path / "tiles.parquet", rows)
    monkeypatch.setattr(tile_table, "MOST_IN_MEMORY", most)
    monkeypatch.setattr(tile_table, "BLOCK_ROWS", block)
    read = read_table(tmp_path / "tiles.parquet", 40)
    assert read == rows
    assert [read[i] for i in (0, 39, -1)] == [rows[i] for i in (0, 39, -1)]


@pytest.mark.parametrize("most", [0, 10_000])
def test_a_value_that_rsretrieve_does_not_write_is_found_in_any_block(
    most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tile_table, "MOST_IN_MEMORY", most)
    monkeypatch.setattr(tile_table, "BLOCK_ROWS", 3)
    table = TileTable.of([replace(BARE, id=str(i)) for i in range(10)]).columns
    sizes = pyarrow.array([1] * 9 + [-5], pyarrow.int64())
    at = table.schema.get_field_index("size_bytes")
    parquet.write_table(table.set_column(at, "size_bytes", sizes), tmp_path / "tiles.parquet")
    with pytest.raises(IndexDamaged, match="negative size"):
        read_table(tmp_path / "tiles.parquet")


def test_the_memory_of_a_table_does_not_grow_with_its_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tile_table, "MOST_IN_MEMORY", 100)
    monkeypatch.setattr(tile_table, "BLOCK_ROWS", 500)
    write_table(tmp_path / "tiles.parquet", [replace(BARE, id=str(i)) for i in range(5_000)])
    before = pyarrow.total_allocated_bytes()
    read = read_table(tmp_path / "tiles.parquet")
    assert pyarrow.total_allocated_bytes() - before < 5_000
    assert len(read) == 5_000
