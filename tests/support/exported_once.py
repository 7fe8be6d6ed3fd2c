"""The graph of a network, exported once for each kind of network in a test process.

PyTorch's exporter takes four seconds for the smallest network, and most tests train one. Networks
that differ in their weights alone have the same graph, which `graph_with_weights` completes.
"""

from __future__ import annotations

from pathlib import Path

from rsretrieve.data.preprocessing.preprocessing import Preprocessing
from rsretrieve.network.network import EmbeddingNetwork
from rsretrieve.network.runtime.graph_export import Export, export_graph, graph_with_weights
from rsretrieve.network.weights_file import stored_tensors

_GRAPHS: dict[tuple[str, ...], bytes] = {}


def export_once(network: EmbeddingNetwork, preprocessing: Preprocessing, weights: Path) -> Export:
    """As `export_graph`, which a graph of the same layers replaces if there is one."""
    shapes = sorted((name, one.shape, one.dtype) for name, one in stored_tensors(weights).items())
    kind = repr(network), repr(preprocessing), repr(shapes)
    if kind in _GRAPHS:
        return Export(graph_with_weights(_GRAPHS[kind], weights))
    export = export_graph(network, preprocessing, weights)
    if export.graph is not None:
        _GRAPHS[kind] = export.graph
    return export
