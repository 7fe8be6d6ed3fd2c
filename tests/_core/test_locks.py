"""One writer at a time: the second is refused, and a killed one is in nobody's way."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys

import pytest

from rsretrieve._core.locks import only_writer
from rsretrieve.errors import OutputBusy


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_second_writer_is_refused_until_the_first_ends(tmp_path):
    def write():
        with only_writer(tmp_path / "out"):
            pass

    with only_writer(tmp_path / "out"):
        assert names(tmp_path) == [".out.lock"]
        with pytest.raises(OutputBusy, match=r"out is being written by another rsretrieve"):
            write()
        with only_writer(tmp_path / "other"):
            pass
    assert names(tmp_path) == []
    write()


def test_the_lock_file_has_the_permissions_of_any_other(tmp_path):
    before = os.umask(0o026)
    try:
        with only_writer(tmp_path / "out"):
            assert (tmp_path / ".out.lock").stat().st_mode & 0o777 == 0o640
    finally:
        os.umask(before)


def test_two_links_to_one_folder_share_its_lock(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "link").symlink_to("out")
    with only_writer(tmp_path / "link"), pytest.raises(OutputBusy), only_writer(tmp_path / "out"):
        raise AssertionError("two writers")


KILLED = """
import os, signal, sys
from pathlib import Path
from rsretrieve._core.atomic_write import folder_aside
from rsretrieve._core.locks import only_writer
path = Path(sys.argv[1])
with only_writer(path), folder_aside(path, overwrite=True):
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_writer_blocks_nobody_and_its_leftovers_are_removed(tmp_path):
    killed = subprocess.run([sys.executable, "-c", KILLED, tmp_path / "out"], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert [name.partition("-")[0] for name in names(tmp_path)] == [".out.building", ".out.lock"]
    with only_writer(tmp_path / "out"):
        assert names(tmp_path) == [".out.lock"]
    assert names(tmp_path) == []


def test_a_folder_that_a_killed_writer_moved_aside_is_put_back(tmp_path):
    (tmp_path / ".out.old").mkdir()
    with only_writer(tmp_path / "out"):
        assert names(tmp_path) == [".out.lock", "out"]


@pytest.mark.parametrize("reason", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_where_no_lock_file_can_be_made_the_users_path_is_named(tmp_path, monkeypatch, reason):
    def refused(*_, **__):
        raise OSError(reason, os.strerror(reason), "a file of ours")

    path = tmp_path / "deep" / "out"
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refused)
        with pytest.raises(OSError, match=os.strerror(reason)) as caught, only_writer(path):
            raise AssertionError("nothing is to be written")
    assert (caught.value.errno, caught.value.filename) == (reason, str(path))
    assert not path.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="there is no flock")
def test_a_file_system_without_locks_is_named_and_no_other_lock_is_tried(tmp_path, monkeypatch):
    import fcntl

    def refused(*_):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(fcntl, "flock", refused)
    with pytest.raises(OSError, match="not implemented") as caught, only_writer(tmp_path / "out"):
        raise AssertionError("nothing is to be written")
    assert caught.value.filename == str(tmp_path / "out")


CONTENDERS, TURNS = 3, 60
CONTENDER = """
import sys
from pathlib import Path
from rsretrieve._core.locks import only_writer
from rsretrieve.errors import OutputBusy
out, turns = Path(sys.argv[1]), int(sys.argv[2])
while turns:
    try:
        with only_writer(out):
            (out.parent / "alone").touch(exist_ok=False)  # fails where another is in here, too
            (out.parent / "alone").unlink()
            turns -= 1
    except OutputBusy:
        pass
"""


def test_of_many_that_take_turns_only_one_writes_at_a_time(tmp_path):
    """The lock file is removed at the end of every turn, while others may just have opened it."""
    command = [sys.executable, "-c", CONTENDER, str(tmp_path / "out"), str(TURNS)]
    contenders = [
        subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(CONTENDERS)
    ]
    ended = [(each.communicate(timeout=60)[1], each.returncode) for each in contenders]
    assert ended == [("", 0)] * CONTENDERS
    assert names(tmp_path) == []
