"""The tiles and the noisy labels of a cell, made once and kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from grid.cells import Cell, Dataset, Method
from grid.features import features
from grid.hard_classes import write_few, write_unequal
from grid.made_up import write_made_up
from grid.noises import Noise, by_numbers
from rsretrieve.data.discovery.find_tiles import find_tiles
from rsretrieve.data.discovery.tile_list import write_list
from rsretrieve.data.labels.decided_rows import write_labels
from rsretrieve.data.labels.label_noise import (
    corrupt_by_instance,
    corrupt_by_table,
    corrupt_uniformly,
    read_transitions,
)
from rsretrieve.data.labels.labels import override_labels
from rsretrieve.data.labels.splits import split_per_class
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import TileSet
from rsretrieve.evaluation.instance_noise import class_means, corrupt_with_model
from rsretrieve.network.model import Model

FRACTIONS = (0.7, 0.1, 0.2)  # as published: train, validation, test


@dataclass(frozen=True)
class Place:
    """Where the grid reads and works.

    Attributes:
        data: the folder of real tiles.
        weights: as `train --weights` takes them.
        work: splits, labels and models are kept here.
        device: as `--device` takes it.
    """

    data: Path
    weights: str
    work: Path
    device: str


@dataclass(frozen=True)
class CellTiles:
    """The tiles of a cell.

    Attributes:
        train: with their labels as given, some of them wrong.
        true_labels: tile id → label, of the training tiles.
        validation, test: with their true labels.
    """

    train: TileSet
    true_labels: dict[str, str]
    validation: TileSet
    test: TileSet

    @property
    def class_names(self) -> tuple[str, ...]:
        """The K classes, sorted."""
        return tuple(sorted(set(self.true_labels.values())))

    def true_classes(self) -> NDArray[np.int64]:
        """(N,) true class numbers of the training tiles."""
        return self._numbers([self.true_labels[tile.id] for tile in self.train])

    def given_classes(self) -> NDArray[np.int64]:
        """(N,) given class numbers of the training tiles."""
        return self._numbers([str(tile.label) for tile in self.train])

    def test_classes(self) -> NDArray[np.int64]:
        """Class numbers of the test tiles."""
        return self._numbers([str(tile.label) for tile in self.test])

    def _numbers(self, labels: list[str]) -> NDArray[np.int64]:
        numbers = {name: number for number, name in enumerate(self.class_names)}
        return np.array([numbers[label] for label in labels], np.int64)


def cell_tiles(cell: Cell, place: Place, model_of: Callable[[Cell], Model]) -> CellTiles:
    """Split and corrupt, as `split` and `corrupt-labels` do, or read what was kept.

    Args:
        cell: whose tiles.
        place: where to read and keep.
        model_of: the trained model of another cell, for instance-dependent noise.
    """
    train, validation, test = split_lists(cell, place)
    labels = labels_file(cell, place)
    given = _with_noise(cell, place, train, labels, model_of)
    return CellTiles(given, _true_labels(train), validation, test)


def unseen_tiles(cell: Cell, place: Place, model_of: Callable[[Cell], Model]) -> CellTiles:
    """The tiles that no training of the cell uses, validation and test, with labels as wrong."""
    _, validation, test = split_lists(cell, place)
    tiles = TileSet("unseen", (*validation, *test))
    labels = labels_file(cell, place).with_name("unseen.csv")
    given = _with_noise(cell, place, tiles, labels, model_of)
    return CellTiles(given, _true_labels(tiles), validation, test)


def _true_labels(tiles: TileSet) -> dict[str, str]:
    return {tile.id: str(tile.label) for tile in tiles}


def _with_noise(
    cell: Cell, place: Place, tiles: TileSet, labels: Path, model_of: Callable[[Cell], Model]
) -> TileSet:
    if not labels.exists():
        labels.parent.mkdir(parents=True, exist_ok=True)
        write_labels(labels, _corrupted(cell, place, tiles, model_of), overwrite=False)
    return override_labels(tiles, labels)


def cell_features(cell: Cell, place: Place) -> NDArray[np.float32]:
    """(N, D) features of the training tiles, computed once for all noises; see `features`."""
    folder = place.work / cell.dataset / f"seed{cell.seed}"
    path = folder / f"features-{cell.backbone}-{cell.size_px}px.npy"
    if not path.exists():
        train = split_lists(cell, place)[0]
        rows = features(train, cell.backbone, place.weights, cell.size_px, cell.seed)
        np.save(path, rows)
    return np.asarray(np.load(path), np.float32)


def cell_folder(cell: Cell, place: Place) -> Path:
    """Where what comes of a cell is kept."""
    name = f"{cell.method}-{cell.backbone}-{cell.size_px}px-{cell.epochs}"
    return labels_file(cell, place).parent / name


def table_of(cell: Cell, place: Place) -> str:
    """Where the confusions of classes stand, as `corrupt-labels --table` takes it."""
    own = str(place.data / "ucmerced_transitions.csv")
    return "aid" if cell.dataset is Dataset.AID else own


def model_that_errs(cell: Cell) -> Cell:
    """Whose embedding says which tiles are easily taken for another class.

    The paper's NSL on true labels: a fixed recipe, so that the noise stays as it is while
    `robust` gets better.
    """
    return replace(cell, noise=Noise.UNIFORM, rate=0.0, method=Method.PAPER_NSL)


def model_that_audits(cell: Cell) -> Cell:
    """Whose model audits the labels: that of the cell, but for shifted names that of right labels.

    A training on shifted names only learns that these are the names of the classes.
    """
    is_shifted = cell.noise is Noise.SHIFTED
    return replace(cell, noise=Noise.UNIFORM, rate=0.0) if is_shifted else cell


def list_files(cell: Cell, place: Place) -> list[Path]:
    """The lists of the training, validation and test tiles of a cell."""
    folder = place.work / cell.dataset / f"seed{cell.seed}"
    return [folder / f"{name}.csv" for name in ("train", "val", "test")]


def split_lists(cell: Cell, place: Place) -> list[TileSet]:
    """The training, validation and test tiles of a cell, with true labels."""
    files = list_files(cell, place)
    if not all(path.exists() for path in files):
        files[0].parent.mkdir(parents=True, exist_ok=True)
        found = find_tiles(_tiles_folder(cell, place))
        for path, part in zip(files, split_per_class(found, FRACTIONS, cell.seed)):
            write_list(path, part, overwrite=True)
    return [find_tiles(path) for path in files]


def _tiles_folder(cell: Cell, place: Place) -> Path:
    """Where the tiles lie; those that are made up or chosen are written first."""
    made_up, few = cell.dataset.made_up, cell.dataset.hard_classes
    folder, source = place.work / cell.dataset / "tiles", place.data / Dataset.UC_MERCED
    if made_up is not None:
        write_made_up(folder, made_up)
    elif few is not None:
        write_few(folder, source, few)
    elif cell.dataset is Dataset.UNEQUAL:
        write_unequal(folder, source)
    else:
        return place.data / cell.dataset
    return folder


def labels_file(cell: Cell, place: Place) -> Path:
    """The labels of a cell's training tiles, some of them wrong."""
    # Which labels go wrong may hang on the model that errs, and so on what it is trained by.
    by = "features" if cell.method is Method.FROZEN else str(cell.epochs)
    detail = f"-{cell.backbone}-{cell.size_px}px-{by}"
    kind = f"{cell.noise}-{cell.rate:g}{detail if cell.noise is Noise.INSTANCE else ''}"
    return place.work / cell.dataset / f"seed{cell.seed}" / kind / "labels.csv"


