"""Writing so that a crash at any moment leaves the old content or the new, whole.

Files and folders are made beside their final place and switched in by one rename.
Every station writes through here.
"""

from __future__ import annotations

import ctypes
import errno
import glob
import hashlib
import json
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Any

from rsretrieve.errors import OutputBusy, OutputExists, RsretrieveError

_RENAME_EXCHANGE = 2  # linux/fs.h
_AT_FDCWD = -100  # linux/fcntl.h
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_LARGEST_TEXT_BYTES = 1 << 26
"""Of a file that describes a folder; without a limit, a file of holes would fill the memory."""


def refuse_to_overwrite(path: Path, *, overwrite: bool, marker: str = "") -> None:
    """Raise `OutputExists` when `path` is there and may not be replaced.

    Called before the work starts, so that nobody waits an hour to be refused. A device or a
    pipe is never replaced: a file in its place would be of use to nobody.

    Args:
        path: a file or folder to be written.
        overwrite: the user asked for what is there to be replaced.
        marker: the name of a file that tells a folder of ours; a folder that is not empty
            and has none, or a file, is the user's own, and never replaced.
    """
    if found := _never_replaced(path, marker if overwrite else ""):
        raise OutputExists(f"{path} is {found}, and is not replaced", hint="give another output")
    if not overwrite and os.path.lexists(path):
        raise OutputExists(
            f"{path} is there already", hint="give --overwrite to replace it, or another output"
        )


def _never_replaced(path: Path, marker: str) -> str:
    """What stands at a path, where that is nothing to be replaced; else nothing."""
    if path.is_dir():
        ours = not marker or (path / marker).exists() or not any(path.iterdir())
        return "" if ours else f"a folder that rsretrieve did not write ({marker} is missing in it)"
    if path.is_file():
        return "a file, not a folder that rsretrieve wrote" if marker else ""
    return "a pipe, a socket or a device" if path.exists() else ""


@contextmanager
def wanting_room(path: Path) -> Iterator[None]:
    """Let an error for want of room name `path`: the system names no file, or the one aside."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            error.filename = str(path)
        raise


@contextmanager
def making(path: Path) -> Iterator[None]:
    """Let an error name `path`, the user's, where what is made lies aside of it or above it."""
    try:
        yield
    except RsretrieveError:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise OSError(error.errno, reason, str(path)) from error


def open_regular(path: Path) -> BufferedReader:
    """Open a file for reading, if it is a regular file: to open a pipe may take for ever.

    Not for what the user typed, which may be a pipe on purpose.

    Raises:
        OSError: it cannot be opened, or is a folder, a pipe, a socket or a device.
    """
    _require_regular(path, path.stat().st_mode)
    # It may have become another one since: so it does not wait, and is looked at once more.
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        _require_regular(path, os.fstat(handle).st_mode)
    except OSError:
        os.close(handle)
        raise
    return os.fdopen(handle, "rb")


def _require_regular(path: Path, mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "is a folder, not a file", str(path))
    if not stat.S_ISREG(mode):
        reason = "is a pipe, a socket or a device, not a file"
        raise OSError(errno.EINVAL, reason, str(path))


def read_regular_text(path: Path) -> str:
    """Read a text file in UTF-8 that describes a folder: see `open_regular`.

    Raises:
        OSError: it cannot be read, or is larger than any such file.
        ValueError: it is not UTF-8.
    """
    with open_regular(path) as stream:
        content = stream.read(_LARGEST_TEXT_BYTES + 1)
    if len(content) > _LARGEST_TEXT_BYTES:
        reason = f"is larger than {_LARGEST_TEXT_BYTES >> 20} MiB"
        raise OSError(errno.EFBIG, reason, str(path))
    return content.decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")


@contextmanager
def written_aside(path: Path, *, overwrite: bool) -> Iterator[Path]:
    """Yield a path to write a file at; on success it becomes `path` in one rename.

    On any error the unfinished file is removed and `path` is as it was. Where `path` is a link,
    what it leads to is replaced, and the link stays.
    """
    refuse_to_overwrite(path, overwrite=overwrite)
    target = resolved(path) if path.is_symlink() else path
    prefix, suffix = f".{target.name}.", path.suffix
    with making(path):
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=prefix, suffix=suffix)
    os.close(handle)
    aside = Path(name)
    try:
        with wanting_room(path):
            aside.chmod(default_file_mode())
            yield aside
            _flush(aside)
        refuse_to_overwrite(path, overwrite=overwrite)
        aside.replace(target)
    finally:
        aside.unlink(missing_ok=True)
    _flush(target.parent)


