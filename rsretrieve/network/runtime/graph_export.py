"""Write a network as an ONNX graph whose weights stay in `model.safetensors`.

The graph takes one tile as `Preprocessing` gives it, in float32, and gives its unit embedding.
Weights are external data: the graph names the file, and where each tensor begins in it.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rsretrieve.data.preprocessing.normalize import Normaliser
from rsretrieve.data.preprocessing.preprocessing import Preprocessing
from rsretrieve.network.network import EmbeddingNetwork
from rsretrieve.network.runtime.graph_checks import INPUT, OUTPUT, GraphInterface, check_graph
from rsretrieve.network.weights_file import stored_tensors

_OPSET = 18  # what PyTorch's exporter writes; another is converted to, with losses
_LARGEST_FOLDED, _LARGEST_RESULT = 1 << 14, 1 << 20
"""Numbers in constants that are computed when the graph is written, and in what they become."""


@dataclass(frozen=True)
class Export:
    """The result of writing a network as a graph.

    Attributes:
        graph: an ONNX model, serialised; None where the network cannot be written.
        cause: why there is none; empty where there is one.
    """

    graph: bytes | None
    cause: str = ""


class _OfPixels(nn.Module):
    """A network that normalises its tiles itself."""

    def __init__(self, network: EmbeddingNetwork, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.network = network
        self._normaliser = Normaliser(preprocessing, torch.device("cpu"))

    def forward(self, pixels: Tensor) -> Tensor:
        """Pixels (1, C, S, S) float32 → (1, D)."""
        embedding: Tensor = self.network(self._normaliser.of_floats(pixels))
        return embedding


def export_graph(network: EmbeddingNetwork, preprocessing: Preprocessing, weights: Path) -> Export:
    """Write what a network computes in evaluation mode.

    Args:
        network: on the CPU; its mode is left as it is.
        preprocessing: of its tiles.
        weights: the file where its tensors lie, named `network.…`.

    Returns:
        The graph, or the cause where it cannot be written or `check_graph` refuses it.
    """
    try:
        with _evaluating(network), torch.no_grad(), _quiet():
            return Export(_exported(network, preprocessing, weights))
    except Exception as error:  # the exporter raises what it likes
        return Export(None, _cause_of(error))


def _cause_of(error: BaseException) -> str:
    """What went wrong first, in a line; the exporter wraps that in advice."""
    while error.__cause__ is not None:
        error = error.__cause__
    said = str(error).strip().split("\n")[0][:200]
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


@contextmanager
def _evaluating(network: nn.Module) -> Iterator[None]:
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter warns and logs about itself."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels):
            logger.setLevel(level)


def _exported(network: EmbeddingNetwork, preprocessing: Preprocessing, weights: Path) -> bytes:
    import onnx_ir
    from onnxscript import optimizer

    shape = (1, len(preprocessing.bands), preprocessing.size_px, preprocessing.size_px)
    whole = _OfPixels(network, preprocessing)
    program = torch.onnx.export(
        whole,
        (torch.zeros(shape),),
        dynamo=True,
        optimize=False,  # it would change weights and leave them their names
        verbose=False,
        opset_version=_OPSET,
        input_names=[INPUT],
        output_names=[OUTPUT],
    )
    assert program is not None  # it is None where a file is given
    model = program.model
    # Whole numbers stay in the graph: shapes may hang on them, and are inferred without the file.
    tensors = {name for name, value in whole.state_dict().items() if value.is_floating_point()}
    optimizer.fold_constants(
        model,
        onnx_shape_inference=True,
        input_size_limit=_LARGEST_FOLDED,
        output_size_limit=_LARGEST_RESULT,
        should_fold=lambda node: False if _takes_any(node, tensors) else None,
    )
    optimizer.remove_unused_nodes(model)
    _leave_weights_in_their_file(model, tensors, weights)
    _forget_where_it_came_from(model)
    serialised: bytes = onnx_ir.to_proto(model).SerializeToString(deterministic=True)
    check_graph(serialised, GraphInterface(shape, network.projection.out_features, weights))
    return serialised


def _takes_any(node: Any, names: set[str]) -> bool:
    return any(value is not None and value.name in names for value in node.inputs)


def _leave_weights_in_their_file(model: Any, names: set[str], weights: Path) -> None:
    import onnx_ir

    stored = stored_tensors(weights)
    for name, value in model.graph.initializers.items():
        if name in names:
            tensor, place = value.const_value, stored[name]
            value.const_value = onnx_ir.ExternalTensor(
                weights.name,
                place.offset,
                place.length,
                tensor.dtype,
                shape=tensor.shape,
                name=name,
                base_dir=weights.parent,
            )


def _forget_where_it_came_from(model: Any) -> None:
    """The exporter notes the source lines of every node, with the folders of this machine."""
    for part in (model, model.graph, *model.graph, *model.graph.initializers.values()):
        part.metadata_props.clear()
    for node in model.graph:
        node.doc_string = None
        for value in (*node.inputs, *node.outputs):
            if value is not None:
                value.metadata_props.clear()
                value.doc_string = None
