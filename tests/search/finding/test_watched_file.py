"""A file that others change: the change is noticed, and nothing is overwritten."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rsretrieve._core.atomic_write import write_text
from rsretrieve._core.locks import only_writer
from rsretrieve.errors import OutputBusy, OutputExists
from rsretrieve.search.finding.watched_file import WatchedFile


def rewritten(path):
    """The same text in a new file, with the same time."""
    times = path.stat()
    write_text(path, path.read_text(), overwrite=True)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


CHANGES = {
    "longer": lambda path: path.write_text("longer"),
    "later": lambda path: os.utime(path, ns=(1, 1)),
    "removed": lambda path: path.unlink(),
    "rewritten": rewritten,
}


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_is_noticed(tmp_path, change):
    path = tmp_path / "file"
    path.write_text("text")
    file = WatchedFile(path)
    assert not file.is_changed
    CHANGES[change](path)
    assert file.is_changed
    left = path.read_text() if path.exists() else None
    with pytest.raises(OutputExists, match="another program"), file.changing() as aside:
        aside.write_text("ours")
    assert (path.read_text() if path.exists() else None) == left


def test_own_changes_are_none(tmp_path):
    file = WatchedFile(tmp_path / "file")
    for text in ("one", "two"):
        with file.changing() as aside:
            write_text(aside, text, overwrite=True)
        assert not file.is_changed
    file.path.write_text("three, of another program")
    with file.reading():
        pass
    assert not file.is_changed


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_while_the_file_is_written_is_noticed(tmp_path, change):
    path = tmp_path / "file"
    path.write_text("text")
    file = WatchedFile(path)

    def write() -> None:
        with file.changing() as aside:
            aside.write_text("ours")
            CHANGES[change](path)

    with pytest.raises(OutputExists, match="another program"):
        write()
    assert not path.exists() or path.read_text() != "ours"
    assert file.is_changed


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_right_after_the_file_has_its_name_is_noticed(tmp_path, monkeypatch, change):
    path = tmp_path / "file"
    path.write_text("text")
    file, replace = WatchedFile(path), Path.replace

    def replaced_and_changed(aside, target):
        replace(aside, target)
        if target == path:
            monkeypatch.undo()
            CHANGES[change](path)

    monkeypatch.setattr(Path, "replace", replaced_and_changed)
    with file.changing() as aside:
        aside.write_text("ours")
    assert file.is_changed


def test_a_change_that_could_not_be_read_stays_one(tmp_path):
    file = WatchedFile(tmp_path / "file")
    file.path.write_text("no session")
    with pytest.raises(ValueError, match="no session"), file.reading():
        raise ValueError("no session")
    assert file.is_changed


def test_a_file_that_another_writer_holds_is_busy(tmp_path):
    file = WatchedFile(tmp_path / "file")
    with only_writer(file.path), pytest.raises(OutputBusy), file.changing() as aside:
        aside.write_text("ours")
    assert not file.path.exists()
