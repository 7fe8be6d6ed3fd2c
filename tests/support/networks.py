"""Tiles, preprocessing and networks so small that a training takes a second."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from rsretrieve.data.discovery.find_tiles import find_tiles
from rsretrieve.data.labels.label_noise import corrupt_uniformly
from rsretrieve.data.preprocessing.preprocessing import BandStatistics, Preprocessing
from rsretrieve.data.reading.pillow_reader import read_raw
from rsretrieve.data.tile import TileSet
from rsretrieve.network.network import EmbeddingNetwork, build_network
from rsretrieve.synthetic.scene import make_landscape, write_tiles

SIZE_PX = 32


@pytest.fixture(scope="session")
def six_band_tiles(tmp_path_factory: pytest.TempPathFactory) -> TileSet:
    """64 tiles of nine classes: six bands, uint16, georeferenced, their labels right."""
    folder = tmp_path_factory.mktemp("landscape") / "tiles"
    write_tiles(make_landscape(8, 16, seed=0), 16, folder)
    return find_tiles(folder)


@pytest.fixture(scope="session")
def tiles(six_band_tiles: TileSet, tmp_path_factory: pytest.TempPathFactory) -> TileSet:
    """The same tiles as 8-bit RGB images, which are read ten times as fast."""
    folder = tmp_path_factory.mktemp("pictures") / "tiles"
    for tile in six_band_tiles:
        path = (folder / tile.id).with_suffix(".png")
        path.parent.mkdir(parents=True, exist_ok=True)
        red_green_blue = read_raw(tile).values[[2, 1, 0]].transpose(1, 2, 0)
        Image.fromarray((red_green_blue // 16).clip(1, 255).astype(np.uint8)).save(path)
    return find_tiles(folder)


@pytest.fixture(scope="session")
def noisy_tiles(tiles: TileSet) -> TileSet:
    """The same tiles, 30 % of their labels wrong."""
    return tiles.relabelled(corrupt_uniformly(tiles, 0.3, seed=1))


@pytest.fixture(scope="session")
def preprocessing() -> Preprocessing:
    """Of 8-bit RGB tiles."""
    statistics = BandStatistics((100.0,) * 3, (50.0,) * 3, (0.0,) * 3, (255.0,) * 3)
    return Preprocessing(SIZE_PX, 3, (1, 2, 3), "uint8", statistics)


@pytest.fixture(scope="session")
def pixels() -> NDArray[np.uint8]:
    """Seven preprocessed tiles of noise."""
    shape = (7, 3, SIZE_PX, SIZE_PX)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@pytest.fixture
def network() -> EmbeddingNetwork:
    """An untrained network."""
    torch.manual_seed(0)
    return build_network("squeezenet1_1", bands=3, size_px=SIZE_PX, dimensions=8)
