"""The graph of a network, exported once for each kind of network in a run of the tests.

PyTorch's exporter takes three seconds for the smallest network, and most tests train one. Networks
of the same layers have the same graph but for their weights, which `graph_with_weights` places, and
for the statistics of their tiles.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import torch

from rsretrieve.data.preprocessing.normalize import Normaliser
from rsretrieve.data.preprocessing.preprocessing import Preprocessing
from rsretrieve.network.network import EmbeddingNetwork
from rsretrieve.network.runtime.graph_export import Export, export_graph, graph_with_weights
from rsretrieve.network.weights_file import stored_tensors
from tests.support.made_once import FOLDER_OF_GRAPHS

_STATISTICS = ("lifted_tensor_0", "lifted_tensor_1", "lifted_tensor_2")
"""What the exporter calls the scale, the mean and the deviation of the bands."""


def export_once(network: EmbeddingNetwork, preprocessing: Preprocessing, weights: Path) -> Export:
    """As `export_graph`, which a graph of the same layers replaces if there is one."""
    path = Path(os.environ[FOLDER_OF_GRAPHS], f"{_kind(network, preprocessing, weights)}.onnx")
    if path.exists():
        graph = _with_statistics(path.read_bytes(), preprocessing)
        return Export(graph_with_weights(graph, weights))
    export = export_graph(network, preprocessing, weights)
    if export.graph is not None:
        assert _with_statistics(export.graph, preprocessing) == export.graph
        part = path.with_suffix(f".{os.getpid()}")
        part.write_bytes(export.graph)
        part.replace(path)
    return export


def _kind(network: EmbeddingNetwork, preprocessing: Preprocessing, weights: Path) -> str:
    """The name of a kind of network."""
    shapes = sorted(
        (name, one.shape, one.dtype)
        for name, one in stored_tensors(weights).items()
        if name.startswith("network.")
    )
    size = len(preprocessing.bands), preprocessing.size_px
    return hashlib.sha256(repr((repr(network), size, shapes)).encode()).hexdigest()


def _with_statistics(serialised: bytes, preprocessing: Preprocessing) -> bytes:
    """The graph for tiles of other statistics; the same bytes for those that it was made for."""
    import onnx

    model = onnx.load_model_from_string(serialised)
    found = {one.name: one for one in model.graph.initializer}
    held = vars(Normaliser(preprocessing, torch.device("cpu"))).values()
    for name, values in zip(_STATISTICS, filter(torch.is_tensor, held), strict=True):
        assert tuple(found[name].dims) == tuple(values.shape)
        found[name].raw_data = values.numpy().tobytes()
    return bytes(model.SerializeToString(deterministic=True))
