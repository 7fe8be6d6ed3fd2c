"""Arguments that say what an index is to be, and the file that keeps them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from rsretrieve.api.arguments.checks import byte_count, flag, number, plain_text
from rsretrieve.export.run_config import write_config
from rsretrieve.index.store.kept_goal import asked_goal, goal_from_manifest
from rsretrieve.index.store.manifest import read_manifest
from rsretrieve.index.vectors.choose_kind import AUTO, IndexGoal


def index_goal(
    key: object, recall: object, memory: object, append_only: object, updated: Path | None = None
) -> IndexGoal | None:
    """What the index is to be; None where nothing is asked, so that an update keeps its kind.

    An argument with its default counts as not given. What is not given stays as it was for the
    index `updated`, which is to be updated.

    Raises:
        InvalidArgument: an argument is of a wrong type, or out of range.
        IndexNotFound, IndexDamaged: there is no index to update, or its manifest is damaged.
    """
    chosen = {
        "key": plain_text(key, "index"),
        "recall": None if recall is None else number(recall, "recall"),
        "memory_bytes": byte_count(memory, "memory"),
        "append_only": flag(append_only, "append_only"),
    }
    return asked_goal({k: v for k, v in chosen.items() if v not in (None, False, AUTO)}, updated)


def record_index(folder: Path, given: Mapping[str, object], *, updated: bool) -> None:
    """Write `config.toml` into an index folder: the options of the command that makes it anew.

    Args:
        folder: the index folder.
        given: the arguments of this call, by the names of the command's options.
        updated: this call brought an index up to date, which keeps its model and its goal.
    """
    options = {**given, "output": folder}
    if updated:
        manifest = read_manifest(folder)
        options |= goal_from_manifest(manifest).options()
        options["model"] = options.get("model") or manifest.model_path(folder)
    write_config(folder, "index", {name.replace("_", "-"): v for name, v in options.items()})


def paths_given(tiles: object) -> list[str] | None:
    """The paths by which tiles are given; None for objects, which no file of options can hold."""
    given = [tiles] if isinstance(tiles, str | os.PathLike) else tiles
    if not isinstance(given, list | tuple):
        return None
    paths = [os.fspath(one) for one in given if isinstance(one, str | os.PathLike)]
    return [str(path) for path in paths] if len(paths) == len(given) else None
