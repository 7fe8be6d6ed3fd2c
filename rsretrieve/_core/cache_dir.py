"""The folder of files that can be made again: decoded tiles and checksum notes."""

from __future__ import annotations

import os
from pathlib import Path

CACHE_VARIABLE = "RSRETRIEVE_CACHE"


def cache_dir() -> Path | None:
    """The cache folder; None where the user has no home folder, as in some containers.

    `RSRETRIEVE_CACHE` names it. Otherwise it is the folder `rsretrieve` in the user's cache
    folder: `XDG_CACHE_HOME` where that is set, else the system's own (`~/.cache` on Linux).
    """
    if chosen := os.environ.get(CACHE_VARIABLE):
        return Path(chosen)
    if root := os.environ.get("XDG_CACHE_HOME"):
        return Path(root, "rsretrieve")
    try:
        Path.home()
    except RuntimeError:  # platformdirs would give a folder named "~"
        return None
    from platformdirs import user_cache_path

    return user_cache_path("rsretrieve", appauthor=False)
