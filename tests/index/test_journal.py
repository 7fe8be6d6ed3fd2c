"""The journal of an unfinished indexing: whatever a crash leaves of it, what is whole is kept."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rsretrieve.data.geo.place import Place
from rsretrieve.index.journal import Journal
from rsretrieve.index.store.tile_table import IndexedTile
from tests.support.indexes.vectors import unit_rows

PLACE = Place("EPSG:32632", (1.0, 2.0, 3.5, 4.0), ((9.1, 47.9), (9.1, 47.8), (9.2, 47.8)))
ROWS = [
    IndexedTile("a", "/a.tif", "forest", 10, 7, PLACE, "00ff"),
    IndexedTile("großes\nFeld\udcff", "/b", None, 0, 0, None),
    IndexedTile("c", "/c", "c", 1, 1, None),
]
VECTORS = unit_rows(3, 4, 0)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """Of three tiles, noted in two batches."""
    journal = Journal(tmp_path / "index", "f" * 64, 4)
    journal.append(ROWS[:2], VECTORS[:2])
    journal.append(ROWS[2:], VECTORS[2:])
    return journal


def test_a_file_of_another_program_in_its_folder_costs_no_entry(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "index", "f" * 64, 4)
    journal.folder.mkdir()
    (journal.folder / ".DS_Store").write_text("theirs")
    for rows, vectors in ((ROWS[:2], VECTORS[:2]), (ROWS[2:], VECTORS[2:])):
        journal.append(rows, vectors)
    assert again(journal).resume().rows == ROWS
    assert (journal.folder / ".DS_Store").read_text() == "theirs"


@pytest.mark.parametrize("left", ["rows.jsonl", "vectors.f32"])
def test_one_file_without_the_other_is_begun_anew(journal: Journal, left: str) -> None:
    for path in journal.folder.iterdir():
        if path.name != left:
            path.unlink()
    journal.append(ROWS[:2], VECTORS[:2])
    assert again(journal).resume().rows == ROWS[:2]


def contents(journal: Journal) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in journal.folder.iterdir()}


def again(journal: Journal, fingerprint: str = "f" * 64, dimensions: int = 4) -> Journal:
    return Journal(journal.folder.with_name("index"), fingerprint, dimensions)


def test_what_was_noted_is_read(journal: Journal) -> None:
    found = again(journal).read()
    assert found.rows == ROWS
    assert np.array_equal(found.vectors, VECTORS)


def test_it_lies_beside_the_index_and_can_be_discarded(journal: Journal, tmp_path: Path) -> None:
    assert [path.name for path in tmp_path.iterdir()] == [".index.embedding"]
    (journal.folder / "mine").touch()
    journal.discard()
    assert [path.name for path in journal.folder.iterdir()] == ["mine"]
    (journal.folder / "mine").unlink()
    journal.discard()
    assert list(tmp_path.iterdir()) == []
    assert journal.read().rows == []


@pytest.mark.parametrize("other", [("0" * 64, 4), ("f" * 64, 2)])
def test_that_of_another_model_is_thrown_away(journal: Journal, other: tuple[str, int]) -> None:
    before = contents(journal)
    for read in (again(journal, *other).read, again(journal, *other).resume):
        assert contents(journal) == before  # a read changes nothing
        found = read()
        assert (found.rows, found.vectors.shape, found.length) == ([], (0, other[1]), 0)
    assert not journal.folder.exists()


def test_a_read_cuts_nothing_off(journal: Journal) -> None:
    with (journal.folder / "rows.jsonl").open("ab") as stream:
        stream.write(b"cut sho")
    before = contents(journal)
    assert again(journal).read().rows == ROWS
    assert contents(journal) == before
    assert again(journal).resume().rows == ROWS
    assert len(contents(journal)["rows.jsonl"]) == len(before["rows.jsonl"]) - 7


@pytest.mark.parametrize("kind", ["pipe", "link", "device", "folder", "missing"])
@pytest.mark.parametrize("name", ["rows.jsonl", "vectors.bin"])
def test_one_of_anything_but_files_holds_nothing_and_nothing_is_written_elsewhere(
    journal: Journal, tmp_path: Path, name: str, kind: str
) -> None:
    path, mine = journal.folder / name, tmp_path / "mine"
    path.rename(mine)
    before = mine.read_bytes()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind != "missing":
        path.symlink_to(mine if kind == "link" else "/dev/zero")
    assert again(journal).read().rows == []
    assert again(journal).resume().length == 0
    again(journal).append(ROWS[:1], VECTORS[:1])
    assert again(journal).read().rows == ROWS[:1]
    assert mine.read_bytes() == before


def test_one_that_is_a_link_to_a_folder_leaves_that_folder(
    journal: Journal, tmp_path: Path
) -> None:
    before = contents(journal)
    journal.folder.rename(tmp_path / "mine")
    journal.folder.symlink_to(tmp_path / "mine")
    assert again(journal).resume().rows == []
    again(journal).append(ROWS[:1], VECTORS[:1])
    assert {path.name: path.read_bytes() for path in (tmp_path / "mine").iterdir()} == before


@pytest.mark.medium
@pytest.mark.parametrize("name", ["rows.jsonl", "vectors.bin"])
def test_cut_short_anywhere_what_is_whole_is_kept_and_gone_on_from(
    journal: Journal, name: str
) -> None:
    whole = {path.name: path.read_bytes() for path in journal.folder.iterdir()}
    for length in range(len(whole[name])):
        journal.folder.mkdir(exist_ok=True)
        for other, content in whole.items():
            (journal.folder / other).write_bytes(content)
        (journal.folder / name).write_bytes(whole[name][:length])
        kept = len(again(journal).resume().rows)
        assert kept < 3
        again(journal).append([replace(ROWS[0], id="new")], VECTORS[:1])
        found = again(journal).read()
        assert found.rows == [*ROWS[:kept], replace(ROWS[0], id="new")]
        assert np.array_equal(found.vectors, np.concatenate((VECTORS[:kept], VECTORS[:1])))


@pytest.mark.medium
@pytest.mark.parametrize("name", ["rows.jsonl", "vectors.bin"])
def test_a_changed_byte_ends_what_is_kept(journal: Journal, name: str) -> None:
    path = journal.folder / name
    whole = path.read_bytes()
    others = {p.name: p.read_bytes() for p in journal.folder.iterdir()}
    for position in range(len(whole)):
        journal.folder.mkdir(exist_ok=True)
        for other, content in others.items():
            (journal.folder / other).write_bytes(content)
        changed = bytearray(whole)
        changed[position] ^= 1
        path.write_bytes(changed)
        found = again(journal).read()
        assert len(found.rows) < 3
        assert found.rows == ROWS[: len(found.rows)]
        assert np.array_equal(found.vectors, VECTORS[: len(found.rows)])


def test_a_journal_of_vectors_alone_holds_nothing(journal: Journal) -> None:
    (journal.folder / "rows.jsonl").unlink()
    assert again(journal).read().rows == []


def test_the_head_names_the_model(journal: Journal) -> None:
    head = (journal.folder / "rows.jsonl").read_text().splitlines()[0]
    assert json.loads(head) == {"model_fingerprint": "f" * 64, "dimensions": 4}


def test_where_there_is_no_room_nothing_is_left_but_what_was_noted_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> bytes:
        raise OSError(errno.ENOSPC, "No space left on device")

    journal = Journal(tmp_path / "index", "f" * 64, 4)
    for noted in (0, 2):
        with monkeypatch.context() as patch:
            patch.setattr("rsretrieve.index.journal._line", full)
            with pytest.raises(OSError, match="No space left on device") as error:
                journal.append(ROWS[noted:], VECTORS[noted:])
        assert error.value.filename == str(journal.folder)
        assert journal.folder.exists() == bool(noted)
        assert again(journal).resume().rows == ROWS[:noted]
        journal.append(ROWS[noted : noted + 2], VECTORS[noted : noted + 2])
    assert again(journal).read().rows == ROWS