def write_text(path: Path, text: str, *, overwrite: bool) -> None:
    """Write a UTF-8 text file aside and switch it in."""
    with written_aside(path, overwrite=overwrite) as aside:
        aside.write_text(text, encoding="utf-8", errors="surrogateescape", newline="")


def write_json(path: Path, content: Any, *, overwrite: bool) -> None:
    """Write `content` as indented JSON (no NaN) aside and switch it in."""
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n", overwrite=overwrite)


@contextmanager
def folder_aside(path: Path, *, overwrite: bool, marker: str = "") -> Iterator[Path]:
    """Yield a new empty folder; on success it becomes `path` in one rename.

    What was there is exchanged with the new one and then removed. On any
    error the unfinished folder is removed and `path` is as it was. With a `marker`, only a
    folder that holds a file of that name is replaced. Where `path` is a link, what it leads to is
    replaced, and the link stays.
    """
    refuse_to_overwrite(path, overwrite=overwrite, marker=marker)
    target = resolved(path) if path.is_symlink() else path
    with making(path):
        target.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.building-"))
    try:
        with wanting_room(path):
            aside.chmod(0o777 & ~_umask())
            yield aside
            for written in aside.iterdir():
                _flush(written)
            _flush(aside)
        refuse_to_overwrite(path, overwrite=overwrite, marker=marker)
        _switch_in(aside, target)
    finally:
        _remove(aside)
    _flush(target.parent)


def resolved(path: Path) -> Path:
    """As `Path.resolve`, which before Python 3.13 has an error of its own for links in a circle.

    Whoever opens what this gives is told so by the system.
    """
    return Path(os.path.realpath(path))


@contextmanager
def only_writer(path: Path) -> Iterator[None]:
    """Hold the right to write the folder `path`; whoever else asks for it is refused.

    The lock is the system's, on a file beside the folder, and ends with the process, however
    that ends. What a killed writer left behind is cleared away first.

    Raises:
        OutputBusy: another process holds it.
    """
    named, path = path, resolved(path)
    lock = path.with_name(f".{path.name}.lock")
    with making(named):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = _locked(lock, path)
    try:
        _clear_leftovers(path)
        yield
    finally:
        lock.unlink(missing_ok=True)  # before it is let go, or another's file would vanish
        os.close(handle)


def _locked(lock: Path, path: Path) -> int:
    """Open and lock a file; it may vanish between the two, when another writer ends."""
    while True:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT, default_file_mode())
        try:
            _lock(handle)
            if os.path.samestat(os.fstat(handle), lock.stat()):
                return handle
        except FileNotFoundError:
            pass  # it vanished: the next try makes it
        except BlockingIOError as error:
            os.close(handle)
            raise OutputBusy(
                f"{path} is being written by another rsretrieve",
                hint="wait until it is done, or stop it; whoever reads sees the old one meanwhile",
            ) from error
        os.close(handle)


def _lock(handle: int) -> None:
    if sys.platform != "win32":  # there, two writers are not told apart
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _clear_leftovers(path: Path) -> None:
    """Put back, or remove, what a writer of `path` that was killed left beside it."""
    old = path.with_name(f".{path.name}.old")
    if old.exists() and not path.exists():
        old.rename(path)
    _remove(old)
    for unfinished in path.parent.glob(f".{glob.escape(path.name)}.building-*"):
        _remove(unfinished)


def sha256_of_file(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file's content, read in blocks."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_of_json(content: Any) -> str:
    """Return the hexadecimal SHA-256 of `content` as canonical JSON."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _switch_in(aside: Path, path: Path) -> None:
    if not os.path.lexists(path):
        aside.rename(path)
    elif not _exchange(aside, path):
        # No exchange on this system: two renames, with a moment between them in which
        # the old folder stands beside under the name `.NAME.old`.
        old = path.with_name(f".{path.name}.old")
        _remove(old)
        path.rename(old)
        aside.rename(path)
        _remove(old)


def _remove(path: Path) -> None:
    """Remove whatever stands at a path: a folder, a file, a link (not what it leads to)."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _exchange(one: Path, other: Path) -> bool:
    """Swap two paths in one step (Linux `renameat2`); False where that cannot be done."""
    if not sys.platform.startswith("linux"):
        return False
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    arguments = (_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE)
    return bool(rename(*arguments) == 0)


def _flush(path: Path) -> None:
    """Force a file or a folder to disk, so that the rename cannot outrun the content."""
    if path.is_dir() and os.name == "nt":
        return  # Windows cannot open folders
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def default_file_mode() -> int:
    """The permissions that a new file gets by the user's umask."""
    return 0o666 & ~_umask()
