"""Write files and folders so that a crash leaves the old content or the new one, complete.

A file or folder is written beside its target and moved into place by one rename. All output of
rsretrieve is written through this module.
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

from rsretrieve._core.folders.folder_kind import FolderKind
from rsretrieve._core.folders.own_files import (
    REPLACED,
    UNFINISHED,
    described,
    foreign_entries,
    settle,
)
from rsretrieve._core.folders.replaceable import irreplaceable, require_renamable
from rsretrieve._core.folders.writable_parent import refuse_unwritable
from rsretrieve._core.standard_output import is_standard_output, written_to_standard_output
from rsretrieve._core.text import is_unicode
from rsretrieve.errors import OutputExists, RsretrieveError

_UMASK_LOCK = Lock()  # two threads at once would keep the mask of the moment
_RENAME_EXCHANGE = 2  # linux/fs.h
_AT_FDCWD = -100  # linux/fcntl.h
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def refuse_to_overwrite(path: Path, *, overwrite: bool, kind: FolderKind | None = None) -> None:
    """Raise `OutputExists` or `OutputRefused` when `path` may not be replaced or written.

    To be called before the work starts. Pipes, sockets and devices are never replaced.
    `OutputRefused`: see `require_renamable`.

    Args:
        path: a file or folder to be written.
        overwrite: the user allows an existing output to be replaced.
        kind: of the folder; None for a file. A file, or a folder of another kind with any
            content, belongs to the user and is never replaced. Nor are files that the user has
            put in a folder of this kind: see `folder_aside`.
    """
    if is_standard_output(path):
        return
    require_renamable(path, is_folder=kind is not None)
    if reason := irreplaceable(path, kind if overwrite else None):
        raise OutputExists(f"{path} is {reason}, and is not replaced", hint="give another output")
    if not overwrite and os.path.lexists(path):
        raise OutputExists(
            f"{path} already exists", hint="give --overwrite to replace it, or another output"
        )
    if overwrite and kind is not None:
        _refuse_names(path, kind, lambda name: any(_lies_in(own, name) for own in kind.writes))
    refuse_unwritable(path)


def _refuse_names(path: Path, kind: FolderKind, is_taken: Callable[[str], bool]) -> None:
    """Raise `OutputExists` if a file of the user in a folder has the name of a new one of ours."""
    own = kind.own_files(path)
    taken = [name for name in foreign_entries(path, own) if is_taken(name)] if own else []
    if taken:
        raise OutputExists(
            f"{path} holds {described(taken)}, which rsretrieve did not write and would replace",
            hint="move it out of the folder, or give another output",
        )


def _lies_in(name: str, folder: str) -> bool:
    return name == folder or name.startswith(f"{folder}/")


@contextmanager
def naming_full_disk(path: Path) -> Iterator[None]:
    """Make an error of a full disk name `path`: the system names no file, or a temporary one."""
    try:
        yield
    except OSError as error:
        if error.errno in _DISK_FULL:
            error.filename = str(path)
        raise


@contextmanager
def naming_output(path: Path) -> Iterator[None]:
    """Make every `OSError` name `path`, the user's, and not a temporary or parent path."""
    try:
        yield
    except RsretrieveError:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise OSError(error.errno, reason, str(path)) from error


@contextmanager
def written_aside(path: Path, *, overwrite: bool, follow: bool = True) -> Iterator[Path]:
    """Yield a temporary path to write a file to; on success one rename moves it to `path`.

    On any error the temporary file is removed and `path` stays as it was. If it is `-`, the
    program writes the file to standard output.

    Args:
        path: the file.
        overwrite: an existing file may be replaced.
        follow: if `path` is a symbolic link, its target is replaced and the link stays: the user
            typed it. False for a file in a folder that the user typed: who made the folder may
            have made the link, and it is replaced itself.

    Raises:
        OutputExists: see `refuse_to_overwrite`.
        OSError: the file cannot be written.
    """
    if is_standard_output(path):
        with written_to_standard_output() as aside:
            yield aside
        return
    refuse_to_overwrite(path, overwrite=overwrite)
    target = resolved(path) if follow and path.is_symlink() else path
    prefix, suffix = f".{target.name}.", path.suffix
    with naming_output(path):
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=prefix, suffix=suffix)
    os.close(handle)
    aside = Path(name)
    try:
        with naming_full_disk(path):
            aside.chmod(default_file_mode())
            yield aside
            _flush(aside)
        refuse_to_overwrite(path, overwrite=overwrite)
        aside.replace(target)
    finally:
        aside.unlink(missing_ok=True)
    _flush(target.parent)


def write_text(path: Path, text: str, *, overwrite: bool, follow: bool = True) -> None:
    """Write a text file (UTF-8) atomically; see `written_aside`."""
    with written_aside(path, overwrite=overwrite, follow=follow) as aside:
        aside.write_text(text, encoding="utf-8", errors="surrogateescape", newline="")


