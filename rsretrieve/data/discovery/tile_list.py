"""Read and write lists of tiles (CSV or Parquet)."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from rsretrieve._core.atomic_write import resolved
from rsretrieve._core.paths import Location, stack_path, storable
from rsretrieve._core.tables import Row, columns_of, encoding_notices, read_table, write_csv
from rsretrieve.data.labels.decided_rows import DECISION_COLUMNS, DecisionColumn, decision_cells
from rsretrieve.data.labels.label_column import LabelColumn
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.data.window import Window, split_window
from rsretrieve.errors import InvalidArgument, TableError


def tiles_in_list(source: Path) -> TileSet:
    """The tiles that a list names.

    Raises:
        TableError, LabelsError: the list cannot be read, or contradicts itself.
    """
    tiles: dict[str, Tile] = {}
    repeated, folder = 0, str(source.parent)
    labels, decisions = LabelColumn(source), DecisionColumn(source)
    for line, row in read_table(source, ("tile",)):
        tile = _tile_of_row(source, folder, line, row, labels)
        confirmed = decisions.read(tile.id, tile.label, row, line)
        tile = replace(tile, confirmed=confirmed) if confirmed else tile
        known = tiles.setdefault(tile.id, tile)
        if known is not tile:
            repeated += 1
            if known != tile:
                raise TableError(
                    f"{source}: line {line} names tile {tile.id!r} again, with another path or "
                    "label",
                    hint="keep one row for each tile",
                )
    notices = (*encoding_notices(source), *labels.notices, *decisions.notices)
    if repeated:
        notices += (f"{source}: {repeated} repeated rows were ignored",)
    labelled = source if "label" in columns_of(source) else None
    found = tuple(tiles.values())
    return TileSet(str(source), found, notices, folders=(folder,), labels_file=labelled)


def _tile_of_row(source: Path, folder: str, line: int, row: Row, labels: LabelColumn) -> Tile:
    tile_id = row["tile"]
    if not tile_id:
        raise TableError(f"{source}: line {line} has an empty tile id")
    try:
        file_part, window = split_window(tile_id)
    except InvalidArgument as error:
        raise TableError(f"{source}: line {line}: {error}") from error
    named = _with_slashes(folder, row.get("path") or file_part)
    path = Location.parse(named).below(folder)
    if window is not None and row.get("read_px"):
        window = _read_at(window, row["read_px"], f"{source}: line {line}")
    label = labels.label(row.get("label"), line)
    return Tile(id=storable(tile_id), path=path, label=label, window=window)


def _with_slashes(folder: str, name: str) -> str:
    """A path as this system writes it: lists that Windows programs wrote have backslashes."""
    if "\\" not in name or Location.parse(name).stack or os.path.exists(os.path.join(folder, name)):  # noqa: PTH110, PTH118
        return name
    return name.replace("\\", "/")


def _read_at(window: Window, side_px: str, where: str) -> Window:
    try:
        return replace(window, read_px=int(side_px))
    except ValueError as error:  # not a number, or not a valid one
        raise TableError(f"{where}: read_px is not a number of pixels: {side_px!r}") from error


def write_list(path: Path, tiles: TileSet, *, overwrite: bool) -> None:
    """Write a list of tiles (CSV: tile, path, label), paths relative to the list's folder.

    If windows are read at reduced resolution, a column `read_px` holds their side. If a person
    decided on some of the labels, the columns `decision` and `given_label` say so.
    """
    folder = resolved(path).parent
    columns: tuple[str, ...] = ("tile", "path", "label")
    rows: list[tuple[object, ...]] = [
        (tile.id, _relative(tile.location, folder), tile.label or "") for tile in tiles
    ]
    sides = [(tile.window and tile.window.read_px) or "" for tile in tiles]
    if any(sides):
        columns += ("read_px",)
        rows = [(*row, side) for row, side in zip(rows, sides)]
    if any(tile.confirmed for tile in tiles):
        columns += DECISION_COLUMNS
        rows = [(*row, *decision_cells(tile, tile.label)) for row, tile in zip(rows, tiles)]
    write_csv(path, columns, rows, overwrite=overwrite)


def _relative(location: Location, folder: Path) -> str:
    if location.stack:
        return stack_path([_relative(Location.parse(file), folder) for file in location.stack])
    if not location.is_local:
        return location.text
    return Path(os.path.relpath(location.absolute(), folder)).as_posix()
