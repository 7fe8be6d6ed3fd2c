"""A model, georeferenced tiles and an index of them, made once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from rsretrieve.data.discovery.find_tiles import find_tiles
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import TileSet
from rsretrieve.index.build import index_tiles
from rsretrieve.index.store.folder import IndexStore, open_index
from rsretrieve.network.device import Precision
from rsretrieve.network.model import Model
from rsretrieve.network.model_folder import load_model
from rsretrieve.synthetic.scene import make_landscape, write_tiles
from rsretrieve.training.recipe import PAPER
from rsretrieve.training.train import TrainingRequest, train_model
from tests.support.made_once import made_once

CPU = torch.device("cpu")


@pytest.fixture(scope="package", autouse=True)
def in_float32() -> Iterator[None]:
    """In fewer bits, the same tile in another batch has a slightly other embedding.

    In this package alone: elsewhere the program is to compute as it does for its users.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rsretrieve.network.embedder.best_precision", lambda _: Precision.FLOAT32)
        yield


@pytest.fixture(scope="package")
def tiles(tmp_path_factory: pytest.TempPathFactory) -> TileSet:
    """18 georeferenced tiles of nine classes, two of each; not to be changed."""

    def write(folder: Path) -> None:
        write_tiles(make_landscape(6, 16, seed=0), 16, folder / "tiles")

    folder = made_once(tmp_path_factory, "small-landscape", write)
    return find_tiles(folder / "tiles").select(range(0, 36, 2))


@pytest.fixture(scope="package")
def model(tiles: TileSet, tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A model that was trained for a moment."""
    return _trained(tiles, tmp_path_factory, seed=0)


@pytest.fixture(scope="package")
def other_model(tiles: TileSet, tmp_path_factory: pytest.TempPathFactory) -> Model:
    """Another one."""
    return _trained(tiles, tmp_path_factory, seed=1)


def _trained(tiles: TileSet, factory: pytest.TempPathFactory, seed: int) -> Model:
    def train(folder: Path) -> None:
        recipe = PAPER.changed(
            backbone="squeezenet1_1", size_px=32, dimensions=8, epochs=3, learning_rate=0.05
        )
        request = TrainingRequest(tiles, folder / "model", recipe, CPU, weights="none", seed=seed)
        train_model(request, RunContext())

    return load_model(made_once(factory, f"small-model-{seed}", train) / "model", CPU)


@pytest.fixture(scope="package")
def store(tiles: TileSet, model: Model, tmp_path_factory: pytest.TempPathFactory) -> IndexStore:
    """An index of the tiles; not to be changed."""

    def build(folder: Path) -> None:
        index_tiles(model, tiles, folder / "index", RunContext())

    return open_index(made_once(tmp_path_factory, "small-index", build) / "index")
