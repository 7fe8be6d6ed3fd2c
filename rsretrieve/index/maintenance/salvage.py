"""Recover what is left of a damaged manifest."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rsretrieve._core.paths import Location
from rsretrieve.data.window import split_window
from rsretrieve.data.windowing import WindowChoices
from rsretrieve.errors import IndexDamaged
from rsretrieve.index.store.manifest import (
    MANIFEST_FILE,
    Manifest,
    read_manifest,
    salvaged_manifest,
)
from rsretrieve.index.store.tile_table import TileTable


def read_damaged_manifest(folder: Path) -> tuple[Manifest, bool]:
    """Read a manifest even if its digest does not match.

    Returns:
        The manifest, and whether its digest matches.

    Raises:
        IndexDamaged: the file cannot be read as a manifest at all.
    """
    try:
        return read_manifest(folder), True
    except IndexDamaged:
        manifest = salvaged_manifest(folder)
    if manifest is None:
        raise beyond_repair(folder, f"{MANIFEST_FILE} cannot be read")
    return manifest, False


def verified_windows(told: Mapping[str, Any], rows: TileTable) -> dict[str, Any]:
    """The windows of a damaged manifest if all tiles agree with them; otherwise empty.

    If the manifest is wrong about edges or nodata, an update reads those windows again.
    """
    try:
        choices = WindowChoices.from_json(told)
    except (TypeError, ValueError, KeyError, AttributeError):
        return {}
    if choices is None:
        return {}
    for tile_id, read_px in zip(rows.column("id"), rows.column("read_px")):
        window = split_window(tile_id)[1]
        if window is None or not choices.may_have_cut(replace(window, read_px=read_px)):
            return {}
    return dict(told)


def require_files(folder: Path, rows: TileTable) -> None:
    """Refuse to embed the tiles of an index again if files of them are not there now.

    Those tiles would be dropped from the index. Remote files are not asked for.

    Raises:
        IndexDamaged: a local file is missing, or may not be read.
    """
    there: dict[str, bool] = {}
    for path in rows.column("path"):
        if path not in there:
            files = Location.parse(path).local_files
            there[path] = all(os.access(file, os.R_OK) for file in files)
    absent = [path for path in rows.column("path") if not there[path]]
    if absent:
        raise IndexDamaged(
            f"{folder} cannot be repaired now: its vectors are lost, and {len(absent):,} of its "
            f"{len(rows):,} tiles cannot be opened to embed them again (the first is {absent[0]})",
            hint="make these files available, such as by mounting their disk; or give --overwrite, "
            "which drops these tiles from the index",
        )


def beyond_repair(folder: Path, why: str) -> IndexDamaged:
    """The error for an index that cannot be repaired."""
    return IndexDamaged(
        f"{folder} cannot be repaired: {why}",
        hint=f"build it again: rsretrieve index TILES --output {folder} --overwrite",
    )
