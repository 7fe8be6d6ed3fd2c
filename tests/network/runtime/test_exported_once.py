"""What other tests take for an exported graph is the exporter's, byte for byte."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from rsretrieve.network import model_folder
from rsretrieve.network.metadata import WEIGHTS_FILE
from rsretrieve.network.model import PrototypeModel
from rsretrieve.network.network import build_network
from rsretrieve.network.prototypes import Prototypes
from rsretrieve.network.runtime.graph_export import export_graph
from tests.network.runtime.test_graph import DIMENSIONS, SIZE_PX, preprocessing_of
from tests.support.processes.exported_once import export_once


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["squeezenet1_1", pytest.param("shufflenet_v2_x0_5", marks=pytest.mark.exhaustive)]
)
def test_the_graph_of_other_weights_is_that_of_the_exporter(name: str, tmp_path: Path) -> None:
    graphs = []
    for seed in range(2):
        torch.manual_seed(seed)
        network = build_network(name, bands=3, size_px=SIZE_PX, dimensions=DIMENSIONS).eval()
        model = PrototypeModel(network, Prototypes(10 ** (4 * seed) + 1, DIMENSIONS, 0.125))
        model_folder.write_weights(tmp_path, model)
        weights = tmp_path / WEIGHTS_FILE
        tiles = preprocessing_of(3)
        tiles = replace(tiles, statistics=replace(tiles.statistics, mean=(400.0, 500.0, seed)))
        graphs.append(export_graph(network, tiles, weights).graph)
        assert export_once(network, tiles, weights).graph == graphs[-1]
    assert graphs[0] is not None
    assert graphs[0] != graphs[1]  # other statistics, and other places in the file of weights
