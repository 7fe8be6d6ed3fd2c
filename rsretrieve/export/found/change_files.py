"""Changes of places as a table, JSON, rasters and a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rsretrieve.export.found.placed_table import PlacedTable, table_rows
from rsretrieve.index.store.tile_table import IndexedTile
from rsretrieve.search.changes.find_changes import Changes, Side

if TYPE_CHECKING:
    from rsretrieve.search.similarity_map import SceneWindows

_DIGITS = 6
_PAIRS_IN_A_ROW = 3


def change_table(changes: Changes, count: int | None = None) -> PlacedTable:
    """The places, those that changed most first.

    Args:
        changes: the places.
        count: number of rows; None for all.
    """
    count = len(changes) if count is None else min(count, len(changes))
    before = [changes.before.store.rows[row] for row in changes.before_rows[:count].tolist()]
    after = [changes.after.store.rows[row] for row in changes.after_rows[:count].tolist()]
    columns: dict[str, list[Any]] = {
        "rank": [*range(1, count + 1)],
        "tile": [tile.id for tile in after],
        "before": [tile.id for tile in before],
        "change": _rounded(changes.change[:count]),
        "deviation": _rounded(changes.deviation[:count]),
        "similarity": _rounded(changes.similarity[:count]),
        "path": [tile.path for tile in after],
        "before_path": [tile.path for tile in before],
        "datetime": [_taken(tile) for tile in after],
        "before_datetime": [_taken(tile) for tile in before],
    }
    places = [late.place or early.place for early, late in zip(before, after)]
    return PlacedTable(columns, places, _facts(changes))


def change_json(changes: Changes, count: int) -> dict[str, Any]:
    """The object that `change --json` prints, with the places that changed most."""
    return {
        **_facts(changes),
        "places": len(changes),
        "alone_before": changes.counterparts.alone_before,
        "alone_after": changes.counterparts.alone_after,
        "matched_by_name": changes.counterparts.by_name,
        "shift": round(changes.shift, _DIGITS),
        "changes": table_rows(change_table(changes, count)),
    }


def write_change_maps(
    path: Path, changes: Changes, scenes: list[SceneWindows], *, overwrite: bool
) -> list[str]:
    """Write the change of every window of the later scenes, as GeoTIFF (float32, nodata NaN).

    Args:
        path: a GeoTIFF, or a folder for a file of each scene.
        changes: the changes.
        scenes: the scenes of the later index; see `scenes_to_map`.
        overwrite: replace an existing output.

    Returns:
        Notices.
    """
    from rsretrieve.export.similarity_rasters import MapStyle, write_maps

    tags = {name: str(value) for name, value in _facts(changes).items()}
    style = MapStyle("map of changes", "change", "the window that changed most", tags)
    store = changes.after.store
    return write_maps(path, store, scenes, changes.map_of, style, overwrite=overwrite)


def write_change_sheet(
    path: Path,
    changes: Changes,
    count: int,
    bands: tuple[int, ...],
    *,
    overwrite: bool,
    trusted: bool = False,
) -> None:
    """Draw the places that changed most, before and after, side by side.

    Args:
        path: the PNG file.
        changes: the changes.
        count: number of places.
        bands: bands shown as red, green and blue, counted from 1.
        overwrite: replace an existing file.
        trusted: also open the files that the tiles' files refer to.
    """
    from rsretrieve.export.contact_sheet import ShownTile, write_tiles_sheet

    shown = []
    for number in range(min(count, len(changes))):
        for side, rows, name in (
            (changes.before, changes.before_rows, "before"),
            (changes.after, changes.after_rows, f"after ({changes.deviation[number]:.1f} σ)"),
        ):
            tile = side.store.rows[int(rows[number])]
            shown.append(ShownTile(f"{number + 1}.  {name}", tile.tile, tile.place))
    columns = 2 * _PAIRS_IN_A_ROW
    write_tiles_sheet(path, shown, bands, columns, overwrite=overwrite, trusted=trusted)


def _facts(changes: Changes) -> dict[str, Any]:
    return {
        "before": _named(changes.before),
        "after": _named(changes.after),
        "model_fingerprint": changes.after.store.manifest.model_fingerprint,
    }


def _named(side: Side) -> str:
    return f"{side.store.folder} {side.dates}".strip()


def _taken(tile: IndexedTile) -> str | None:
    return None if tile.taken is None else tile.taken.period.text


def _rounded(values: np.ndarray[Any, np.dtype[np.float64]]) -> list[float]:
    rounded: list[float] = np.round(values, _DIGITS).tolist()
    return rounded
