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

from rsretrieve._core.tables import refuse_bombs
from rsretrieve.data.labels.labels import some_of
from rsretrieve.data.preprocessing.pixel_fingerprint import QUADRANTS, are_alike
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import TileSet
from rsretrieve.errors import ModelDamaged
from rsretrieve.network.metadata import TILES_FILE, ModelFolder, check_file

_WEIGHT, _AREA, _STARTING_FEATURES, _QUADRANTS = (
    "weight",
    "area_under_margin",
    "first_view",
    "quadrants",
)


@dataclass(frozen=True)
class TileHistory:
    """What a training notes of N tiles, whatever its recipe.

    Attributes:
        weights: (N,) float32, m_i: 1 where the tile was taught with the given label at the end,
            else 0; NaN where it is not known.
        areas: (N,) float32, area under the margin, in nats; NaN where it is not known.
        starting_features: (N, d) unit rows, from before labels were learned; rows of zeros where
            not known, and None where they are known of no tile.
    """

    weights: NDArray[np.float32]
    areas: NDArray[np.float32]
    starting_features: NDArray[Any] | None

    def columns(self) -> dict[str, Any]:
        """As columns of the table."""
        columns: dict[str, Any] = {_WEIGHT: self.weights, _AREA: self.areas}
        if self.starting_features is not None:
            columns[_STARTING_FEATURES] = _lists(
                self.starting_features.astype(np.float16, copy=False)
            )
        return columns


def write_tile_history(
    folder: Path,
    tiles: TileSet,
    taught: Sequence[str | None],
    record: TileHistory,
    quadrants: NDArray[np.float32],
) -> None:
    """Write `tiles.parquet`, a row a training tile.

    Args:
        folder: the model folder.
        tiles: the N training tiles, with their labels as given.
        taught: the label it was taught with at the end, or None where it was left out.
        record: what else was noted of them.
        quadrants: (N, 4), how bright each quarter is; see `quadrant_means`.
    """
    table = {
        "tile": [tile.id for tile in tiles],
        "label": [tile.label for tile in tiles],
        "taught_label": pyarrow.array(taught, pyarrow.string()),
        **record.columns(),
        _QUADRANTS: _lists(quadrants),
    }
    parquet.write_table(pyarrow.table(table), folder / TILES_FILE)


def read_tile_history(
    model: ModelFolder,
    tiles: TileSet,
    quadrants: NDArray[np.float32],
    context: RunContext | None = None,
) -> TileHistory:
    """What a model folder tells of these tiles; nothing where it is so old as to have no such file.

    Nothing is told of a tile whose name a training tile has, but other pixels; and of one that
    has another label now neither weight nor area, which are of the label that was given then.

    Args:
        model: the model folder.
        tiles: N tiles with labels.
        quadrants: (N, 4), how bright each quarter is; see `quadrant_means`.
        context: is told of tiles with the names of others.

    Raises:
        ModelDamaged: the file is not the one that was written, or cannot be read.
    """
    weights, areas = np.full((2, len(tiles)), np.nan, np.float32)
    table = _table(model, ("tile", "label", _WEIGHT, _AREA, _STARTING_FEATURES, _QUADRANTS))
    if table is None:
        return TileHistory(weights, areas, None)
    rows = {name: row for row, name in enumerate(table.column("tile").to_pylist())}
    found = np.array([rows.get(tile.id, -1) for tile in tiles], np.int64)
    if _QUADRANTS in table.column_names:
        _let_go_of_others(
            found, _matrix(table, _QUADRANTS), tiles, quadrants, context or RunContext()
        )
    here, there = np.flatnonzero(found >= 0), found[found >= 0]
    given = table.column("label").take(pyarrow.array(there)).to_pylist()
    same = np.array([tiles[row].label == label for row, label in zip(here.tolist(), given)], bool)
    for name, column in ((_WEIGHT, weights), (_AREA, areas)):
        if name in table.column_names:
            column[here[same]] = table.column(name).to_numpy()[there[same]]
    if _STARTING_FEATURES not in table.column_names or not len(here):
        return TileHistory(weights, areas, None)
    values = _matrix(table, _STARTING_FEATURES)
    features = np.zeros((len(tiles), values.shape[1]), np.float32)
    features[here] = values[there]
    return TileHistory(weights, areas, features)


def _let_go_of_others(
    found: NDArray[np.int64],
    kept: NDArray[np.float32],
    tiles: TileSet,
    seen: NDArray[np.float32],
    context: RunContext,
) -> None:
    """Set to −1 the rows of tiles that are not the pictures they were in training."""
    here = np.flatnonzero(found >= 0)
    others = here[~are_alike(seen[here], kept[found[here]])]
    found[others] = -1
    if len(others):
        names = (tiles[row].id for row in others.tolist())
        context.notice(
            f"{len(others)} of {len(here)} tiles that the model was trained on have other "
            f"pixels now ({some_of(names)}); what was noted of them in training is not used"
        )


def _lists(values: NDArray[Any]) -> pyarrow.Array:
    flat = pyarrow.array(np.ascontiguousarray(values).ravel())
    return pyarrow.FixedSizeListArray.from_arrays(flat, values.shape[1])


def _matrix(table: pyarrow.Table, name: str) -> NDArray[Any]:
    kept = table.column(name).combine_chunks()
    return np.asarray(kept.flatten().to_numpy().reshape(len(kept), -1))


def class_sizes(model: ModelFolder, names: Sequence[str]) -> NDArray[np.int64]:
    """How many training tiles each class had: (K,); zeros where nobody wrote it down."""
    numbers = {name: number for number, name in enumerate(names)}
    sizes = np.zeros(len(names), np.int64)
    table = _table(model, ("label",))
    if table is not None:
        counts = table.column("label").value_counts().flatten()
        for label, count in zip(*map(pyarrow.Array.to_pylist, counts)):
            if label in numbers:
                sizes[numbers[label]] = count
    return sizes


def _table(model: ModelFolder, columns: Sequence[str]) -> pyarrow.Table | None:
    """Those of the columns that are there; None where there is no such file and never was."""
    path, sha256 = model.folder / TILES_FILE, model.description.files.get(TILES_FILE)
    if sha256 is not None:
        check_file(path, sha256)
    elif not path.exists():
        return None  # a model of before is whole without it
    try:
        with parquet.ParquetFile(path) as file:
            refuse_bombs(path, file)
            there = [name for name in columns if name in file.schema_arrow.names]
            if columns[0] not in there:
                return None
            table = file.read(there)
            _check_types(table)
            return table
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError) as error:
        raise ModelDamaged(f"{path} cannot be read ({error})") from error


def _check_types(table: pyarrow.Table) -> None:
    """Raise `ValueError` for columns that are not what `write_tile_history` writes."""
    types = pyarrow.types
    for entry in table.schema:
        kind, values = entry.type, table.column(entry.name)
        if entry.name in (_STARTING_FEATURES, _QUADRANTS):
            fits = types.is_fixed_size_list(kind) and types.is_floating(kind.value_type)
            values = values.combine_chunks().flatten() if fits else values
            if not fits or (entry.name == _QUADRANTS and kind.list_size != QUADRANTS):
                raise ValueError(f"{entry.name} holds {kind}")
        elif not (types.is_string(kind) or types.is_floating(kind)):
            raise ValueError(f"{entry.name} holds {kind}")
        if types.is_string(kind) != (entry.name in ("tile", "label")):
            raise ValueError(f"{entry.name} holds {kind}")
        if entry.name != "label" and values.null_count:
            raise ValueError(f"{entry.name} has gaps")
