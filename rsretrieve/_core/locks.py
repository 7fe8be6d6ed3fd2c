"""A lock that lets only one process at a time write a folder."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from rsretrieve._core.atomic_write import (
    default_file_mode,
    naming_output,
    resolved,
)
from rsretrieve._core.folders.folder_kind import FolderKind
from rsretrieve._core.folders.own_files import remove_leftovers
from rsretrieve._core.machine import launch
from rsretrieve.errors import OutputBusy, OutputExists

if TYPE_CHECKING:
    from filelock import BaseFileLock


@contextmanager
def only_writer(path: Path, kind: FolderKind | None = None) -> Iterator[None]:
    """Lock the folder `path` for writing; a second writer is refused at once.

    The lock is the operating system's, on the file `.NAME.lock` beside the folder. It ends with
    the process, however that ends. The remains of a killed writer are removed first.

    Args:
        path: the folder; it need not exist yet.
        kind: of the folder, if it is replaced as a whole: see `remove_leftovers`.

    Raises:
        OutputBusy: another process holds the lock.
        OutputExists: the lock file has content: it is another program's.
        OSError: the lock file cannot be made, or the file system has no locks.
    """
    folder = resolved(path)
    lock_file = folder.with_name(f".{folder.name}.lock")
    with naming_output(path):
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = _acquired(lock_file, folder)
    launch.temporary.add(lock_file)
    try:
        if kind is not None:
            remove_leftovers(folder, kind)
        yield
    finally:
        # Removed while the lock is held: afterwards the file may be another writer's. A process
        # that opened the file before cannot lock it any more: filelock refuses a removed file.
        with suppress(PermissionError):  # Windows removes no open file; it stays, unlocked
            lock_file.unlink(missing_ok=True)
        launch.temporary.discard(lock_file)
        lock.release()


def _acquired(lock_file: Path, folder: Path) -> BaseFileLock:
    from filelock import FileLock, Timeout  # takes longer to import than `--help` should

    if _is_foreign(lock_file):
        raise OutputExists(
            f"{lock_file} is not a lock of rsretrieve, which needs this name",
            hint="move it, or give another output",
        )
    lock = FileLock(
        lock_file,
        timeout=0,
        mode=default_file_mode(),
        thread_local=False,
        # Its fallback is a file that a process killed on another machine would leave permanently.
        fallback_to_soft=False,
    )
    try:
        lock.acquire()
    except Timeout as error:
        raise OutputBusy(
            f"{folder} is being written by another rsretrieve",
            hint="wait until it ends, or stop it; the old content can be read meanwhile",
        ) from error
    return lock


def _is_foreign(lock_file: Path) -> bool:
    """Whether a file has the name of our lock and is not one: ours are empty files."""
    try:
        found = lock_file.lstat()
    except FileNotFoundError:
        return False
    return not stat.S_ISREG(found.st_mode) or found.st_size > 0
