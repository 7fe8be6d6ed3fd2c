"""What `tiles.parquet` of a model folder tells of its training tiles, for those who audit them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
from numpy.typing import NDArray
from pyarrow import parquet

from rsretrieve.tiles.records import TileSet

TILES_FILE = "tiles.parquet"
_WEIGHT, _AREA, _VIEW = "weight", "area_under_margin", "first_view"


@dataclass(frozen=True)
class TrainingRecord:
    """What a training notes of N tiles, whatever its recipe.

    Attributes:
        weights: (N,) float32, m_i: 1 where the tile was taught with the given label at the end,
            else 0; NaN where it is not known.
        areas: (N,) float32, area under the margin, in nats; NaN where it is not known.
        view: (N, d) unit rows, how they looked before labels were learned; rows of zeros
            where that is not known, and None where it is known of no tile.
    """

    weights: NDArray[np.float32]
    areas: NDArray[np.float32]
    view: NDArray[Any] | None

    def columns(self) -> dict[str, Any]:
        """As columns of the table."""
        columns: dict[str, Any] = {_WEIGHT: self.weights, _AREA: self.areas}
        if self.view is not None:
            flat = pyarrow.array(np.ascontiguousarray(self.view, np.float16).ravel())
            columns[_VIEW] = pyarrow.FixedSizeListArray.from_arrays(flat, self.view.shape[1])
        return columns


def write_training_tiles(
    folder: Path,
    tiles: TileSet,
    taught: Sequence[str | None],
    record: TrainingRecord,
) -> None:
    """Write `tiles.parquet`, a row a training tile.

    Args:
        folder: the model folder.
        tiles: the N training tiles, with their labels as given.
        taught: the label it was taught with at the end, or None where it was left out.
        record: what else was noted of them.
    """
    table = {
        "tile": [tile.id for tile in tiles],
        "label": [tile.label for tile in tiles],
        "taught_label": pyarrow.array(taught, pyarrow.string()),
        **record.columns(),
    }
    parquet.write_table(pyarrow.table(table), folder / TILES_FILE)


def read_record(folder: Path, tiles: TileSet) -> TrainingRecord:
    """What a model folder tells of these tiles; nothing where it is older, or has no such file."""
    weights, areas = np.full((2, len(tiles)), np.nan, np.float32)
    table = _table(folder, ("tile", _WEIGHT, _AREA, _VIEW))
    if table is None:
        return TrainingRecord(weights, areas, None)
    rows = {name: row for row, name in enumerate(table.column("tile").to_pylist())}
    found = np.array([rows.get(tile.id, -1) for tile in tiles], np.int64)
    here, there = np.flatnonzero(found >= 0), found[found >= 0]
    for name, column in ((_WEIGHT, weights), (_AREA, areas)):
        if name in table.column_names:
            column[here] = table.column(name).to_numpy()[there]
    if _VIEW not in table.column_names or not len(here):
        return TrainingRecord(weights, areas, None)
    kept = table.column(_VIEW).combine_chunks()
    values = kept.flatten().to_numpy().reshape(len(kept), -1)
    view = np.zeros((len(tiles), values.shape[1]), np.float32)
    view[here] = values[there]
    return TrainingRecord(weights, areas, view)


def class_sizes(folder: Path, names: Sequence[str]) -> NDArray[np.int64]:
    """How many training tiles each class had: (K,); zeros where nobody wrote it down."""
    numbers = {name: number for number, name in enumerate(names)}
    sizes = np.zeros(len(names), np.int64)
    table = _table(folder, ("label",))
    if table is not None:
        counts = table.column("label").value_counts().flatten()
        for label, count in zip(*map(pyarrow.Array.to_pylist, counts)):
            if label in numbers:
                sizes[numbers[label]] = count
    return sizes


def _table(folder: Path, columns: Sequence[str]) -> pyarrow.Table | None:
    """Those of the columns that are there; None where the file cannot be read."""
    try:
        with parquet.ParquetFile(folder / TILES_FILE) as file:
            there = [name for name in columns if name in file.schema_arrow.names]
            return file.read(there) if columns[0] in there else None
    except (pyarrow.ArrowException, OSError):
        return None  # a model is whole without it
