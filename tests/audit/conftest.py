"""Tiles with a few wrong labels, and a model whose prototypes know better."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from rsretrieve.data.discovery.find_tiles import find_tiles
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import TileSet
from rsretrieve.evaluation.instance_noise import class_means
from rsretrieve.index.embed_tiles import embed_tiles
from rsretrieve.network.model import Model
from rsretrieve.network.model_folder import load_model
from rsretrieve.synthetic.scene import make_landscape, write_tiles
from rsretrieve.training.recipe import PAPER
from rsretrieve.training.train import TrainingRequest, train_model
from tests.support.indexes.made_indexes import in_float32

__all__ = ["in_float32"]


@pytest.fixture(scope="package")
def tiles(tmp_path_factory: pytest.TempPathFactory) -> TileSet:
    """16 tiles of four classes; their labels are right."""
    folder = tmp_path_factory.mktemp("landscape") / "tiles"
    write_tiles(make_landscape(6, 16, seed=0), 16, folder)
    return find_tiles(folder).select([*range(4, 8), *range(12, 20), *range(32, 36)])


@pytest.fixture(scope="package")
def noisy_tiles(tiles: TileSet) -> TileSet:
    """The same tiles; each fifth label is that of the next class."""
    names = tiles.class_names
    wrong = {t.id: names[(names.index(str(t.label)) + 1) % 4] for t in tiles.tiles[::5]}
    return tiles.relabelled(wrong)


@pytest.fixture(scope="package")
def model(tiles: TileSet, tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A model whose prototypes are the means of the classes."""
    folder = tmp_path_factory.mktemp("models") / "model"
    recipe = PAPER.changed(
        backbone="squeezenet1_1", size_px=32, dimensions=8, epochs=3, learning_rate=0.05
    )
    request = TrainingRequest(tiles, folder, recipe, torch.device("cpu"), weights="none")
    train_model(request, RunContext())
    loaded = load_model(folder, torch.device("cpu"))
    vectors = embed_tiles(loaded, tiles, RunContext()).vectors
    labels = np.array([tiles.class_names.index(str(tile.label)) for tile in tiles])
    return replace(loaded, prototypes=class_means(vectors, labels, 4))
