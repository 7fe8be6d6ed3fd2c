"""The tiles and the noisy labels of a cell, made once and kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from grid.cells import Cell, Dataset, Method
from rsretrieve.data.discovery.find_tiles import find_tiles
from rsretrieve.data.discovery.tile_list import write_list
from rsretrieve.data.labels.decided_rows import write_labels
from rsretrieve.data.labels.label_noise import corrupt_by_table, corrupt_uniformly, read_transitions
from rsretrieve.data.labels.labels import override_labels
from rsretrieve.data.labels.splits import split_per_class
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import TileSet
from rsretrieve.enums import NoiseKind
from rsretrieve.evaluation.instance_noise import corrupt_with_model
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
    train, validation, test = _parts(cell, place)
    labels = _labels_file(cell, place)
    if not labels.exists():
        labels.parent.mkdir(parents=True, exist_ok=True)
        write_labels(labels, _corrupted(cell, place, train, model_of), overwrite=False)
    true = {tile.id: str(tile.label) for tile in train}
    return CellTiles(override_labels(train, labels), true, validation, test)


def cell_folder(cell: Cell, place: Place) -> Path:
    """Where what comes of a cell is kept."""
    name = f"{cell.method}-{cell.backbone}-{cell.size_px}px-{cell.epochs}"
    return _labels_file(cell, place).parent / name


def model_that_errs(cell: Cell) -> Cell:
    """Whose embedding says which tiles are easily taken for another class.

    The paper's NSL on true labels: a fixed recipe, so that the noise stays as it is while
    `robust` gets better.
    """
    return replace(cell, noise=NoiseKind.UNIFORM, rate=0.0, method=Method.PAPER_NSL)


def _parts(cell: Cell, place: Place) -> list[TileSet]:
    folder = place.work / cell.dataset / f"seed{cell.seed}"
    files = [folder / f"{name}.csv" for name in ("train", "val", "test")]
    if not all(path.exists() for path in files):
        folder.mkdir(parents=True, exist_ok=True)
        found = find_tiles(place.data / cell.dataset)
        for path, part in zip(files, split_per_class(found, FRACTIONS, cell.seed)):
            write_list(path, part, overwrite=True)
    return [find_tiles(path) for path in files]


def _labels_file(cell: Cell, place: Place) -> Path:
    # Which labels go wrong may hang on the model that errs, and so on what it is trained by.
    detail = f"-{cell.backbone}-{cell.size_px}px-{cell.epochs}"
    kind = f"{cell.noise}-{cell.rate:g}{detail if cell.noise is NoiseKind.INSTANCE else ''}"
    return place.work / cell.dataset / f"seed{cell.seed}" / kind / "labels.csv"


def _corrupted(
    cell: Cell, place: Place, train: TileSet, model_of: Callable[[Cell], Model]
) -> dict[str, str]:
    if cell.noise is NoiseKind.UNIFORM:
        return corrupt_uniformly(train, cell.rate, cell.seed)
    if cell.noise is NoiseKind.TABLE:
        own = str(place.data / "ucmerced_transitions.csv")
        table = "aid" if cell.dataset is Dataset.AID else own
        return corrupt_by_table(train, cell.rate, read_transitions(table), cell.seed)
    model = model_of(model_that_errs(cell))
    return corrupt_with_model(model, train, cell.rate, cell.seed, RunContext(strict=True))
