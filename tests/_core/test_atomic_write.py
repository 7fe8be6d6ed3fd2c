"""Writing aside: the old content or the new, whole, whatever happens; and no litter."""

from __future__ import annotations

import ctypes
import errno
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from rsretrieve._core import atomic_write
from rsretrieve._core.atomic_write import (
    default_file_mode,
    folder_aside,
    refuse_to_overwrite,
    sha256_of_file,
    sha256_of_json,
    write_json,
    write_text,
    written_aside,
)
from rsretrieve._core.folders.folder_kind import FolderKind
from rsretrieve.errors import OutputExists


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def make_folder(path, content="old"):
    path.mkdir(parents=True)
    (path / "content").write_text(content)
    return path


def own_files(folder):
    is_own = (folder / "content").is_file()
    return frozenset({"content", "more/content"}) if is_own else frozenset()


KIND = FolderKind("test", "content", own_files, frozenset({"content"}))


def replace_folder(path, *, overwrite=True):
    with folder_aside(path, overwrite=overwrite, kind=KIND) as aside:
        (aside / "content").write_text("new")


def write_half(path, error):
    """Begin to replace a file or a folder, and fail."""
    aside_of = partial(folder_aside, kind=KIND) if path.is_dir() else written_aside
    with aside_of(path, overwrite=True) as aside:
        (aside / "content" if aside.is_dir() else aside).write_text("half of the n")
        raise error


@pytest.fixture(params=["exchange", "two renames"])
def either_way(request, monkeypatch):
    """Folders are switched as this system does, and as systems without an exchange do."""
    if request.param == "two renames":
        monkeypatch.setattr(atomic_write, "exchange_paths", lambda *_: False)


@pytest.fixture
def umask():
    """New files get the permissions 0o640 and new folders 0o751."""
    before = os.umask(0o026)
    yield
    assert os.umask(before) == 0o026


# What already exists


@pytest.mark.parametrize("kind", ["file", "folder", "broken link"])
def test_what_is_there_is_not_replaced_unasked(tmp_path, kind):
    path = tmp_path / "out"
    {"file": path.touch, "folder": path.mkdir, "broken link": lambda: path.symlink_to("gone")}[
        kind
    ]()
    message = re.escape(f"{path} already exists")
    with pytest.raises(OutputExists, match=f"^{message}$") as caught:
        refuse_to_overwrite(path, overwrite=False)
    assert "--overwrite" in caught.value.hint
    with pytest.raises(OutputExists, match=message):
        write_text(path, "new", overwrite=False)
    with pytest.raises(OutputExists, match=message):
        replace_folder(path, overwrite=False)
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize("aside_of", [written_aside, partial(folder_aside, kind=KIND)])
def test_nobody_works_for_an_output_that_is_refused(tmp_path, aside_of):
    worked = []

    def work():
        with aside_of(tmp_path, overwrite=False) as aside:
            worked.append(aside)

    with pytest.raises(OutputExists):
        work()
    assert worked == []


def test_what_is_there_may_be_replaced_when_asked_and_nothing_always(tmp_path):
    refuse_to_overwrite(tmp_path, overwrite=True)
    refuse_to_overwrite(tmp_path / "gone", overwrite=False)


# Files


def test_a_file_is_written_in_a_folder_made_for_it(tmp_path):
    path = tmp_path / "deep" / "down" / "a.txt"
    write_text(path, "größe\r\n", overwrite=False)
    assert path.read_bytes() == "größe\r\n".encode()
    assert names(path.parent) == ["a.txt"]


