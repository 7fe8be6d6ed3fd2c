"""Read and write lists of tiles (CSV or Parquet)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

from rsretrieve._core.atomic_write import resolved
from rsretrieve._core.paths import Location, stack_path, storable
from rsretrieve._core.tables import Row, columns_of, encoding_notices, read_table, write_csv
from rsretrieve.data.dates.given_dates import DATE_COLUMNS, GivenDates
from rsretrieve.data.labels.decided_rows import DECISION_COLUMNS, DecisionColumn, decision_cells
from rsretrieve.data.labels.label_column import LabelColumn
from rsretrieve.data.labels.labels import plain_name
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.data.window import Window, split_given_window, window_text
from rsretrieve.errors import InvalidArgument, TableError


def tiles_in_list(source: Path) -> TileSet:
    """The tiles that a list names.

    Raises:
        TableError, LabelsError: the list cannot be read, or contradicts itself.
    """
    tiles: dict[str, Tile] = {}
    repeated, rows = 0, _ListRows(source)
    for line, tile in rows:
        key = _one_spelling(tile.id)
        if (first := tiles.get(key)) is not None and not _is_same(first, tile):
            key = f"{tile.id}\0"  # two files whose names differ by blanks only
        known = tiles.setdefault(key, tile)
        if known is not tile:
            repeated += 1
            again = tile if tile.id == known.id else replace(tile, id=known.id, path=known.path)
            if known != again:
                is_dated = replace(known, taken=again.taken) == again
                what = "date" if is_dated else "path or label"
                raise TableError(
                    f"{source}: line {line} names tile {tile.id!r} again, with another {what}",
                    hint="keep one row for each tile",
                )
    notices = rows.notices
    if repeated:
        notices += (f"{source}: {repeated} repeated rows were ignored",)
    labelled = source if "label" in columns_of(source, ("tile",)) else None
    found = tuple(tiles.values())
    folder = str(source.parent)
    return TileSet(str(source), found, notices, folders=(folder,), labels_file=labelled)


def _one_spelling(tile_id: str) -> str:
    """A tile's id as it is compared with others; see `plain_name`."""
    window = window_text(tile_id)
    return plain_name(tile_id.rpartition("#")[0] if window else tile_id) + window


def _is_same(one: Tile, other: Tile) -> bool:
    if one.id == other.id:
        return True
    return os.path.normpath(one.path) == os.path.normpath(other.path)


class _ListRows:
    """The rows of a list as tiles.

    Args:
        source: the list.
    """

    def __init__(self, source: Path) -> None:
        self._source = source
        self._labels, self._decisions = LabelColumn(source), DecisionColumn(source)
        self._dates = GivenDates(source)

    @property
    def notices(self) -> tuple[str, ...]:
        """What the user should know about the rows so far."""
        told = (*self._labels.notices, *self._decisions.notices, *self._dates.notices)
        return (*encoding_notices(self._source), *told)

    def __iter__(self) -> Iterator[tuple[int, Tile]]:
        folder = str(self._source.parent)
        dated = not {*columns_of(self._source, ("tile",))}.isdisjoint(DATE_COLUMNS)
        for line, row in read_table(self._source, ("tile",)):
            tile = _tile_of_row(self._source, folder, line, row, self._labels)
            confirmed = self._decisions.read(tile.id, tile.label, row, line)
            taken = self._dates.read(row, f"line {line}") if dated else None
            tile = replace(tile, confirmed=confirmed, taken=taken) if confirmed or taken else tile
            yield line, tile


def ids_in_list(source: Path) -> Iterator[str]:
    """The ids of the tiles that a list names, row by row.

    Raises:
        TableError: the list cannot be read.
    """
    for _, row in read_table(source, ("tile",)):
        yield storable(row["tile"])


def sets_in_list(source: Path, size: int, notice: Callable[[str], None]) -> Iterator[TileSet]:
    """The tiles that a list names, in sets of some rows: a long list is never in memory.

    Args:
        source: the list, which names no tile twice.
        size: the number of tiles in each set but the last.
        notice: called in the end with what the user should know about the rows.

    Raises:
        TableError, LabelsError: the list cannot be read, or contradicts itself.
    """
    rows = _ListRows(source)
    tiles = (tile for _, tile in rows)
    while some := tuple(islice(tiles, size)):
        yield TileSet(str(source), some, folders=(str(source.parent),))
    for text in rows.notices:
        notice(text)


def _tile_of_row(source: Path, folder: str, line: int, row: Row, labels: LabelColumn) -> Tile:
    tile_id = row["tile"]
    if not tile_id:
        raise TableError(f"{source}: line {line} has an empty tile id")
    try:
        file_part, window = split_given_window(tile_id)
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


def write_list(path: Path, tiles: TileSet, *, overwrite: bool, follow: bool = True) -> None:
    """Write a list of tiles (CSV: tile, path, label), paths relative to the list's folder.

    Of `follow`, see `written_aside`.

    If windows are read at reduced resolution, a column `read_px` holds their side. If tiles have
    dates, a column `datetime` holds them. If a person decided on some of the labels, the columns
    `decision` and `given_label` say so.
    """
    folder = resolved(path if follow else path.parent / "list").parent
    columns: tuple[str, ...] = ("tile", "path", "label")
    rows: list[tuple[object, ...]] = [
        (tile.id, _relative(tile.location, folder), tile.label or "") for tile in tiles
    ]
    sides = [(tile.window and tile.window.read_px) or "" for tile in tiles]
    if any(sides):
        columns += ("read_px",)
        rows = [(*row, side) for row, side in zip(rows, sides)]
    if any(tile.taken for tile in tiles):
        columns += ("datetime",)
        dates = [tile.taken.period.text if tile.taken else "" for tile in tiles]
        rows = [(*row, date) for row, date in zip(rows, dates)]
    if any(tile.confirmed for tile in tiles):
        columns += DECISION_COLUMNS
        rows = [(*row, *decision_cells(tile, tile.label)) for row, tile in zip(rows, tiles)]
    write_csv(path, columns, rows, overwrite=overwrite, follow=follow)


def _relative(location: Location, folder: Path) -> str:
    if location.stack:
        return stack_path([_relative(Location.parse(file), folder) for file in location.stack])
    if (part := location.part) is not None:
        file = os.path.relpath(Location.parse(part.file).absolute(), folder)
        return part.at(Path(file).as_posix())
    if not location.is_local:
        return location.text
    return Path(os.path.relpath(location.absolute(), folder)).as_posix()
