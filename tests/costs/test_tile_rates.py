"""Reading and embedding some tiles of a set for the rates."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rsretrieve.costs.cost import Cost
from rsretrieve.costs.tile_rates import _contrary, measure_tiles
from rsretrieve.data.discovery.find_tiles import find_tiles
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.index.embed_tiles import Embeddings
from rsretrieve.network.model_folder import load_model


@pytest.mark.slow
def test_the_rates_are_those_of_reading_and_embedding(landscape, model) -> None:
    loaded, context = load_model(model, torch.device("cpu")), RunContext()
    rates = measure_tiles(loaded, find_tiles(landscape), context, Cost(100.0, 50.0))
    assert rates.dimensions == loaded.description.dimensions
    assert 0 < rates.measured <= 256
    assert 0 < rates.embed_s < 10
    assert 0 < rates.read_s < 10
    assert rates.processor_s > 0
    assert (rates.pixels.seconds > 0) is (rates.contrary > 0)
    assert 100 < rates.start.seconds < 130
    assert 50 < rates.start.processor_s < 80
    assert rates.peak_bytes > 10**8
    assert context.failures == []


@pytest.mark.slow
def test_a_tile_that_cannot_be_read_is_reported_once_wherever_it_is(
    landscape, model, tmp_path
) -> None:
    for path in sorted(landscape.glob("*/*.tif"))[::6]:
        (tmp_path / path.parent.name).mkdir(exist_ok=True)
        (tmp_path / path.parent.name / path.name).symlink_to(path)
    folders = sorted(path.name for path in tmp_path.iterdir())
    bad = [f"{folders[0]}/0.tif", f"{folders[-1]}/z.tif"]
    for name in bad:
        (tmp_path / name).write_bytes(b"no picture")
    context = RunContext()
    measure_tiles(load_model(model, torch.device("cpu")), find_tiles(tmp_path), context)
    assert [failure.tile_id for failure in context.failures] == bad


def embedded(tiles, vectors) -> Embeddings:
    return Embeddings(tiles, (None,) * len(tiles), vectors, np.zeros((len(tiles), 4)), 1.0)


def test_the_share_of_tiles_whose_nearest_tile_has_another_label() -> None:
    angles = np.radians([0, 1, 40, 42, 80])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    named = [Tile(str(i), f"{i}.png", label) for i, label in enumerate("aabcc")]
    # Nearest are 1, 0, 3, 2 and 3: the third and the fourth differ.
    assert _contrary(embedded(TileSet("five", tuple(named)), vectors)) == pytest.approx(2 / 5)
    unlabelled = TileSet("five", (*named[:4], Tile("4", "4.png", None)))
    assert _contrary(embedded(unlabelled, vectors)) == 0
