"""Read and write labels files (CSV or Parquet with the columns `tile,label`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from rsretrieve._core.paths import storable
from rsretrieve._core.tables import columns_of, encoding_notices, read_table, write_csv
from rsretrieve.data.labels.class_names import clean_label
from rsretrieve.data.tile import TileSet
from rsretrieve.errors import LabelsError


def override_labels(tiles: TileSet, labels_file: Path) -> TileSet:
    """Replace the labels of the tiles that `labels_file` names; the others keep theirs.

    Args:
        tiles: the tiles.
        labels_file: a CSV or Parquet file with the columns `tile,label`.

    Raises:
        LabelsError: the file names none of the tiles, or one twice with different labels.
        TableError: the file cannot be read.
    """
    labels = read_labels(labels_file)
    ids = {tile.id for tile in tiles}
    absent = [tile_id for tile_id in labels if tile_id not in ids]
    if len(absent) == len(labels):
        raise LabelsError(
            f"{labels_file} names none of the {len(tiles)} tiles of {tiles.source} "
            f"(it names {some_of(labels)}; the tiles are {some_of(tile.id for tile in tiles)})",
            hint="the column 'tile' holds tile ids: paths relative to the folder of tiles",
        )
    notices = [*encoding_notices(labels_file)]
    if absent:
        notices.append(
            f"{labels_file} names {len(absent)} tiles that are not in {tiles.source} "
            f"and are ignored ({some_of(absent)})"
        )
    if kept := len(tiles) - (len(labels) - len(absent)):
        notices.append(f"{kept} tiles are not named in {labels_file} and keep their label")
    return tiles.relabelled(labels).with_notices(*notices)


def read_labels(path: Path, column: str = "label") -> dict[str, str | None]:
    """Read the labels of a labels file or a list of tiles.

    Args:
        path: the file.
        column: the column of the labels.

    Returns:
        tile id → label; None where the field is empty.

    Raises:
        LabelsError: a tile is named twice with different labels, or no tile at all.
        TableError: no such file, or a column is missing.
    """
    labels: dict[str, str | None] = {}
    for line, row in read_table(path, ("tile", column)):
        label = clean_label(row[column])
        if labels.setdefault(storable(row["tile"]), label) != label:
            raise LabelsError(
                f"{path}: line {line} gives tile {row['tile']!r} a second, different label",
                hint="keep one row for each tile",
            )
    if not labels:
        raise LabelsError(f"{path}: no rows below the header")
    return labels


def read_true_labels(path: Path) -> dict[str, str]:
    """Read true labels, from the column `true_label` or, without it, `label`.

    Labels files written by `corrupt-labels` have both columns.
    """
    column = "true_label" if "true_label" in columns_of(path) else "label"
    labels = read_labels(path, column)
    return {tile_id: label for tile_id, label in labels.items() if label is not None}


def write_labels(path: Path, labels: Mapping[str, str | None], *, overwrite: bool) -> None:
    """Write a labels file; None becomes an empty field."""
    rows = ((tile_id, label or "") for tile_id, label in labels.items())
    write_csv(path, ("tile", "label"), rows, overwrite=overwrite)


def some_of(names: Iterable[str], count: int = 3) -> str:
    """The first names, quoted, for a message.

    >>> some_of(["a", "b", "c", "d"])
    "'a', 'b', 'c', …"
    """
    shown = [repr(name) for _, name in zip(range(count + 1), names)]
    return ", ".join(shown[:count]) + (", …" if len(shown) > count else "")
