"""Three georeferenced tiles, hits among them, and a model's description; no network."""

from __future__ import annotations

from pathlib import Path

import pytest

from rsretrieve.data.discovery.find_tiles import find_tiles
from rsretrieve.data.preprocessing.preprocessing import BandStatistics, Preprocessing
from rsretrieve.data.reading.pillow_reader import read_raw
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.index.store.tile_table import IndexedTile
from rsretrieve.network.model import ModelDescription
from rsretrieve.search.search import Hit, QueryResult
from rsretrieve.synthetic.scene import make_landscape, write_tiles
from rsretrieve.training.recipe import ROBUST


@pytest.fixture(scope="session")
def tiles(tmp_path_factory: pytest.TempPathFactory) -> TileSet:
    """Three tiles of three classes: bare_soil, forest, water."""
    folder = tmp_path_factory.mktemp("landscape") / "tiles"
    write_tiles(make_landscape(6, 16, seed=0), 16, folder)
    return find_tiles(folder).select([0, 16, 35])


def hits_of(*tiles: Tile) -> tuple[Hit, ...]:
    """Hits with similarities 0.9, 0.8 …"""
    return tuple(
        Hit(rank, 1 - rank / 10, IndexedTile.of(tile, read_raw(tile).place))
        for rank, tile in enumerate(tiles, start=1)
    )


@pytest.fixture
def result(tiles: TileSet) -> QueryResult:
    """A query of the class forest, and its three hits."""
    query = Tile("query.tif", tiles[1].path, "forest")
    return QueryResult(query.path, query, hits_of(*tiles))


@pytest.fixture
def description() -> ModelDescription:
    statistics = BandStatistics((1.0,) * 2, (1.0,) * 2, (0.0,) * 2, (1.0,) * 2)
    return ModelDescription(
        backbone="resnet18",
        dimensions=128,
        preprocessing=Preprocessing(64, 6, (4, 2), "uint16", statistics),
        class_names=("forest", "water"),
        recipe=ROBUST.changed(temperature=0.05).to_json(),
        training={
            **{"tiles": 90, "validation_tiles": 10, "epochs": 40, "kept_epoch": 37, "seed": 3},
            **{"kept_fraction": 0.7125, "seconds": 61.4, "tiles_per_second": 1234.5},
            **{"device": "cpu", "precision": "float32", "weights": "none"},
        },
        versions={"rsretrieve": "0.1", "torch": "2.6"},
        weights_sha256="0123abcd",
    )


@pytest.fixture
def history(tmp_path: Path) -> Path:
    """A training's history of three epochs."""
    path = tmp_path / "history.csv"
    path.write_text(
        "epoch,loss,kept_fraction,validation_accuracy\n1,2.5,1.0,0.25\n2,1.5,1.0,0.5\n3,1.0,0.7,\n",
        encoding="utf-8",
    )
    return path
