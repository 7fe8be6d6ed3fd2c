"""The digest of a file's content: of what it holds, not of how it is stored; holes cost nothing."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsretrieve._core.paths import stack_path
from rsretrieve.data import file_state
from rsretrieve.data.file_state import NO_FILE_BYTES, FileState, FileStates, content_digest

BLOCK = 1 << 16


@pytest.fixture
def large_from_1(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file counts as large."""
    monkeypatch.setattr(file_state, "LARGE_BYTES", 1)


def plain(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def written(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    return str(path)


def sparse(path: Path, content: bytes) -> str:
    """The same file, with holes where whole blocks of 4 KiB are zeros."""
    with path.open("wb") as stream:
        for start in range(0, len(content), 4096):
            part = content[start : start + 4096]
            if part.strip(b"\0"):
                stream.seek(start)
                stream.write(part)
        stream.truncate(len(content))
    return str(path)


def test_small_files_and_large_ones_without_zeros_have_the_plain_blake2b(
    tmp_path: Path, large_from_1: None
) -> None:
    content = os.urandom(3 * BLOCK + 17)
    assert content_digest(written(tmp_path / "a", content)) == plain(content)
    file_state.LARGE_BYTES = len(content) * 9
    zeros = bytes(4 * BLOCK)
    assert content_digest(written(tmp_path / "b", zeros)) == plain(zeros)


parts = st.lists(
    st.tuples(st.booleans(), st.sampled_from([1, 4096, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK])),
    max_size=6,
)


@settings(max_examples=40, deadline=None)
@given(parts, parts)
def test_a_sparse_file_and_its_copy_agree_and_others_differ(
    tmp_path_factory: pytest.TempPathFactory,
    one: list[tuple[bool, int]],
    other: list[tuple[bool, int]],
) -> None:
    folder = tmp_path_factory.mktemp("files")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(file_state, "LARGE_BYTES", 1)
        contents = [b"".join(bytes([not zero]) * n for zero, n in p) for p in (one, other)]
        digests = [content_digest(written(folder / "dense", content)) for content in contents]
        assert digests == [content_digest(sparse(folder / "sparse", c)) for c in contents]
        assert (digests[0] == digests[1]) == (contents[0] == contents[1])
        patch.delattr(os, "SEEK_DATA")
        assert digests[0] == content_digest(sparse(folder / "sparse", contents[0]))


def test_a_system_that_does_not_tell_of_holes_is_read_whole(
    tmp_path: Path, large_from_1: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = b"a" * 5000 + bytes(5 * BLOCK) + b"b"
    before = content_digest(sparse(tmp_path / "a", content))

    def untold(*_: int) -> int:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(os, "lseek", untold)
    assert content_digest(str(tmp_path / "a")) == before != plain(content)


def test_holes_cost_nothing(tmp_path: Path) -> None:
    path = tmp_path / "scene.tif"
    with path.open("wb") as stream:
        stream.write(b"head")
        stream.truncate(1 << 40)
    started = time.monotonic()
    digest = content_digest(str(path))
    assert time.monotonic() - started < 2
    with path.open("r+b") as stream:
        stream.seek(1 << 39)
        stream.write(b"x")
    assert "" != digest != content_digest(str(path)) != ""


@pytest.mark.parametrize("kind", ["pipe", "link to a pipe", "device", "folder", "nothing"])
def test_what_is_no_regular_file_has_no_digest_and_nobody_waits(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a"
    if kind == "folder":
        path.mkdir()
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "link to a pipe":
        os.mkfifo(tmp_path / "b")
        path.symlink_to("b")
    assert content_digest(str(path)) == ""


def test_a_stack_has_the_state_and_the_content_of_all_its_files(tmp_path: Path) -> None:
    def stack(folder: Path) -> str:
        return stack_path([str(folder / "a.tif"), str(folder / "b.tif")])

    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
        for name in ("a.tif", "b.tif"):
            (folder / name).write_bytes(name.encode())
    one, two = map(stack, folders)
    same = FileStates(()).content(one)
    assert same.file
    assert same == FileStates(()).content(two)  # a copied folder
    for name, content in (("b.tif", b"c.tif"), ("b.tif.aux.xml", b"<PAMDataset/>")):
        before = FileStates(()).content(two)
        (folders[1] / name).write_bytes(content)
        assert FileStates(()).content(two) != before
    (folders[0] / "b.tif").unlink()
    assert FileStates(()).content(one).file == ""
    assert FileState.of(one).size_bytes == NO_FILE_BYTES


def test_the_mark_of_a_stack_changes_with_each_of_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_state, "SETTLED_NS", 0)
    paths = [tmp_path / name for name in ("a.tif", "b.tif")]
    for path in paths:
        path.write_bytes(b"12345")
    stack = stack_path([*map(str, paths)])
    marks = [FileState.of(stack).mark]
    for path in paths:
        os.utime(path, (1, 1))
        marks.append(FileState.of(stack).mark)
    assert len({*marks, ""}) == 4


def test_a_part_of_a_file_has_the_state_of_the_file_and_a_content_of_its_own(
    tmp_path: Path,
) -> None:
    path = Path(written(tmp_path / "m.tif", b"abc"))
    names = [f"GTIFF_DIR:{page}:{path}" for page in (1, 2)]
    os.utime(path, ns=(0, 10**18))
    before = [(FileState.of(name), content_digest(name)) for name in names]
    assert before[0][0] == before[1][0]
    assert before[0][0].size_bytes == 3
    assert len({digest for _, digest in before} | {""}) == 3
    assert content_digest(names[0].lower()[:12] + names[0][12:]) == before[0][1]
    written(path, b"abd")
    assert FileState.of(names[0]) != before[0][0]
    assert content_digest(names[0]) != before[0][1]
    path.unlink()
    assert (FileState.of(names[0]).size_bytes, content_digest(names[0])) == (NO_FILE_BYTES, "")