def test_a_file_is_replaced_when_asked(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    write_text(path, "new", overwrite=True)
    assert path.read_text() == "new"
    assert names(tmp_path) == ["a.txt"]


def test_what_a_link_leads_to_is_replaced_and_the_link_stays(tmp_path):
    target, path = tmp_path / "there" / "data", tmp_path / "a.txt"
    path.symlink_to(Path("there", "data"))
    for content in ("first", "second"):  # that it leads nowhere yet is no reason to break it
        with written_aside(path, overwrite=True) as aside:
            assert (aside.parent, aside.suffix) == (target.parent, ".txt")
            aside.write_text(content)
        assert path.readlink() == Path("there", "data")
        assert target.read_text() == content
    assert names(tmp_path) == ["a.txt", "there"]
    assert names(target.parent) == ["data"]


@pytest.mark.parametrize("target", ["file", "folder", "nothing"])
def test_a_link_that_nobody_typed_is_replaced_itself(tmp_path, target):
    path, other = tmp_path / "link", tmp_path / "other"
    path.symlink_to("other")
    if target == "file":
        other.write_text("mine")
    elif target == "folder":
        other.mkdir()
    write_text(path, "new", overwrite=True, follow=False)
    assert not path.is_symlink()
    assert path.read_text() == "new"
    assert names(tmp_path) == (["link"] if target == "nothing" else ["link", "other"])
    if target == "file":
        assert other.read_text() == "mine"


@pytest.mark.parametrize("overwrite", [True, False])
@pytest.mark.parametrize("linked", [True, False])
def test_what_is_no_file_and_no_folder_is_never_replaced(tmp_path, overwrite, linked):
    pipe = path = tmp_path / "pipe"
    os.mkfifo(pipe)
    if linked:
        path = tmp_path / "link"
        path.symlink_to(pipe)
    message = f"^{re.escape(str(path))} is a pipe, a socket or a device, and is not replaced$"
    for write in (replace_folder, partial(write_text, text="new")):
        with pytest.raises(OutputExists, match=message) as caught:
            write(path, overwrite=overwrite)
        assert caught.value.hint == "give another output"
    assert pipe.is_fifo()
    assert set(names(tmp_path)) == {"pipe", path.name}


@pytest.mark.skipif(not Path("/dev/null").is_char_device(), reason="there are no devices here")
def test_a_device_is_never_replaced():
    with pytest.raises(OutputExists, match=r"^/dev/null is a pipe, a socket or a device"):
        refuse_to_overwrite(Path("/dev/null"), overwrite=True)


def test_the_path_aside_has_the_same_suffix_and_folder(tmp_path):
    with written_aside(tmp_path / "a.png", overwrite=False) as aside:
        assert (aside.parent, aside.suffix) == (tmp_path, ".png")
        assert aside.name.startswith(".")
        assert not (tmp_path / "a.png").exists()


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_an_error_leaves_the_old_file_and_no_litter(tmp_path, error):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(error):
        write_half(path, error)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_file_that_appears_meanwhile_is_kept(tmp_path):
    path = tmp_path / "a.txt"

    def write_while_another_does():
        with written_aside(path, overwrite=False) as aside:
            aside.write_text("ours")
            path.write_text("theirs")

    with pytest.raises(OutputExists):
        write_while_another_does()
    assert path.read_text() == "theirs"
    assert names(tmp_path) == ["a.txt"]


def test_a_writer_may_switch_the_file_aside_itself(tmp_path):
    with written_aside(tmp_path / "a.txt", overwrite=False) as aside:
        (tmp_path / "other").write_text("new")
        (tmp_path / "other").replace(aside)
    assert (tmp_path / "a.txt").read_text() == "new"


def test_new_files_and_folders_have_the_permissions_of_any_other(tmp_path, umask):
    write_text(tmp_path / "a.txt", "", overwrite=False)
    replace_folder(tmp_path / "folder", overwrite=False)
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "folder").stat().st_mode & 0o777 == 0o751


def test_json_is_indented_and_readable(tmp_path):
    write_json(tmp_path / "a.json", {"größe": [1, None]}, overwrite=False)
    expected = '{\n  "größe": [\n    1,\n    null\n  ]\n}\n'
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == expected


def test_nan_is_no_json(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"loss": float("nan")}, overwrite=False)
    assert names(tmp_path) == []


