"""What counts as the same tile: its content decides, and its sidecars belong to it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from pyarrow import parquet

from rsretrieve.data.file_state import FileStates
from rsretrieve.data.tile import Tile
from rsretrieve.index.store.tile_table import IndexedTile, read_table, write_table

LONG_AGO_NS = 1_700_000_000_000_000_000


@pytest.fixture(autouse=True)
def times_count_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of a test are always new: otherwise their times would never decide."""
    monkeypatch.setattr("rsretrieve.data.file_state.SETTLED_NS", 0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two files of the same size and time, as unpacked from an archive."""
    (tmp_path / "t").mkdir()
    for name in "ab":
        path = tmp_path / "t" / f"{name}.tif"
        path.write_bytes(name.encode() * 10)
        os.utime(path, ns=(LONG_AGO_NS, LONG_AGO_NS))
    return tmp_path / "t"


def tile(folder: Path, name: str = "a.tif") -> Tile:
    return Tile(name, str(folder / name), "forest")


def keep_times(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    os.utime(path, ns=(LONG_AGO_NS, LONG_AGO_NS))


def test_an_unchanged_file_is_not_read_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = IndexedTile.of(tile(folder), None)

    def never(path: str) -> str:
        raise AssertionError(path)

    monkeypatch.setattr("rsretrieve.data.file_state.content_digest", never)
    assert row.state
    assert row.is_current(tile(folder))


def test_two_files_that_swap_their_names_are_changed(folder: Path) -> None:
    rows = [IndexedTile.of(tile(folder, name), None) for name in ("a.tif", "b.tif")]
    (folder / "a.tif").rename(folder / "x")
    (folder / "b.tif").rename(folder / "a.tif")
    (folder / "x").rename(folder / "b.tif")
    assert [row.is_current(tile(folder, row.id)) for row in rows] == [False, False]


def test_a_file_that_is_rewritten_with_its_old_size_and_time_is_changed(folder: Path) -> None:
    row = IndexedTile.of(tile(folder), None)
    keep_times(folder / "a.tif", b"z" * 10)
    assert not row.is_current(tile(folder))


def test_a_copy_over_it_with_the_same_content_is_not_changed(folder: Path) -> None:
    row = IndexedTile.of(tile(folder), None)
    shutil.copy(folder / "a.tif", folder / "c")
    (folder / "c").replace(folder / "a.tif")
    assert row.is_current(tile(folder))


def test_a_moved_and_a_copied_folder_are_not_changed(folder: Path) -> None:
    (folder / "a.tfw").write_text("10\n0\n0\n-10\n5\n5\n")
    row = IndexedTile.of(tile(folder), None)
    copied = Path(shutil.copytree(folder, folder.with_name("copy")))
    moved = folder.rename(folder.with_name("moved"))
    assert row.is_current(tile(copied))
    assert row.is_current(tile(moved))


@pytest.mark.parametrize("settled", [0, 2_000_000_000])
def test_a_second_change_within_a_tick_is_seen(
    folder: Path, monkeypatch: pytest.MonkeyPatch, settled: int
) -> None:
    monkeypatch.setattr("rsretrieve.data.file_state.SETTLED_NS", settled)
    row = IndexedTile.of(tile(folder), None)
    assert (row.state == "") == bool(settled)
    status = (folder / "a.tif").stat()
    keep_times(folder / "a.tif", b"y" * 10)
    if settled:  # as if the clock had not ticked
        same = replace(row, mtime_ns=status.st_mtime_ns)
        assert not same.is_current(tile(folder))
    assert not row.is_current(tile(folder))


SIDECARS = (
    *("a.tif.aux.xml", "a.tif.msk", "a.tif.ovr", "a.tif.msk.ovr", "a.tfw", "a.TFW", "a.tifw"),
    *("a.wld", "a.prj", "a.hdr", "a_RPC.TXT", "a.RPB", "A.TIF.AUX.XML"),
)


@pytest.mark.parametrize("name", SIDECARS)
def test_a_sidecar_that_comes_changes_or_goes_changes_the_tile(folder: Path, name: str) -> None:
    without = IndexedTile.of(tile(folder), None)
    keep_times(folder / name, b"one")
    assert not without.is_current(tile(folder))
    with_it = IndexedTile.of(tile(folder), None)
    assert with_it.is_current(tile(folder))
    assert with_it.content == without.content
    keep_times(folder / name, b"two")
    assert not with_it.is_current(tile(folder))
    (folder / name).unlink()
    assert not with_it.is_current(tile(folder))
    assert without.is_current(tile(folder))


@pytest.mark.parametrize("name", ["b.tfw", "a.txt", "aa.prj", "a.jgw", "a.tif.raw", "sub/a.prj"])
def test_other_files_beside_it_do_not_count(folder: Path, name: str) -> None:
    row = IndexedTile.of(tile(folder), None)
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"one")
    assert row.is_current(tile(folder))
    assert not row.sidecars


def test_the_world_files_of_other_formats_count(folder: Path) -> None:
    for image, world in (("p.png", "p.pgw"), ("p.jpg", "p.jgw"), ("p.jpeg", "p.jpegw")):
        (folder / image).write_bytes(b"0123456789")
        row = IndexedTile.of(tile(folder, image), None)
        (folder / world).write_text("1")
        assert not row.is_current(tile(folder, image))


def older(path: Path, *columns: str) -> Callable[[IndexedTile], IndexedTile]:
    """As an older version wrote a row, without some columns."""

    def written(row: IndexedTile) -> IndexedTile:
        write_table(path, [row])
        parquet.write_table(parquet.read_table(path).drop_columns(list(columns)), path)
        return read_table(path)[0]

    return written


def test_rows_of_an_older_index_are_compared_by_content(folder: Path, tmp_path: Path) -> None:
    row = older(tmp_path / "i.parquet", "state")(IndexedTile.of(tile(folder), None))
    assert (row.state, bool(row.content)) == ("", True)
    assert row.is_current(tile(folder))
    keep_times(folder / "a.tif", b"z" * 10)
    assert not row.is_current(tile(folder))


def test_rows_without_a_digest_are_compared_by_path_size_and_time(
    folder: Path, tmp_path: Path
) -> None:
    row = older(tmp_path / "i.parquet", "state", "content")(IndexedTile.of(tile(folder), None))
    assert row.is_current(tile(folder))
    moved = folder.rename(folder.with_name("moved"))
    assert not row.is_current(tile(moved))


def test_a_url_is_the_same_whoever_signed_it() -> None:
    first = Tile("a.tif", "https://example.org/a.tif?X-Amz-Signature=one&X-Amz-Date=1")
    row = IndexedTile.of(first, None)
    assert row.path == "https://example.org/a.tif"
    assert row.is_current(replace(first, path="https://example.org/a.tif?X-Amz-Signature=two"))
    assert not row.is_current(replace(first, path="https://example.org/b.tif"))
    stored_before = replace(row, path=first.path)
    assert stored_before.is_current(replace(first, path="https://example.org/a.tif?sig=three"))


def test_a_folder_is_listed_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed: list[str] = []
    listdir = os.listdir

    def noting(path: str) -> list[str]:
        listed.append(path)
        return listdir(path)

    monkeypatch.setattr(os, "listdir", noting)
    files = FileStates([tile(folder), tile(folder, "b.tif")])
    for name in ("a.tif", "b.tif"):
        IndexedTile.of(tile(folder, name), None, files)
    assert listed == [str(folder)]


@pytest.mark.parametrize("name", ["GTIFF_DIR:1:{}", 'netcdf:"{}":day', "vrt://{}?bands=1"])
def test_a_part_of_a_file_changes_with_the_file_and_is_no_other_part(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(folder)
    part = Tile("part", name.format("a.tif"))
    row = IndexedTile.of(part, None)
    assert row.path == name.format(folder.resolve() / "a.tif")
    assert row.is_current(part)
    monkeypatch.chdir(folder.parent)
    moved = Tile("part", name.format("t/a.tif"))
    assert row.is_current(moved)  # the same file, named from another folder
    shutil.copyfile(folder / "b.tif", folder.parent / "a.tif")
    assert not row.is_current(part)  # another file of the same name
    other = replace(part, path=name.format("t/a.tif").replace("1", "2").replace("day", "night"))
    assert not row.is_current(other)
    keep_times(folder / "a.tif", b"c" * 10)
    assert not row.is_current(moved)
