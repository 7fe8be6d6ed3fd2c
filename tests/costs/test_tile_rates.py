"""Reading and embedding some tiles of a set for the rates."""

from __future__ import annotations

import pytest
import torch

from rsretrieve.costs.tile_rates import measure_tiles
from rsretrieve.data.discovery.find_tiles import find_tiles
from rsretrieve.data.run_context import RunContext
from rsretrieve.network.model_folder import load_model


@pytest.mark.slow
def test_the_rates_are_those_of_reading_and_embedding(landscape, model) -> None:
    loaded, context = load_model(model, torch.device("cpu")), RunContext()
    rates = measure_tiles(loaded, find_tiles(landscape), context)
    assert rates.dimensions == loaded.description.dimensions
    assert 0 < rates.measured <= 256
    assert 0 < rates.embed_s < 10
    assert 0 < rates.read_s < 10
    assert rates.processor_s > 0
    assert context.failures == []
