"""Find out before the work whether an output can be made where it is to lie."""

from __future__ import annotations

import os
from pathlib import Path

from rsretrieve.errors import OutputExists, OutputRefused

_HINT = "give another output"


def refuse_unwritable(path: Path, name: str = "") -> None:
    """Refuse a new file or folder whose nearest existing parent cannot hold it.

    Args:
        path: the file or folder; of a symbolic link, its target is meant. What exists is not looked
            at.
        name: the option that names it.

    Raises:
        OutputExists: the parent is no folder.
        OutputRefused: the parent is a folder that may not be written.
    """
    target = Path(os.path.realpath(path)) if path.is_symlink() else path
    if os.path.lexists(target):
        return
    shown = f"{name} {path}".strip()
    parent = next((folder for folder in target.parents if os.path.lexists(folder)), None)
    if parent is None:  # the working folder was deleted
        return
    if not parent.is_dir():
        what = "a file" if parent.exists() else "a broken link"
        raise OutputExists(
            f"{shown} cannot be written: {parent} is {what}, not a folder", hint=_HINT
        )
    effective = os.access in os.supports_effective_ids
    if not os.access(parent, os.W_OK | os.X_OK, effective_ids=effective):
        raise OutputRefused(
            f"{shown} cannot be written: the folder {parent} is not writable",
            hint=f"{_HINT}, or change the permissions of the folder",
        )
