"""The goal that an index was built for, and what an update changes in it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from rsretrieve.index.store.manifest import Manifest, read_manifest
from rsretrieve.index.vectors.choose_kind import IndexGoal


def goal_from_manifest(manifest: Manifest) -> IndexGoal:
    """The goal that an index was built for."""
    with suppress(TypeError, ValueError):
        return IndexGoal(**(manifest.goal or {"key": manifest.faiss_key}))
    return IndexGoal(key=manifest.faiss_key)


def asked_goal(given: Mapping[str, Any], updated: Path | None) -> IndexGoal | None:
    """The goal that a user asks for.

    Args:
        given: the fields of `IndexGoal` that were given.
        updated: the index that is to be updated, which keeps the others; None: they are defaults.

    Returns:
        The goal; None if nothing was given.

    Raises:
        InvalidArgument: a field is out of range.
        IndexNotFound, IndexDamaged: there is no index to update, or its manifest is damaged.
    """
    goal = IndexGoal(**given)
    if given and updated is not None:
        goal = replace(goal_from_manifest(read_manifest(updated)), **given)
    return goal if given else None