def write_json(path: Path, content: Any, *, overwrite: bool, follow: bool = True) -> None:
    """Write `content` as indented JSON (no NaN) atomically; see `written_aside`.

    What is no Unicode, as names of files may be, is written as escapes: the file stays UTF-8.
    """
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    if not is_unicode(text):
        text = json.dumps(content, indent=2, ensure_ascii=True, allow_nan=False)
    write_text(path, text + "\n", overwrite=overwrite, follow=follow)


@contextmanager
def folder_aside(path: Path, *, overwrite: bool, kind: FolderKind) -> Iterator[Path]:
    """Yield a new empty folder; on success one rename moves it to `path`.

    An existing `path` is exchanged with the new folder, and our files in it are removed. What the
    user has put there is moved to the new folder. On any error the new folder is removed and
    `path` stays as it was. If `path` is a symbolic link, its target is replaced and the link
    stays.

    Args:
        path: the folder to be written.
        overwrite: an existing output may be replaced.
        kind: of the folder; see `refuse_to_overwrite`.

    Raises:
        OutputExists: see `refuse_to_overwrite`; or a file of the user has a name of a new file.
        OSError: the folder cannot be written.
    """
    refuse_to_overwrite(path, overwrite=overwrite, kind=kind)
    target = resolved(path) if path.is_symlink() else path
    with naming_output(path):
        target.parent.mkdir(parents=True, exist_ok=True)
        aside = _new_folder_beside(target, UNFINISHED)
        new = aside.stat()
    left: list[str] = []
    try:
        with naming_full_disk(path):
            aside.chmod(0o777 & ~_umask())
            yield aside
            for written in aside.rglob("*"):
                _flush(written)
            _flush(aside)
        refuse_to_overwrite(path, overwrite=overwrite, kind=kind)
        _refuse_names(target, kind, lambda name: os.path.lexists(aside / name))
        _move_into_place(aside, target)
    finally:
        if not _is(aside, new):  # the folder that was replaced, or nothing
            left = settle(aside, target, kind) if aside.is_dir() else []
        else:
            shutil.rmtree(aside, ignore_errors=True)
    _flush(target.parent)
    if left:
        raise OutputExists(
            f"{path} is written, but {described(left)} could not be moved to it from {aside}",
            hint="move them yourself",
        )


def _new_folder_beside(path: Path, what: str) -> Path:
    return Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.{what}-"))


def _is(path: Path, known: os.stat_result) -> bool:
    return path.exists() and os.path.samestat(path.stat(), known)


def resolved(path: Path) -> Path:
    """As `Path.resolve`, but without an error for symbolic links that form a circle.

    `Path.resolve` raises a `RuntimeError` for these before Python 3.13. Here the error comes
    from the system, when the path is opened; also for what is no name of a file, as with NUL.
    """
    return Path(real_path(path))


def real_path(path: str | Path) -> str:
    r"""As `os.path.realpath`; for what is no name of a file, as with NUL, the absolute path.

    >>> real_path("/a\0b"), real_path("/\ud800")
    ('/a\x00b', '/\ud800')
    """
    try:
        return os.path.realpath(path)
    except ValueError:
        return os.path.abspath(path)  # noqa: PTH100


def sha256_of_file(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file's content, read in blocks."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_of_json(content: Any) -> str:
    """Return the hexadecimal SHA-256 of `content` as canonical JSON."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _move_into_place(aside: Path, path: Path) -> None:
    """Move a new folder to `path`; a folder that was there lies at `aside` afterwards."""
    if not os.path.lexists(path):
        aside.rename(path)
    elif not exchange_paths(aside, path):
        # This system cannot exchange two folders. Between the first two renames there is no
        # folder at `path`, and a killed process leaves the old one (see `remove_leftovers`).
        old = _new_folder_beside(path, REPLACED)
        old.rmdir()
        path.rename(old)
        try:
            aside.rename(path)
        except BaseException:
            if not os.path.lexists(path):
                old.rename(path)
            raise
        old.rename(aside)


def exchange_paths(one: Path, other: Path) -> bool:
    """Exchange two paths in one step (Linux `renameat2`); False where that is impossible."""
    if not sys.platform.startswith("linux"):
        return False
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    arguments = (_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE)
    return bool(rename(*arguments) == 0)


def _flush(path: Path) -> None:
    """Force a file or a folder to disk, so that the rename never precedes the content."""
    if path.is_dir() and os.name == "nt":
        return  # Windows cannot open folders
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _umask() -> int:
    """The user's umask. The system tells it only where it sets another one for a moment."""
    with _UMASK_LOCK:
        mask = os.umask(0o077)
        os.umask(mask)
    return mask


def default_file_mode() -> int:
    """The permissions that a new file gets by the user's umask."""
    return 0o666 & ~_umask()
