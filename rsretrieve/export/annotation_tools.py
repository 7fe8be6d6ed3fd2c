"""The audit for other programs: cleanlab, FiftyOne, Label Studio, maps."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from rsretrieve import __version__
from rsretrieve._core.atomic_write import write_json
from rsretrieve._core.tables import write_csv
from rsretrieve.audit.result import Audit, AuditedTile
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.export.geojson import footprint_geometry

SAMPLE_COLUMNS = (
    *("filepath", "tile", "given_label", "predicted_label", "is_label_issue", "label_score"),
    *("issue_probability", "kind", "lon", "lat", "window"),
)


def write_samples_csv(path: Path, audit: Audit, tiles: TileSet, *, overwrite: bool) -> None:
    """Write every audited tile in the order of the tiles, as cleanlab and FiftyOne expect.

    The columns `is_label_issue`, `label_score`, `given_label` and `predicted_label` are those of
    cleanlab's tables of issues; `filepath`, absolute, is what FiftyOne's CSV importer looks for.
    Of a window of a scene it is the scene; `window` is col,row,width,height in its pixels.
    """
    judged = {audited.tile.id: audited for audited in audit.tiles}
    rows = (_sample(judged[tile.id], audit) for tile in tiles if tile.id in judged)
    write_csv(path, SAMPLE_COLUMNS, rows, overwrite=overwrite)


def _sample(audited: AuditedTile, audit: Audit) -> tuple[object, ...]:
    place = audit.places.get(audited.tile.id)
    return (
        audited.tile.location.absolute(),
        audited.tile.id,
        audited.tile.label,
        audited.predicted_label,
        audited.is_label_issue,
        audited.label_score,
        audited.issue_probability,
        audited.kind or "",
        *(place.centre if place is not None else ("", "")),
        ",".join(map(str, _window(audited.tile) or ())),
    )


def _window(tile: Tile) -> tuple[int, int, int, int] | None:
    """Column, row, width and height in the scene's pixels; None for a whole file."""
    window = tile.window
    return None if window is None else (window.col, window.row, window.width, window.height)


def write_label_studio(path: Path, audit: Audit, *, overwrite: bool) -> Path | None:
    """Write the tiles that need a look as Label Studio tasks, our suggestion pre-annotated.

    The labelling interface needs `<Image name="image" value="$image"/>` and
    `<Choices name="label" toName="image">` with the classes. What lies elsewhere is named by
    its address; of a window of a scene the image is the scene, and `window` says which.

    Returns:
        The folder that Label Studio must be told to serve (its
        `LOCAL_FILES_DOCUMENT_ROOT`): images on disk are named relative to it. None where
        there are none.
    """
    root = _common_folder(audited.tile for audited in audit.to_check)
    tasks = [_task(audited, root) for audited in audit.to_check]
    write_json(path, tasks, overwrite=overwrite)
    return root


def _common_folder(tiles: Iterable[Tile]) -> Path | None:
    """The folder that holds every tile on this machine's disk, if there are such."""
    local = (tile.location.absolute() for tile in tiles if tile.location.is_local)
    folders = {str(Path(path).parent) for path in local}
    return Path(os.path.commonpath(folders)) if folders else None


def _address(tile: Tile, root: Path | None) -> str:
    """What Label Studio finds an image by: a URL, or where it lies below what it serves."""
    if root is None or not tile.location.is_local:
        return tile.path
    relative = os.path.relpath(tile.location.absolute(), root)
    return f"/data/local-files/?d={quote(Path(relative).as_posix())}"


def _task(audited: AuditedTile, root: Path | None) -> dict[str, Any]:
    choice = {
        "from_name": "label",
        "to_name": "image",
        "type": "choices",
        "value": {"choices": [audited.suggested_label]},
    }
    return {
        "data": {"image": _address(audited.tile, root), **_properties(audited)},
        "predictions": [
            {
                "model_version": f"rsretrieve {__version__}",
                "score": 1 - audited.label_score,
                "result": [choice],
            }
        ],
    }


def write_issues_geojson(path: Path, audit: Audit, *, overwrite: bool) -> int:
    """Write the tiles that need a look as GeoJSON footprints; without a place, a null geometry.

    Returns:
        How many have a place.
    """
    features = []
    for audited in audit.to_check:
        place = audit.places.get(audited.tile.id)
        geometry = None if place is None else footprint_geometry(place.footprint)
        features.append(
            {"type": "Feature", "geometry": geometry, "properties": _properties(audited)}
        )
    write_json(path, {"type": "FeatureCollection", "features": features}, overwrite=overwrite)
    return sum(feature["geometry"] is not None for feature in features)


def _properties(audited: AuditedTile) -> dict[str, Any]:
    return {
        "tile": audited.tile.id,
        "given_label": audited.tile.label,
        "suggested_label": audited.suggested_label,
        "is_label_issue": audited.is_label_issue,
        "label_score": audited.label_score,
        "kind": audited.kind,
        "twin": audited.twin.id if audited.twin else None,
        "window": _window(audited.tile),
    }
