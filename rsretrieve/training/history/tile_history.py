"""The table `tiles.parquet` of a model folder: what a training recorded about each tile.

A label audit reads it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
from numpy.typing import NDArray
from pyarrow import parquet

from rsretrieve._core.text import some_of
from rsretrieve.data.file_state import FileStates
from rsretrieve.data.labels.confirmed import ConfirmedLabel, Rule
from rsretrieve.data.preprocessing.pixel_fingerprint import are_alike, are_among
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import TileSet
from rsretrieve.data.window import window_text
from rsretrieve.network.metadata import TILES_FILE, ModelFolder
from rsretrieve.training.history.history_table import (
    AREA,
    CONFIRMED,
    CONTENT,
    DECISIONS,
    MARGIN,
    ORIGINAL,
    QUADRANT_MEANS,
    RECORDED,
    STARTING_FEATURES,
    WEIGHT,
    as_lists,
    as_matrix,
    read_columns,
)


@dataclass(frozen=True)
class TileHistory:
    """What a training recorded about N tiles.

    Attributes:
        weights: (N,) float32, m_i: 1 for tiles that were taught their given label at the end,
            else 0; NaN if unknown.
        areas: (N,) float32, area under the margin, in nats; NaN if unknown.
        starting_features: (N, d) unit rows, see `compute_starting_features`; rows of zeros if
            unknown, and None if unknown for all tiles.
        trained_on: (N,) bool, False for tiles that the training has not used; None if unknown.
            Old model folders know no contents: there, tiles of the same mean brightness in each
            quarter count as the same.
        confirmed: tile id → decision, for tiles whose label a person had decided on, and whose
            label is the same now.
        margins: (N,) float32, margin of the mean probabilities over the epochs, in nats; NaN if
            unknown, and None if unknown for all tiles, as in old model folders.
    """

    weights: NDArray[np.float32]
    areas: NDArray[np.float32]
    starting_features: NDArray[Any] | None
    trained_on: NDArray[np.bool_] | None = None
    confirmed: Mapping[str, ConfirmedLabel] = field(default_factory=dict)
    margins: NDArray[np.float32] | None = None

    def columns(self) -> dict[str, Any]:
        """The columns of the table, by name."""
        columns: dict[str, Any] = {WEIGHT: self.weights, AREA: self.areas}
        if self.margins is not None:
            columns[MARGIN] = self.margins
        if self.starting_features is not None:
            columns[STARTING_FEATURES] = as_lists(
                self.starting_features.astype(np.float16, copy=False)
            )
        return columns


def write_tile_history(
    folder: Path,
    tiles: TileSet,
    taught: Sequence[str | None],
    history: TileHistory,
    quadrants: NDArray[np.float32],
    contents: Sequence[str] | None = None,
) -> None:
    """Write `tiles.parquet`, one row a training tile.

    Args:
        folder: the model folder.
        tiles: the N training tiles with their given labels.
        taught: N labels that the tiles were taught at the end; None for tiles left out.
        history: what else was recorded.
        quadrants: (N, 4) float32, mean brightness of each quarter; see `quadrant_means`.
        contents: N digests of the tiles' files, empty where unknown; see `FileContent`.
    """
    table = {
        "tile": [tile.id for tile in tiles],
        "label": [tile.label for tile in tiles],
        "taught_label": pyarrow.array(taught, pyarrow.string()),
        **_decisions(tiles),
        **history.columns(),
        QUADRANT_MEANS: as_lists(quadrants),
        **({} if contents is None else {CONTENT: list(contents)}),
    }
    parquet.write_table(pyarrow.table(table), folder / TILES_FILE)


def _decisions(tiles: TileSet) -> dict[str, pyarrow.Array]:
    """Whether a person decided on the label of each tile, and the label before that."""
    original = [tile.confirmed and tile.confirmed.original for tile in tiles]
    return {
        CONFIRMED: pyarrow.array([tile.confirmed is not None for tile in tiles], pyarrow.bool_()),
        ORIGINAL: pyarrow.array(original, pyarrow.string()),
    }


def read_tile_history(
    model: ModelFolder,
    tiles: TileSet,
    quadrants: NDArray[np.float32],
    context: RunContext | None = None,
) -> TileHistory:
    """Read what a model folder recorded about some tiles.

    A tile is found by its id, if its pixels are those of training; or else by the content of its
    file, wherever that lies and whatever its name is. Nothing is known about other tiles. Weight,
    area and margin belong to the label of that time: they are unknown for tiles whose label has
    changed. Old model folders have no such file, or know no contents.

    Args:
        model: the model folder.
        tiles: N tiles with labels.
        quadrants: (N, 4) float32, mean brightness of each quarter; see `quadrant_means`.
        context: receives notices of tiles whose pixels differ.

    Raises:
        ModelDamaged: the file was changed, or cannot be read.
    """
    weights, areas, margins = np.full((3, len(tiles)), np.nan, np.float32)
    table = read_columns(model, ("tile", "label", CONTENT, *RECORDED, QUADRANT_MEANS, *DECISIONS))
    if table is None:
        return TileHistory(weights, areas, None)
    context = context or RunContext()
    found = _rows_of(tiles, table, quadrants, context)
    here, there = np.flatnonzero(found >= 0), found[found >= 0]
    given = table.column("label").take(pyarrow.array(there)).to_pylist()
    same = np.array([tiles[row].label == label for row, label in zip(here.tolist(), given)], bool)
    for name, column in ((WEIGHT, weights), (AREA, areas), (MARGIN, margins)):
        if name in table.column_names:
            column[here[same]] = table.column(name).to_numpy()[there[same]]
    features = None
    if STARTING_FEATURES in table.column_names and len(here):
        values = as_matrix(table, STARTING_FEATURES)
        features = np.zeros((len(tiles), values.shape[1]), np.float32)
        features[here] = values[there]
    return TileHistory(
        weights,
        areas,
        features,
        trained_on=_trained_on(found, table, quadrants),
        confirmed=_confirmed(tiles, table, found, context),
        margins=margins if MARGIN in table.column_names else None,
    )


def _trained_on(
    found: NDArray[np.int64], table: pyarrow.Table, quadrants: NDArray[np.float32]
) -> NDArray[np.bool_] | None:
    """(N,) bool, the tiles that the training has used; None if the table cannot tell."""
    if CONTENT in table.column_names:
        return found >= 0
    if QUADRANT_MEANS not in table.column_names:
        return None
    return (found >= 0) | are_among(quadrants, as_matrix(table, QUADRANT_MEANS))


def _confirmed(
    tiles: TileSet, table: pyarrow.Table, found: NDArray[np.int64], context: RunContext
) -> dict[str, ConfirmedLabel]:
    """The decisions that the training knew; a notice says how many labels are others now."""
    if not {*DECISIONS} <= {*table.column_names}:
        return {}
    columns = (table.column(name).to_pylist() for name in ("label", *DECISIONS))
    rows = [*zip(*columns)]
    decided = {
        tile: rows[row] for tile, row in zip(tiles, found.tolist()) if row >= 0 and rows[row][1]
    }
    others = [tile.id for tile, (label, _, _) in decided.items() if tile.label != label]
    if others:
        context.notice(
            f"{len(others)} tiles have other labels than those that a person decided on before "
            f"the training of the model ({some_of(others)}): give the labels file with the "
            "decisions"
        )
    return {
        tile.id: ConfirmedLabel(Rule.PERSON, original)
        for tile, (label, _, original) in decided.items()
        if tile.label == label
    }


def _rows_of(
    tiles: TileSet, table: pyarrow.Table, quadrants: NDArray[np.float32], context: RunContext
) -> NDArray[np.int64]:
    """(N,) the row of each tile, or −1."""
    names = {name: row for row, name in enumerate(table.column("tile").to_pylist())}
    found = np.array([names.get(tile.id, -1) for tile in tiles], np.int64)
    stored = as_matrix(table, QUADRANT_MEANS) if QUADRANT_MEANS in table.column_names else None
    changed = _unlike(found, stored, quadrants)
    here, found[changed] = int((found >= 0).sum()), -1
    if CONTENT in table.column_names:
        _find_by_content(found, tiles, table)
        found[_unlike(found, stored, quadrants)] = -1
    lost = changed[found[changed] < 0]
    if len(lost):
        ids = (tiles[row].id for row in lost.tolist())
        context.notice(
            f"{len(lost)} of {here} tiles that the model was trained on have other "
            f"pixels now ({some_of(ids)}); what training recorded about them is not used"
        )
    return found


def _unlike(
    found: NDArray[np.int64], stored: NDArray[np.float32] | None, quadrants: NDArray[np.float32]
) -> NDArray[np.int64]:
    """The tiles whose pixels differ from those of their row."""
    if stored is None:
        return np.empty(0, np.int64)
    here = np.flatnonzero(found >= 0)
    return here[~are_alike(quadrants[here], stored[found[here]])]


def _find_by_content(found: NDArray[np.int64], tiles: TileSet, table: pyarrow.Table) -> None:
    """Set the row of tiles that have none, by the content of their files and their window.

    Of several rows with one content, the first with the tile's label counts, or else the first.
    """
    missing = np.flatnonzero(found < 0).tolist()
    rows: dict[tuple[str, str], list[int]] = {}
    columns = (table.column(name).to_pylist() for name in ("tile", CONTENT, "label"))
    ids, contents, labels = columns
    for row, (tile_id, content) in enumerate(zip(ids, contents)):
        if content:
            rows.setdefault((content, window_text(tile_id)), []).append(row)
    files = FileStates(tiles[position] for position in missing)
    for position in missing if rows else ():
        tile = tiles[position]
        known = rows.get((files.content(tile.path).file, window_text(tile.id)), [])
        if known:
            found[position] = next((row for row in known if labels[row] == tile.label), known[0])


def class_sizes(model: ModelFolder, names: Sequence[str]) -> NDArray[np.int64]:
    """Count the training tiles of each class.

    Args:
        model: the model folder.
        names: K class names.

    Returns:
        (K,) counts; zeros if the folder does not record them.

    Raises:
        ModelDamaged: the file was changed, or cannot be read.
    """
    numbers = {name: number for number, name in enumerate(names)}
    sizes = np.zeros(len(names), np.int64)
    table = read_columns(model, ("label",))
    if table is not None:
        counts = table.column("label").value_counts().flatten()
        for label, count in zip(*map(pyarrow.Array.to_pylist, counts)):
            if label in numbers:
                sizes[numbers[label]] = count
    return sizes
