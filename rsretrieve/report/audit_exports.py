"""The audit for other programs: cleanlab, FiftyOne, Label Studio, maps."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from rsretrieve import __version__
from rsretrieve.audit.records import Audit, AuditedTile
from rsretrieve.report.geo import footprint_geometry
from rsretrieve.storage import write_json
from rsretrieve.tiles.records import Tile, TileSet, absolute
from rsretrieve.tiles.tables import write_csv

SAMPLE_COLUMNS = (
    *("filepath", "tile", "given_label", "predicted_label", "is_label_issue", "label_score"),
    *("issue_probability", "kind", "lon", "lat"),
)


def write_samples_csv(path: Path, audit: Audit, tiles: TileSet, *, overwrite: bool) -> None:
    """Write every audited tile in the order of the tiles, as cleanlab and FiftyOne expect.

    The columns `is_label_issue`, `label_score`, `given_label` and `predicted_label` are those of
    cleanlab's tables of issues; `filepath`, absolute, is what FiftyOne's CSV importer looks for.
    """
    judged = {audited.tile.id: audited for audited in audit.tiles}
    rows = (_sample(judged[tile.id], audit) for tile in tiles if tile.id in judged)
    write_csv(path, SAMPLE_COLUMNS, rows, overwrite=overwrite)


def _sample(audited: AuditedTile, audit: Audit) -> tuple[object, ...]:
    place = audit.places.get(audited.tile.id)
    return (
        absolute(audited.tile.path),
        audited.tile.id,
        audited.tile.label,
        audited.predicted_label,
        audited.is_label_issue,
        audited.label_score,
        audited.issue_probability,
        audited.kind or "",
        *(place.centre if place is not None else ("", "")),
    )


def write_label_studio(path: Path, audit: Audit, *, overwrite: bool) -> Path:
    """Write the tiles that need a look as Label Studio tasks, our suggestion pre-annotated.

    The labelling interface needs `<Image name="image" value="$image"/>` and
    `<Choices name="label" toName="image">` with the classes.

    Returns:
        The folder that Label Studio must be told to serve (its
        `LOCAL_FILES_DOCUMENT_ROOT`): images are named relative to it.
    """
    root = _common_folder([audited.tile for audited in audit.to_check])
    tasks = [_task(audited, root) for audited in audit.to_check]
    write_json(path, tasks, overwrite=overwrite)
    return root


def _common_folder(tiles: Sequence[Tile]) -> Path:
    folders = {str(Path(absolute(tile.path)).parent) for tile in tiles}
    return Path(os.path.commonpath(folders)) if folders else Path("/")


def _task(audited: AuditedTile, root: Path) -> dict[str, Any]:
    relative = os.path.relpath(absolute(audited.tile.path), root)
    choice = {
        "from_name": "label",
        "to_name": "image",
        "type": "choices",
        "value": {"choices": [audited.suggested_label]},
    }
    return {
        "data": {
            "image": f"/data/local-files/?d={quote(Path(relative).as_posix())}",
            **_properties(audited),
        },
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
    }
