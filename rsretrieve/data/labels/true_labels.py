"""Read the true labels of tiles, with which a label audit or an evaluation is compared."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from rsretrieve._core.tables import columns_of
from rsretrieve._core.text import some_of
from rsretrieve.data.labels.class_names import nothing_in_common, spelling_notices
from rsretrieve.data.labels.labels import LabelTable, by_tile_id, read_label_table
from rsretrieve.data.tile import TileSet
from rsretrieve.errors import LabelsError

_MANY = 8


def true_labels_of(tiles: TileSet, path: Path) -> LabelTable:
    """Read the true labels of tiles; see `true_labels_by_id`."""
    ids = {tile.id for tile in tiles}
    return true_labels_by_id(path, ids, tiles.class_names, tiles.source)


def named_in_truth(tiles: TileSet, path: Path) -> set[str]:
    """The ids of the tiles that have a label in a file of true labels.

    Raises:
        LabelsError, TableError: the file cannot be read; see `read_label_table`.
    """
    ids = {tile.id for tile in tiles}
    known = read_label_table(path, _true_column(path)).known
    return ids & by_tile_id(known, ids, path).keys()


def true_labels_by_id(
    path: Path, ids: Collection[str], given: Sequence[str], source: str
) -> LabelTable:
    """Read true labels and match them to the ids of tiles.

    Labels files written by `corrupt-labels` have the columns `true_label` and `label`.

    Args:
        path: a table with the column `tile`, and `true_label` or `label`.
        ids: ids of the tiles, with fast look-up.
        given: the classes of the tiles by their given labels.
        source: where the tiles come from, for messages.

    Returns:
        Tile id → true label, and notices.

    Raises:
        LabelsError: no tile has a class of the file; or see `read_label_table`.
        TableError: no such file, or a column is missing.
    """
    table = read_label_table(path, _true_column(path))
    labels = by_tile_id(table.known, ids, path)
    true = sorted({*labels.values()})
    if nothing_in_common(true, given):
        raise LabelsError(
            f"no tile of {source} has a class of {path} (it has {some_of(true, _MANY)}; the "
            f"tiles have {some_of(given, _MANY)})",
            hint="write the true labels as the tiles' labels are written",
        )
    notices = [*table.notices]
    if given and (new := sorted({*true} - {*given})):
        notices.append(
            f"no tile of {source} has the following classes of {path}: {some_of(new, _MANY)}"
        )
    notices += spelling_notices({*true, *given} if {*true} - {*given} else ())
    return LabelTable(dict(labels), tuple(notices))


def _true_column(path: Path) -> str:
    return "true_label" if "true_label" in columns_of(path, ("tile",)) else "label"