@pytest.mark.parametrize("reason", [errno.ENOSPC, errno.EROFS, errno.EACCES])
@pytest.mark.parametrize("place", ["mkstemp", "mkdtemp", "mkdir"])
def test_where_nothing_can_be_made_the_users_path_is_named(tmp_path, monkeypatch, place, reason):
    def refused(*_, **__):
        raise OSError(reason, os.strerror(reason), "a file of ours")

    path = tmp_path / "deep" / "out"
    where = Path if place == "mkdir" else atomic_write.tempfile
    write = replace_folder if place == "mkdtemp" else partial(write_text, text="new")
    with monkeypatch.context() as patch:
        patch.setattr(where, place, refused)
        with pytest.raises(OSError, match=os.strerror(reason)) as caught:
            write(path, overwrite=True)
    assert (caught.value.errno, caught.value.filename) == (reason, str(path))
    assert not path.exists()


# Folders


def test_a_new_folder_appears_whole(tmp_path):
    path = tmp_path / "deep" / "folder"
    with folder_aside(path, overwrite=False, kind=KIND) as aside:
        assert names(aside) == []
        (aside / "sub").mkdir()
        (aside / "sub" / "content").write_text("new")
        assert not path.exists()
    assert (path / "sub" / "content").read_text() == "new"
    assert names(path.parent) == ["folder"]


def test_a_folder_is_replaced_whole(tmp_path, either_way):
    path = make_folder(tmp_path / "folder")
    (path / "more").mkdir()
    replace_folder(path)
    assert names(path) == ["content"]
    assert (path / "content").read_text() == "new"
    assert names(tmp_path) == ["folder"]


def test_what_a_link_in_a_folders_place_leads_to_is_replaced_and_the_link_stays(
    tmp_path, either_way
):
    target = make_folder(tmp_path / "there" / "target")
    path, broken = tmp_path / "link", tmp_path / "broken"
    path.symlink_to(target)
    broken.symlink_to("gone")
    for link in (path, broken):
        replace_folder(link)
        assert link.is_symlink()
        assert (link / "content").read_text() == "new"
    assert (target / "content").read_text() == "new"
    assert names(tmp_path) == ["broken", "gone", "link", "there"]
    assert names(target.parent) == ["target"]


def test_a_marked_folder_behind_a_link_is_replaced_and_no_other(tmp_path, either_way):
    target = make_folder(tmp_path / "target")
    path = tmp_path / "link"
    path.symlink_to(target)
    (target / "content").rename(target / "more")
    with pytest.raises(OutputExists, match=r"link is a folder that rsretrieve did not write"):
        replace_folder(path)
    (target / "more").rename(target / "content")
    replace_folder(path)
    assert names(target) == ["content"]
    assert (target / "content").read_text() == "new"
    assert names(tmp_path) == ["link", "target"]


def test_a_users_file_in_a_marked_folders_place_is_kept(tmp_path):
    path = tmp_path / "model"
    path.write_text("mine")
    message = re.escape(
        f"{path} is a file, not a folder that rsretrieve wrote, and is not replaced"
    )
    with pytest.raises(OutputExists, match=f"^{message}$"):
        replace_folder(path)
    assert path.read_text() == "mine"
    assert names(tmp_path) == ["model"]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_an_error_leaves_the_old_folder_and_no_litter(tmp_path, error):
    path = make_folder(tmp_path / "folder")
    with pytest.raises(error):
        write_half(path, error)
    assert (path / "content").read_text() == "old"
    assert names(tmp_path) == ["folder"]


def test_a_folder_that_appears_meanwhile_is_kept(tmp_path):
    path = tmp_path / "folder"
    with pytest.raises(OutputExists), folder_aside(path, overwrite=False, kind=KIND):
        make_folder(path, "theirs")
    assert (path / "content").read_text() == "theirs"
    assert names(tmp_path) == ["folder"]


def test_a_users_folder_of_a_similar_name_is_in_nobodys_way(tmp_path, either_way):
    path = make_folder(tmp_path / "folder")
    make_folder(tmp_path / ".folder.old", "older")
    replace_folder(path)
    assert (path / "content").read_text() == "new"
    assert names(tmp_path) == [".folder.old", "folder"]


