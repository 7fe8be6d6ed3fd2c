"""Read labels files (CSV or Parquet with the columns `tile,label`)."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from rsretrieve._core.atomic_write import resolved
from rsretrieve._core.paths import storable
from rsretrieve._core.tables import encoding_notices, read_table
from rsretrieve._core.text import some_of
from rsretrieve.data.labels.class_names import nothing_in_common, without_spelling
from rsretrieve.data.labels.confirmed import ConfirmedLabel
from rsretrieve.data.labels.decided_rows import DecisionColumn
from rsretrieve.data.labels.label_column import LabelColumn
from rsretrieve.data.tile import TileSet
from rsretrieve.errors import LabelsError

T = TypeVar("T")


def override_labels(tiles: TileSet, labels_file: Path, left_out: Collection[str] = ()) -> TileSet:
    """Replace the labels of the tiles that `labels_file` names; the others keep theirs.

    Args:
        tiles: the tiles.
        labels_file: a CSV or Parquet file with the columns `tile,label`. With the column
            `decision`, the labels that a person decided on are confirmed.
        left_out: the ids of tiles that are known, and not among these; no notice counts them.

    Raises:
        LabelsError: the file names none of the tiles, or one twice with different labels; or
            all its classes are other spellings of classes of the tiles.
        TableError: the file cannot be read.
    """
    table = read_label_table(labels_file)
    ids = {tile.id for tile in tiles}
    labels = by_tile_id(table.labels, ids.union(left_out), labels_file)
    absent = [tile_id for tile_id in labels if tile_id not in ids]
    if len(absent) == len(labels):
        raise LabelsError(
            f"{labels_file} names none of the {len(tiles)} tiles of {tiles.source} "
            f"(it names {some_of(labels)}; the tiles are {some_of(tile.id for tile in tiles)})",
            hint="the column 'tile' holds tile ids: paths relative to the folder of tiles",
        )
    notices = [*table.notices]
    if unknown := [tile_id for tile_id in absent if tile_id not in left_out]:
        notices.append(
            f"{labels_file} names {len(unknown)} tiles that are not in {tiles.source} "
            f"and are ignored ({some_of(unknown)})"
        )
    if kept := len(tiles) - (len(labels) - len(absent)):
        notices.append(f"{kept} tiles are not named in {labels_file} and keep their label")
        notices += _notices_of_new_classes(tiles, labels, labels_file)
        notices += _notices_of_other_labels(tiles, table, labels_file)
    relabelled = replace(tiles.relabelled(labels), labels_file=labels_file)
    confirmed = by_tile_id(table.confirmed, ids, labels_file)
    return relabelled.with_confirmed(confirmed).with_notices(*notices)


def _notices_of_other_labels(tiles: TileSet, table: LabelTable, labels_file: Path) -> list[str]:
    """A notice if the file holds decisions on the labels of another file than the tiles have."""
    now = "" if tiles.labels_file is None else str(resolved(tiles.labels_file))
    if table.decided_on in ("", now):
        return []
    return [
        f"the decisions of {labels_file} were made on the labels of {table.decided_on}, which the "
        "tiles without a decision do not have now (audit-labels --decisions --fixed-labels applies "
        "the decisions to these labels)"
    ]


def _notices_of_new_classes(
    tiles: TileSet, labels: Mapping[str, str | None], labels_file: Path
) -> list[str]:
    """A notice if no tile had any class of a file that names some of the tiles.

    Raises:
        LabelsError: the classes of the file are some of the tiles' in another spelling.
    """
    given = {label for label in labels.values() if label is not None}
    had = {tile.label for tile in tiles if tile.label is not None and tile.id not in labels}
    if not nothing_in_common(given, tiles.class_names) or not had:
        return []
    both = f"(it has {some_of(sorted(given))}; the tiles have {some_of(tiles.class_names)})"
    respelt = {*map(without_spelling, given)} <= {*map(without_spelling, tiles.class_names)}
    if respelt and len(given) > 1:  # one label of many may be a slip, which is noticed
        raise LabelsError(
            f"{labels_file} spells the classes of {tiles.source} differently {both}",
            hint="write the classes as the tiles have them, or give the label of every tile",
        )
    return [f"no tile of {tiles.source} had a class of {labels_file} {both}"]


@dataclass(frozen=True)
class LabelTable:
    """The labels of a file.

    Attributes:
        labels: by the names of the tiles there; None where the cell is empty.
        notices: about the file.
        confirmed: the labels that a person decided on.
        decided_on: the labels file that the decisions were made on; empty if the file names none.
    """

    labels: dict[str, str | None]
    notices: tuple[str, ...] = ()
    confirmed: Mapping[str, ConfirmedLabel] = field(default_factory=dict)
    decided_on: str = ""

    @property
    def known(self) -> dict[str, str]:
        """The tiles that have a label."""
        return {name: label for name, label in self.labels.items() if label is not None}


def read_label_table(path: Path, column: str = "label") -> LabelTable:
    """Read the labels of a labels file or a list of tiles.

    Args:
        path: the file.
        column: the column of the labels.

    Raises:
        LabelsError: a tile is named twice with different labels, or no tile at all; a label is
            a list.
        TableError: no such file, or a column is missing.
    """
    labels: dict[str, str | None] = {}
    cells, decisions, decided_on = LabelColumn(path, column), DecisionColumn(path), ""
    for line, row in read_table(path, ("tile", column)):
        label = cells.label(row[column], line)
        decisions.read(storable(row["tile"]), label, row, line)
        decided_on = decided_on or row.get("labels_file", "").strip()
        if labels.setdefault(storable(row["tile"]), label) != label:
            raise LabelsError(
                f"{path}: line {line} gives tile {row['tile']!r} a second, different label",
                hint="keep one row for each tile",
            )
    if not labels:
        raise LabelsError(f"{path}: no rows below the header")
    notices = (*encoding_notices(path), *cells.notices, *decisions.notices)
    return LabelTable(labels, notices, decisions.confirmed, decided_on)


def by_tile_id(labels: Mapping[str, T], ids: Collection[str], source: Path | str) -> dict[str, T]:
    """Name the rows of a table by the ids of tiles.

    A name that is no id counts as the one id that differs from it only in Unicode form, blanks
    around it, backslashes for slashes, or a leading `./`.

    Args:
        labels: whatever the table says about each tile, by the name there.
        ids: the ids of the tiles, with fast look-up.
        source: the table, for messages.

    Returns:
        The same, by id; names that fit no tile stay as they are.

    Raises:
        LabelsError: two names mean one tile, and say different things.
    """
    strange = [name for name in labels if name not in ids]
    if not strange:
        return dict(labels)
    id_of: dict[str, str | None] = {}
    for tile_id in ids:
        plain = plain_name(tile_id)
        id_of[plain] = None if plain in id_of else tile_id
    found: dict[str, T] = {}
    for name, label in labels.items():
        tile_id = name if name in ids else id_of.get(plain_name(name)) or name
        if found.setdefault(tile_id, label) != label:
            raise LabelsError(
                f"{source} has two different rows for tile {tile_id!r}, which it spells "
                "in two ways",
                hint="keep one row for each tile",
            )
    return found


def plain_name(name: str) -> str:
    """The one form of a tile's id, however a program spells it: by it, ids are compared."""
    plain = unicodedata.normalize("NFC", name).strip().replace("\\", "/")
    return plain.removeprefix("./")
