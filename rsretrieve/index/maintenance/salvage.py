"""Recover what is left of a damaged manifest."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from rsretrieve._core.regular_files import read_regular_text
from rsretrieve.data.window import split_window
from rsretrieve.data.windowing import WindowChoices
from rsretrieve.errors import IndexDamaged
from rsretrieve.index.store.manifest import (
    MANIFEST_FILE,
    Manifest,
    first_invalid_field,
    names_files,
    read_manifest,
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
        known = {field.name for field in fields(Manifest)}
        try:
            content = json.loads(read_regular_text(folder / MANIFEST_FILE))
            manifest = Manifest(**{key: content[key] for key in content if key in known})
            if names_files(manifest) and not first_invalid_field(manifest):
                return manifest, False
        except (OSError, ValueError, TypeError, AttributeError, RecursionError):
            pass
        raise beyond_repair(folder, f"{MANIFEST_FILE} cannot be read") from None


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


def beyond_repair(folder: Path, why: str) -> IndexDamaged:
    """The error for an index that cannot be repaired."""
    return IndexDamaged(
        f"{folder} cannot be repaired: {why}",
        hint=f"build it again: rsretrieve index TILES --output {folder} --overwrite",
    )
