"""Train the methods that are options of `rsretrieve train`, as `rsretrieve compare` trains them.

Each becomes an ordinary model folder whose `config.toml` makes it alone. The other methods have no
such option (cross entropy, early-learning regularisation, small loss, features as they are); they
are in `baselines`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from grid.cells import Cell, Method
from grid.data import CellTiles, Place, cell_folder, cell_tiles, labels_file, list_files
from rsretrieve.comparison.cell_training import CellTraining, train_cell
from rsretrieve.comparison.choice import Cell as TrainedCell
from rsretrieve.comparison.choice import TrainingChoice
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import TileSet
from rsretrieve.enums import RecipeName, Validation
from rsretrieve.network.device import choose_device
from rsretrieve.network.metadata import DESCRIPTION_FILE
from rsretrieve.network.model import Model
from rsretrieve.network.model_folder import load_model
from rsretrieve.training.recipe import ROBUST_BY_AGREEMENT, Recipe, recipe_for

# `robust-by-agreement` is none: no option turns off what `robust` has beside it.
OPTIONS_OF_TRAIN = (Method.ROBUST, Method.PAPER_T_RNSL, Method.PAPER_RNSL, Method.PAPER_NSL)
CPU_FILE = "cpu_seconds.txt"


def trained_model(cell: Cell, place: Place) -> Model:
    """The model of a cell, trained when it is not there yet."""
    tiles = cell_tiles(cell, place, lambda other: trained_model(other, place))
    sources = None
    if cell.method in OPTIONS_OF_TRAIN:
        sources = {"tiles": [list_files(cell, place)[0]], "labels": labels_file(cell, place)}
    return model_in(cell_folder(cell, place), cell, tiles, place, sources)


def model_in(
    folder: Path,
    cell: Cell,
    tiles: CellTiles,
    place: Place,
    sources: Mapping[str, object] | None = None,
) -> Model:
    """The model in a folder, trained by a cell's method on these tiles when it is not there.

    Args:
        folder: of the model.
        cell: whose method.
        tiles: to train on.
        place: where to read and work.
        sources: the options of `train` that name the tiles and their labels; None if none do.
    """
    if not (folder / DESCRIPTION_FILE).exists():
        choice = choice_of(cell, place, tiles.validation)
        trained = TrainedCell(choice, cell.seed)
        training = CellTraining(trained, tiles.train, folder, place.device, sources)
        train_cell(training, RunContext(strict=True), _note_time(time.process_time()))
    return load_model(folder, choose_device(place.device))


def choice_of(cell: Cell, place: Place, validation: TileSet) -> TrainingChoice:
    """How a cell whose method is one of ours is trained, but for tiles, labels and seed."""
    return TrainingChoice(
        values=(("method", str(cell.method)),),
        recipe=recipe_of(cell, place.weights),
        weights=place.weights,
        validation=validation,
        options={"val": [list_files(cell, place)[1]]},
    )


def recipe_of(cell: Cell, weights: str) -> Recipe:
    """The recipe of a cell whose method is one of ours.

    Validation tells each epoch's K-NN accuracy, whatever the recipe validates by, so that a
    collapse shows. `robust` keeps its average whatever validation says: only its time grows.
    """
    ours = {
        Method.ROBUST: recipe_for(RecipeName.ROBUST, weights),
        Method.ROBUST_BY_AGREEMENT: ROBUST_BY_AGREEMENT,
    }
    return ours.get(cell.method, recipe_for(RecipeName.PAPER, weights)).changed(
        validation=Validation.NEIGHBOURS,
        loss=cell.method.paper_loss,
        backbone=cell.backbone,
        size_px=cell.size_px,
        epochs=cell.epochs,
    )


def _note_time(started: float) -> Callable[[Path], None]:
    def note(folder: Path) -> None:
        (folder / CPU_FILE).write_text(f"{time.process_time() - started:.1f}\n")

    return note
