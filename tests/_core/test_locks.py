"""One writer at a time: the second is refused, and a killed one is in nobody's way."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys

import pytest

from rsretrieve._core.locks import only_writer
from rsretrieve.errors import OutputBusy, OutputExists
from tests._core.test_atomic_write import KIND


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
from tests._core.test_atomic_write import KIND
path = Path(sys.argv[1])
with only_writer(path, KIND), folder_aside(path, overwrite=True, kind=KIND) as aside:
    (aside / "content").write_text("half of the n")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_writer_blocks_nobody_and_its_leftovers_are_removed(tmp_path):
    killed = subprocess.run([sys.executable, "-c", KILLED, tmp_path / "out"], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert [name.partition("-")[0] for name in names(tmp_path)] == [".out.building", ".out.lock"]
    with only_writer(tmp_path / "out", KIND):
        assert names(tmp_path) == [".out.lock"]
    assert names(tmp_path) == []


KILLED_BETWEEN = """
import os, signal, sys
from pathlib import Path
from rsretrieve._core import atomic_write
from rsretrieve._core.atomic_write import folder_aside
from tests._core.test_atomic_write import KIND
atomic_write.exchange_paths = lambda *_: False
rename, calls, die_at = Path.rename, [], int(sys.argv[2])

def rename_and_die(one, other):
    calls.append(one)
    if len(calls) == die_at:
        os.kill(os.getpid(), signal.SIGKILL)
    rename(one, other)

Path.rename = rename_and_die
with folder_aside(Path(sys.argv[1]), overwrite=True, kind=KIND) as aside:
    (aside / "content").write_text("new")
"""


@pytest.mark.parametrize(
    ("die_at", "content"), [(1, "old"), (2, "old"), (3, "new")], ids=["before", "between", "after"]
)
def test_a_writer_that_was_killed_in_an_exchange_loses_nothing(tmp_path, die_at, content):
    out = tmp_path / "out"
    out.mkdir()
    for name, text in {"content": "old", "notes": "mine"}.items():
        (out / name).write_text(text)
    command = [sys.executable, "-c", KILLED_BETWEEN, out, str(die_at)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    with only_writer(out, KIND):
        assert names(tmp_path) == [".out.lock", "out"]
        assert names(out) == ["content", "notes"]
        assert [(out / name).read_text() for name in names(out)] == [content, "mine"]


def test_a_folder_that_an_earlier_version_moved_aside_is_put_back(tmp_path):
    (tmp_path / ".out.old").mkdir()
    (tmp_path / ".out.old" / "content").write_text("old")
    with only_writer(tmp_path / "out", KIND):
        assert names(tmp_path) == [".out.lock", "out"]
    assert names(tmp_path / "out") == ["content"]


@pytest.mark.parametrize("name", [".out.old", ".out.replaced-abcdefgh", ".out.building-drawings"])
@pytest.mark.parametrize("is_there", [True, False])
@pytest.mark.parametrize("inside", ["settings", "deep/content"])
def test_a_users_folder_beside_the_output_is_left_alone(tmp_path, name, is_there, inside):
    mine = tmp_path / name / inside
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    if is_there:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "content").write_text("old")
    with only_writer(tmp_path / "out", KIND):
        assert mine.read_text() == "mine"
        assert (tmp_path / "out").exists() == is_there


def test_a_users_backup_of_the_output_is_left_alone(tmp_path):
    for name in ("out", ".out.old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "content").write_text(name)
    with only_writer(tmp_path / "out", KIND):
        assert (tmp_path / ".out.old" / "content").read_text() == ".out.old"


@pytest.mark.parametrize("link", [True, False])
def test_a_users_file_with_the_name_of_the_lock_is_kept(tmp_path, link):
    mine = tmp_path / ("mine" if link else ".out.lock")
    mine.write_text("mine")
    if link:
        (tmp_path / ".out.lock").symlink_to("mine")
    with pytest.raises(OutputExists, match="is not a lock"), only_writer(tmp_path / "out"):
        raise AssertionError("nothing is to be written")
    assert mine.read_text() == "mine"


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
from rsretrieve.errors import OutputBusy, OutputExists
from tests._core.test_atomic_write import KIND
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
