"""Export an audit to other programs: cleanlab, FiftyOne, Label Studio, GIS."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from rsretrieve import __version__
from rsretrieve._core.atomic_write import write_json
from rsretrieve._core.paths import Location
from rsretrieve._core.tables import write_csv
from rsretrieve.audit.result import Audit
from rsretrieve.audit.result_table import Row, plain_values, rows_of, tuples_of
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.export.geojson import place_geometry

_FINDINGS = (
    *("tile", "given_label", "predicted_label", "is_label_issue", "label_score"),
    *("issue_probability", "kind"),
)
SAMPLE_COLUMNS = ("filepath", *_FINDINGS, "lon", "lat", "window", "bands")


def write_samples_csv(path: Path, audit: Audit, tiles: TileSet, *, overwrite: bool) -> None:
    """Write every audited tile in the order of the tiles, as cleanlab and FiftyOne expect it.

    The columns `is_label_issue`, `label_score`, `given_label` and `predicted_label` are those of
    the tables of issues of cleanlab. The CSV importer of FiftyOne reads `filepath`, an absolute
    path. For a window of a scene it is the path of the scene, and `window` is
    col,row,width,height in pixels of the scene. For a tile whose bands lie in several files it is
    the file of the first band, and `bands` is a JSON list of all files.

    Args:
        path: the CSV file.
        audit: of some or all of the tiles.
        tiles: the tiles in the order of the rows.
        overwrite: replace an existing file.
    """
    position = {tile_id: i for i, tile_id in enumerate(plain_values(audit.table["tile"]))}
    audited = [tile for tile in tiles if tile.id in position]
    findings = audit.table.take([position[tile.id] for tile in audited])
    rows = (
        (_image_of(tile).absolute(), *values, *_location(tile, audit))
        for tile, values in zip(audited, tuples_of(findings, _FINDINGS))
    )
    write_csv(path, SAMPLE_COLUMNS, rows, overwrite=overwrite)


def _location(tile: Tile, audit: Audit) -> tuple[object, ...]:
    """Longitude and latitude in degrees, window and files of bands; empty where there are none."""
    place = audit.places.get(tile.id)
    centre = ("", "") if place is None else place.centre
    files = [Location.parse(file).absolute() for file in tile.location.stack]
    return (*centre, ",".join(map(str, _window(tile) or ())), json.dumps(files) if files else "")


def _image_of(tile: Tile) -> Location:
    """The file that a tool shows: of bands in several files, the first."""
    return Location.parse(tile.location.files[0])


def _window(tile: Tile) -> tuple[int, int, int, int] | None:
    """Column, row, width and height in pixels of the scene; None for a whole file."""
    window = tile.window
    return None if window is None else (window.col, window.row, window.width, window.height)


def stack_notice(tiles: Iterable[Tile]) -> list[str]:
    """A notice if other programs show only the first band of some tiles; else nothing."""
    count = sum(bool(tile.location.stack) for tile in tiles)
    if not count:
        return []
    return [
        f"the bands of {count} tiles lie in files of their own: FiftyOne shows the first band "
        "(`filepath`; all files are in `bands`), Label Studio too unless its interface has "
        '<Image name="image" valueList="$images"/>'
    ]


def write_label_studio(path: Path, audit: Audit, *, overwrite: bool) -> Path | None:
    """Write the tiles to review as Label Studio tasks, with the suggestion as a prediction.

    The labelling interface needs `<Image name="image" value="$image"/>` and
    `<Choices name="label" toName="image">` with the classes. Remote images are given by their
    URL. For a window of a scene, the image is the scene and `window` is the part.

    For a tile whose bands lie in several files, `image` is the first, and `images` are all of
    them: `<Image name="image" valueList="$images"/>` shows them as pages.

    Args:
        path: the JSON file.
        audit: the audit.
        overwrite: replace an existing file.

    Returns:
        The folder that Label Studio must serve (its `LOCAL_FILES_DOCUMENT_ROOT`): local images
        are given relative to it. None if there are no local images.
    """
    rows = rows_of(audit.to_review)
    tiles = [audit.tiles[row["row"]] for row in rows]
    root = _common_folder(tiles)
    tasks = [_task(row, tile, root) for row, tile in zip(rows, tiles)]
    write_json(path, tasks, overwrite=overwrite)
    return root


def _common_folder(tiles: Iterable[Tile]) -> Path | None:
    """The lowest folder that contains every local tile; None if there are none."""
    files = (file for tile in tiles if tile.location.is_local for file in tile.location.files)
    local = (Location.parse(file).absolute() for file in files)
    folders = {str(Path(path).parent) for path in local}
    return Path(os.path.commonpath(folders)) if folders else None


def _addresses(tile: Tile, root: Path | None) -> list[str]:
    """The addresses of a tile's files for Label Studio."""
    return [_address(Location.parse(file), root) for file in tile.location.files]


def _address(file: Location, root: Path | None) -> str:
    """A URL, or a path below the folder that Label Studio serves."""
    if root is None or not file.is_local:
        return file.text
    relative = os.path.relpath(file.absolute(), root)
    return f"/data/local-files/?d={quote(Path(relative).as_posix())}"


def _task(row: Row, tile: Tile, root: Path | None) -> dict[str, Any]:
    choice = {
        "from_name": "label",
        "to_name": "image",
        "type": "choices",
        "value": {"choices": [row["suggested_label"]]},
    }
    files = _addresses(tile, root)
    return {
        "data": {"image": files[0], "images": files, **_properties(row, tile)},
        "predictions": [
            {
                "model_version": f"rsretrieve {__version__}",
                "score": row["issue_probability"],
                "result": [choice],
            }
        ],
    }


def write_issues_geojson(path: Path, audit: Audit, *, overwrite: bool) -> int:
    """Write the tiles to review as GeoJSON footprints; the geometry is null without a place.

    Args:
        path: the GeoJSON file.
        audit: the audit.
        overwrite: replace an existing file.

    Returns:
        Number of tiles with a place.
    """
    features = []
    for row in rows_of(audit.to_review):
        place = audit.places.get(row["tile"])
        geometry = place_geometry(place)
        properties = _properties(row, audit.tiles[row["row"]])
        features.append({"type": "Feature", "geometry": geometry, "properties": properties})
    write_json(path, {"type": "FeatureCollection", "features": features}, overwrite=overwrite)
    return sum(feature["geometry"] is not None for feature in features)


def _properties(row: Row, tile: Tile) -> dict[str, Any]:
    names = ("tile", "given_label", "suggested_label", "is_label_issue", "label_score")
    return {name: row[name] for name in (*names, "kind", "twin")} | {"window": _window(tile)}