def _corrupted(
    cell: Cell, place: Place, train: TileSet, model_of: Callable[[Cell], Model]
) -> dict[str, str]:
    if cell.noise is Noise.UNIFORM:
        return corrupt_uniformly(train, cell.rate, cell.seed)
    if cell.noise is Noise.TABLE and cell.dataset.made_up is None:
        table = read_transitions(table_of(cell, place))
        return corrupt_by_table(train, cell.rate, table, cell.seed)
    if cell.noise is Noise.INSTANCE and cell.method is Method.FROZEN:
        return _corrupted_by_features(cell, place, train)
    if cell.noise is Noise.INSTANCE:
        model = model_of(model_that_errs(cell))
        return corrupt_with_model(model, train, cell.rate, cell.seed, RunContext(strict=True))
    names = train.class_names
    numbers = np.array([names.index(str(tile.label)) for tile in train], np.int64)
    drawn = by_numbers(cell.noise, numbers, cell.rate, cell.seed)
    return {tile.id: names[number] for tile, number in zip(train, drawn.tolist())}


def _corrupted_by_features(cell: Cell, place: Place, train: TileSet) -> dict[str, str]:
    """Labels wrong where the features of tiles resemble those of another class."""
    rows, names = cell_features(cell, place), train.class_names
    numbers = np.array([names.index(str(tile.label)) for tile in train], np.int64)
    similarities = rows @ class_means(rows, numbers, len(names)).T
    return corrupt_by_instance(train, cell.rate, similarities, names, cell.seed)
