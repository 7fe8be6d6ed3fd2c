"""Checksums, and what is noted of large files so that they are not read each time."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rsretrieve._core.atomic_write import sha256_of_file
from rsretrieve.index.store import checksums
from rsretrieve.index.store.checksums import find_wrong_files
from tests.support.tiles.unreadable import UNREADABLE, put_unreadable

Files = tuple[dict[str, Path], dict[str, str]]


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Files:
    """Two files that count as large, with their checksums."""
    monkeypatch.setattr(checksums, "NOTED_FROM_BYTES", 5)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    paths = {name: tmp_path / name for name in ("one", "two")}
    for path in paths.values():
        path.write_bytes(b"0123456789")
    return paths, {name: sha256_of_file(path) for name, path in paths.items()}


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that are read from now on."""
    names: list[str] = []

    def noting(path: Path) -> str:
        names.append(path.name)
        return sha256_of_file(path)

    monkeypatch.setattr(checksums, "sha256_of_regular", noting)
    return names


def test_a_large_file_found_right_is_not_read_again_unless_thoroughly(
    files: Files, read: list[str]
) -> None:
    assert find_wrong_files(*files) == find_wrong_files(*files) == []
    assert sorted(read) == ["one", "two"]
    assert find_wrong_files(*files, thorough=True) == []
    assert len(read) == 4


def test_notes_lie_in_the_folder_that_the_user_chose(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RSRETRIEVE_CACHE", str(tmp_path / "chosen"))
    assert find_wrong_files(*files) == []
    assert len(list((tmp_path / "chosen" / "checked").glob("*.json"))) == 2
    assert not (tmp_path / "cache").exists()


def test_a_small_file_is_read_each_time(
    files: Files, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checksums, "NOTED_FROM_BYTES", 11)
    for _ in range(3):
        assert find_wrong_files(*files) == []
    assert len(read) == 6


def test_a_write_is_seen_even_with_its_times_set_back(files: Files) -> None:
    paths, sums = files
    assert find_wrong_files(paths, sums) == []
    before = paths["two"].stat()
    with paths["two"].open("r+b") as stream:
        stream.write(b"9")
    os.utime(paths["two"], ns=(before.st_atime_ns, before.st_mtime_ns))
    assert find_wrong_files(paths, sums) == ["two"]


def test_another_file_in_its_place_is_seen(files: Files) -> None:
    paths, sums = files
    assert find_wrong_files(paths, sums) == []
    other = paths["one"].with_name("other")
    other.write_bytes(b"9876543210")
    other.replace(paths["one"])
    assert find_wrong_files(paths, sums) == ["one"]


def test_what_was_noted_is_of_one_checksum(files: Files) -> None:
    paths, sums = files
    assert find_wrong_files(paths, sums) == []
    assert find_wrong_files(paths, {**sums, "one": "0" * 64}) == ["one"]


def test_missing_and_wrong_files_are_named_and_never_noted(files: Files) -> None:
    paths, sums = files
    paths["one"].unlink()
    paths["two"].write_bytes(b"0123456788")
    for _ in range(2):
        assert find_wrong_files(paths, sums) == ["one", "two"]


@pytest.mark.parametrize("broken", ["", "{", "null", '"x"'])
def test_a_note_that_cannot_be_read_or_kept_costs_time_only(
    files: Files, tmp_path: Path, broken: str
) -> None:
    assert find_wrong_files(*files) == []
    for note in (tmp_path / "cache").rglob("*.json"):
        note.write_text(broken)
    assert find_wrong_files(*files) == []
    os.environ["XDG_CACHE_HOME"] = str(tmp_path / "one")  # a file, in which nothing can be kept
    assert find_wrong_files(*files) == []


@pytest.mark.parametrize("kind", UNREADABLE)
def test_what_is_no_file_is_wrong_and_nobody_waits(files: Files, kind: str) -> None:
    put_unreadable(files[0]["two"], kind)
    assert find_wrong_files(*files) == ["two"]


def test_who_has_no_home_reads_the_file_each_time(tmp_path, monkeypatch):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    monkeypatch.setattr("rsretrieve.index.store.checksums.NOTED_FROM_BYTES", 1)
    (tmp_path / "file").write_bytes(b"content")
    sha256 = sha256_of_file(tmp_path / "file")
    assert find_wrong_files({"file": tmp_path / "file"}, {"file": sha256}) == []
    assert find_wrong_files({"file": tmp_path / "file"}, {"file": "0" * 64}) == ["file"]
