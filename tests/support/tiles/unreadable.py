"""What may lie in the place of a file, and would make a reader wait, or read without end."""

from __future__ import annotations

import os
from pathlib import Path

UNREADABLE = ("pipe", "link to a pipe", "link to a device", "folder")


def put_unreadable(path: Path, kind: str) -> None:
    """Put one of `UNREADABLE` in the place of a file."""
    path.unlink()
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "link to a device":
        path.symlink_to("/dev/zero")
    else:
        pipe = path.parent.parent / f"pipe-{path.name}"
        os.mkfifo(pipe)
        path.symlink_to(pipe)
