"""What may stand where a file or folder is to be written, and which names it may have."""

from __future__ import annotations

import os
from pathlib import Path

from rsretrieve._core.folders.folder_kind import FolderKind
from rsretrieve.errors import OutputRefused

_BESIDE = len("..building-xxxxxxxx"), len("..xxxxxxxx")  # beside a folder, and beside a file


def irreplaceable(path: Path, kind: FolderKind | None) -> str:
    """Describe what exists at a path if it must not be replaced; else an empty text.

    Args:
        path: a file or folder to be written.
        kind: of the folder, if one of this kind may be replaced; else None.
    """
    if path.is_dir():
        if kind is None or kind.is_own(path) or not any(path.iterdir()):
            return ""
        why = f"{kind.marker} is missing in it"
        if os.path.lexists(path / kind.marker):
            why = f"its {kind.marker} is another program's, or the {kind.name} files are missing"
        return f"a folder that rsretrieve did not write ({why})"
    if path.is_file():
        return "a file, not a folder that rsretrieve wrote" if kind else ""
    return "a pipe, a socket or a device" if path.exists() else ""


def require_renamable(path: Path, *, is_folder: bool) -> None:
    """Check that something that was written beside a path can be renamed to it.

    Args:
        path: a file or folder to be written.
        is_folder: it is a folder, and replaced as a whole.

    Raises:
        OutputRefused: the folder is a mount point or has no name of its own, or the name is too
            long for the temporary name beside it.
    """
    target = Path(os.path.realpath(path)) if path.is_symlink() else path
    if is_folder and target.name in ("", ".."):
        raise OutputRefused(
            f"{path} cannot be replaced as a whole: it is the current folder, or contains it",
            hint="give the name of a folder in it",
        )
    if is_folder and os.path.ismount(target):
        raise OutputRefused(
            f"{path} is a mount point, which cannot be replaced as a whole",
            hint="give a folder in it",
        )
    longest = _longest_name(target.parent) - (_BESIDE[0] if is_folder else _longest_beside(target))
    if len(os.fsencode(target.name)) > longest:
        raise OutputRefused(
            f"the name of {path} is too long: it may have {longest} bytes, because a temporary "
            "name beside it is longer",
            hint="give a shorter name",
        )


def _longest_beside(file: Path) -> int:
    return _BESIDE[1] + len(os.fsencode(file.suffix))


def _longest_name(folder: Path) -> int:
    """The highest number of bytes of a name in a folder, which need not exist yet."""
    place = folder.absolute()
    while not place.is_dir() and place != place.parent:
        place = place.parent
    return os.statvfs(place).f_namemax if hasattr(os, "statvfs") else 255  # Windows