def test_what_the_user_put_into_a_folder_is_carried_over(tmp_path, either_way):
    path = make_folder(tmp_path / "folder")
    (path / "more" / "deep").mkdir(parents=True)
    (path / "empty").mkdir()
    for name in ("notes", "more/content", "more/mine", "more/deep/mine"):
        (path / name).write_text(name)
    (path / "link").symlink_to(tmp_path)
    replace_folder(path)
    assert names(path) == ["content", "empty", "link", "more", "notes"]
    assert names(path / "more") == ["deep", "mine"]
    assert (path / "more" / "deep" / "mine").read_text() == "more/deep/mine"
    assert (path / "link").readlink() == tmp_path
    assert names(tmp_path) == ["folder"]


def test_a_users_file_with_the_name_of_a_new_one_is_refused(tmp_path, either_way):
    path = make_folder(tmp_path / "folder")
    (path / "second").write_text("mine")

    def replace_both():
        with folder_aside(path, overwrite=True, kind=KIND) as aside:
            (aside / "content").write_text("new")
            (aside / "second").write_text("new")

    with pytest.raises(OutputExists, match="folder holds second, which rsretrieve did not write"):
        replace_both()
    assert [(path / name).read_text() for name in ("content", "second")] == ["old", "mine"]
    assert names(tmp_path) == ["folder"]


def test_a_users_file_with_a_fixed_name_of_ours_is_refused_before_the_work(tmp_path):
    path = make_folder(tmp_path / "folder")
    (path / "second" / "deep").mkdir(parents=True)
    kind = replace(KIND, writes=frozenset({"content", "second/file"}))
    refuse_to_overwrite(path, overwrite=True, kind=KIND)
    with pytest.raises(OutputExists, match="folder holds second"):
        refuse_to_overwrite(path, overwrite=True, kind=kind)


def test_a_folder_that_cannot_be_moved_into_place_leaves_the_old_one(tmp_path, monkeypatch):
    monkeypatch.setattr(atomic_write, "exchange_paths", lambda *_: False)
    path, rename = make_folder(tmp_path / "folder"), Path.rename

    def refused(one, other):
        if ".building-" in one.name:
            raise PermissionError(errno.EACCES, "in use")
        rename(one, other)

    monkeypatch.setattr(Path, "rename", refused)
    with pytest.raises(PermissionError):
        replace_folder(path)
    assert (path / "content").read_text() == "old"
    assert names(tmp_path) == ["folder"]


def test_what_cannot_be_carried_over_stays_and_is_named(tmp_path, monkeypatch):
    path = make_folder(tmp_path / "folder")
    (path / "notes").write_text("mine")

    def refused(*_):
        raise PermissionError(errno.EACCES, "in use")

    monkeypatch.setattr(os, "rename", refused)
    with pytest.raises(OutputExists, match="is written, but notes could not be moved") as caught:
        replace_folder(path)
    assert (path / "content").read_text() == "new"
    [left] = [folder for folder in tmp_path.iterdir() if folder != path]
    assert str(left) in caught.value.message
    assert names(left) == ["notes"]


