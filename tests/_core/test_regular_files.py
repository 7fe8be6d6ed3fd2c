"""Only regular files are opened, and no pipe blocks."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rsretrieve._core.regular_files import open_regular, read_regular_text


@pytest.mark.parametrize("kind", ["pipe", "link to a pipe", "device", "folder"])
def test_only_regular_files_are_opened_and_nobody_waits(tmp_path, kind):
    path = tmp_path / "a"
    if kind == "folder":
        path.mkdir()
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        os.mkfifo(tmp_path / "pipe")
        path.symlink_to("pipe") if "link" in kind else (tmp_path / "pipe").rename(path)
    for read in (open_regular, read_regular_text):
        with pytest.raises(OSError, match="is a folder" if kind == "folder" else "is a pipe") as no:
            read(path)
        assert no.value.filename == str(path)


def test_a_pipe_that_takes_a_files_place_meanwhile_is_not_waited_for(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").touch()
    ordinary = (tmp_path / "file").stat()
    monkeypatch.setattr(Path, "stat", lambda *_, **__: ordinary)
    with pytest.raises(OSError, match="is a pipe"):
        open_regular(tmp_path / "pipe")


def test_a_regular_text_is_read_and_one_without_end_is_not(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes("größe\r\n".encode())
    with open_regular(path) as stream:
        assert stream.read() == path.read_bytes()
    assert read_regular_text(path) == "größe\n" == path.read_text(encoding="utf-8")
    os.truncate(path, 1 << 40)
    with pytest.raises(OSError, match="is larger than 64 MiB"):
        read_regular_text(path)
