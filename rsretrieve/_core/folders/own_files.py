"""Remove what rsretrieve wrote from a folder, and nothing else."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from rsretrieve._core.folders.folder_kind import FolderKind

_CHANCE = r"[a-z0-9_]{8}"  # as `tempfile` makes it
_TEMPORARY = re.compile(rf"\.(.+)\.{_CHANCE}(?:\.[^.]*)?")  # as `written_aside` names its files
UNFINISHED, REPLACED = "building", "replaced"


def foreign_entries(folder: Path, own: Collection[str]) -> list[str]:
    """What is not ours in a folder.

    Args:
        folder: the folder.
        own: our files, as paths in the folder with `/`.

    Returns:
        Files, links and folders, as paths in the folder; a folder without files of ours stands
        for all of its content.
    """
    return [name for name, is_own in _divided(folder, own) if not is_own]


def move_foreign(old: Path, new: Path, own: Collection[str]) -> list[str]:
    """Move what is not ours from one folder to another.

    Returns:
        What could not be moved, and is still in `old`.
    """
    left = []
    for name in foreign_entries(old, own):
        try:
            if os.path.lexists(new / name):
                raise FileExistsError(name)
            (new / name).parent.mkdir(parents=True, exist_ok=True)
            os.rename(old / name, new / name)  # noqa: PTH104
        except OSError:
            left.append(name)
    return left


def remove_own(folder: Path, own: Collection[str], last: str = "") -> None:
    """Remove our files, and the folders that are empty then; what cannot be removed stays.

    Args:
        folder: the folder.
        own: our files, as paths in the folder with `/`.
        last: the file to remove last, and only if no other of ours is left.
    """
    names = [name for name, is_own in _divided(folder, own) if is_own]
    with suppress(OSError):
        for name in sorted(names, key=lambda name: name == last):
            (folder / name).unlink()
    for name in sorted(_folders(folder, own), reverse=True):
        _remove_empty(folder / name)
    _remove_empty(folder)


def remove_files(folder: Path, is_own: Callable[[str], bool]) -> None:
    """Remove our files from a folder without folders of ours, and the folder if it is empty then.

    Args:
        folder: the folder, which need not exist.
        is_own: whether a file is ours, by its name.
    """
    if folder.is_dir() and not folder.is_symlink():
        remove_own(folder, {path.name for path in folder.iterdir() if is_own(path.name)})


def settle(old: Path, new: Path, kind: FolderKind) -> list[str]:
    """Move what is not ours from a folder that was replaced to the new one; remove the rest.

    Returns:
        What could not be moved, and is still in `old`.
    """
    own = kind.own_files(old)
    left = move_foreign(old, new, own)
    remove_own(old, own, kind.marker)
    return left


def remove_leftovers(path: Path, kind: FolderKind) -> None:
    """Clean up after a writer of the folder `path` that was killed.

    If it was killed between the two renames of an exchange, the old folder is put back. What
    rsretrieve wrote into other remains is removed. What it did not write is moved to `path` if
    it comes from there, and otherwise left alone.

    Args:
        path: the folder, which need not exist.
        kind: of the folder.
    """
    replaced, unfinished = (list(_beside(path, what)) for what in (REPLACED, UNFINISHED))
    # Earlier versions named the replaced folder so. The user may have a folder of this name.
    for old in (*replaced, path.with_name(f".{path.name}.old")):
        if not os.path.lexists(path) and kind.is_own(old):
            old.rename(path)
    for left in (*replaced, *unfinished):
        with suppress(OSError):
            _remove_remains(left, path, kind)


def _remove_remains(left: Path, path: Path, kind: FolderKind) -> None:
    if kind.is_own(left) and kind.is_own(path):
        settle(left, path, kind)
    elif kind.is_own(left) or not foreign_entries(left, kind.writes):
        remove_own(left, kind.own_files(left) or kind.writes, kind.marker)


def _beside(path: Path, what: str) -> Iterator[Path]:
    name = re.compile(rf"\.{re.escape(path.name)}\.{what}-{_CHANCE}")
    for found in path.parent.glob(f".{glob.escape(path.name)}.{what}-*"):
        if name.fullmatch(found.name) and found.is_dir() and not found.is_symlink():
            yield found


def _divided(folder: Path, own: Collection[str]) -> Iterator[tuple[str, bool]]:
    """Every entry of a folder, and whether it is ours; links are not followed."""
    ours, shared = frozenset(own), _parents(own)
    pending: list[str] = [""]
    while pending:
        inner = pending.pop()
        for entry in sorted(os.scandir(folder / inner), key=lambda entry: entry.name):
            name = f"{inner}/{entry.name}" if inner else entry.name
            if not entry.is_dir(follow_symlinks=False):
                yield name, name in ours or _is_temporary(inner, entry.name, ours)
            elif name in shared:
                pending.append(name)
            else:
                yield name, False


def _folders(folder: Path, own: Collection[str]) -> Iterator[str]:
    """The folders of a folder in which our files may lie; links are not followed.

    The names of our files may be a stranger's: one that leads out of the folder finds nothing.
    """
    shared, pending = _parents(own), [""]
    while pending:
        inner = pending.pop()
        for entry in os.scandir(folder / inner):
            name = f"{inner}/{entry.name}" if inner else entry.name
            if name in shared and entry.is_dir(follow_symlinks=False):
                pending.append(name)
                yield name


def _is_temporary(inner: str, name: str, own: Collection[str]) -> bool:
    """Whether it is the unfinished form of a file of ours, left by a killed writer."""
    found = _TEMPORARY.fullmatch(name)
    return found is not None and f"{inner}/{found[1]}".lstrip("/") in own


def _parents(names: Iterable[str]) -> set[str]:
    """The folders in which files lie, as paths with `/`."""
    found = set()
    for name in names:
        parts = name.split("/")[:-1]
        found |= {"/".join(parts[: i + 1]) for i in range(len(parts))}
    return found


def _remove_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()


def described(names: Sequence[str]) -> str:
    """The first names, and that there are more, for a message."""
    return ", ".join(names[:3]) + " …" * (len(names) > 3)