KILLED = """
import os, signal, sys
from pathlib import Path
from rsretrieve._core.atomic_write import folder_aside, written_aside
from tests._core.test_atomic_write import KIND
path = Path(sys.argv[2])
given = {"kind": KIND} if sys.argv[1] == "folder" else {}
with (folder_aside if given else written_aside)(path, overwrite=True, **given) as aside:
    (aside / "content" if aside.is_dir() else aside).write_text("half of the n")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_process_killed_while_it_writes_leaves_the_old_content(tmp_path, kind):
    content = make_folder(tmp_path / "folder") / "content"
    path = content if kind == "file" else content.parent
    killed = subprocess.run([sys.executable, "-c", KILLED, kind, str(path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert content.read_text() == "old"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="renameat2 is Linux's")
def test_folders_are_exchanged_in_one_step(tmp_path):
    one, other = make_folder(tmp_path / "one", "1"), make_folder(tmp_path / "other", "2")
    assert atomic_write.exchange_paths(one, other) is True
    assert [(path / "content").read_text() for path in (one, other)] == ["2", "1"]
    assert atomic_write.exchange_paths(one, tmp_path / "gone") is False


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="renameat2 is Linux's")
def test_a_folder_is_never_away_while_it_is_replaced(tmp_path, monkeypatch):
    path = make_folder(tmp_path / "folder")

    def refuse(*_):
        raise AssertionError("for a moment there was no folder")

    monkeypatch.setattr(Path, "rename", refuse)
    replace_folder(path)
    assert (path / "content").read_text() == "new"


@pytest.mark.parametrize(
    ("module", "name", "value"),
    [(sys, "platform", "darwin"), (ctypes, "CDLL", lambda *_, **__: object())],
    ids=["another system", "an older C library"],
)
def test_no_exchange_is_tried_where_there_is_none(tmp_path, monkeypatch, module, name, value):
    one, other = make_folder(tmp_path / "one", "1"), make_folder(tmp_path / "other", "2")
    with monkeypatch.context() as patch:
        patch.setattr(module, name, value)
        assert atomic_write.exchange_paths(one, other) is False
    assert (one / "content").read_text() == "1"


def test_folders_are_not_flushed_on_windows(tmp_path, monkeypatch):
    opened = []
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", lambda *arguments: opened.append(arguments))
        patch.setattr(os, "name", "nt")
        atomic_write._flush(tmp_path)
    assert opened == []


@pytest.fixture
def open_files():
    folder = Path("/proc/self/fd")
    if not folder.is_dir():
        pytest.skip("this system does not name open files")
    return folder


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_content_is_on_the_disk_before_it_is_switched_in(tmp_path, monkeypatch, open_files, kind):
    flushed, fsync = [], os.fsync

    def recording(handle):
        name = (open_files / str(handle)).readlink().name
        flushed.append((name.partition(".building-")[0], (tmp_path / "a").exists()))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", recording)
    if kind == "file":
        write_text(tmp_path / "a", "new", overwrite=False)
        assert flushed[0][0].startswith(".a.")
        assert flushed == [(flushed[0][0], False), (tmp_path.name, True)]
    else:
        replace_folder(tmp_path / "a", overwrite=False)
        assert flushed == [("content", False), (".a", False), (tmp_path.name, True)]


def test_no_file_stays_open(tmp_path, open_files):
    before = len(list(open_files.iterdir()))
    write_text(tmp_path / "a", "new", overwrite=False)
    replace_folder(tmp_path / "folder", overwrite=False)
    assert len(list(open_files.iterdir())) == before


# Fingerprints


def test_a_files_fingerprint_is_the_sha256_of_its_content(tmp_path):
    content = bytes(range(256)) * 5000
    (tmp_path / "a").write_bytes(content)
    assert sha256_of_file(tmp_path / "a") == hashlib.sha256(content).hexdigest()


def test_the_fingerprint_of_json_hangs_on_its_content_alone():
    one = {"b": [1, 2.5], "a": "größe"}
    assert sha256_of_json(one) == sha256_of_json(json.loads('{"a": "größe",   "b": [1, 2.5]}'))
    assert sha256_of_json(one) == hashlib.sha256('{"a":"größe","b":[1,2.5]}'.encode()).hexdigest()
    assert sha256_of_json(one) != sha256_of_json({**one, "b": [2.5, 1]})


def test_threads_that_write_at_once_leave_the_user_s_umask():
    switching, mask = sys.getswitchinterval(), os.umask(0o027)
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as pool:
            modes = [*pool.map(lambda _: default_file_mode(), range(20_000))]
        left = os.umask(0o027)
    finally:
        sys.setswitchinterval(switching)
        os.umask(mask)
    assert {*modes} == {0o640}
    assert left == 0o027
