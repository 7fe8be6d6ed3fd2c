"""Export a network as an ONNX graph.

The input is preprocessed tiles in float32, in their own units; the output is their unit embeddings.
In a model folder, the graph takes one tile, and its weights stay in `model.safetensors`: the graph
names the file and the offset of each tensor. Weights that are stored as float16 are cast to
float32, once, when the graph is loaded. A standalone graph holds its weights and takes batches
of any size.
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

from rsretrieve._core.text import first_line
from rsretrieve.data.preprocessing.normalize import Normaliser
from rsretrieve.data.preprocessing.preprocessing import Preprocessing
from rsretrieve.network.network import EmbeddingNetwork
from rsretrieve.network.runtime.graph_checks import (
    INPUT,
    OUTPUT,
    GraphInterface,
    check_graph,
    weights_in_their_file,
)
from rsretrieve.network.weights_file import StoredTensor, stored_tensors

_OPSET = 18  # of PyTorch's exporter; conversion to another one is not exact
STANDALONE_OPSETS = range(18, 24)  # the exporter writes none below; onnxruntime runs all of these
_HALF = "F16"  # safetensors' name of float16
_MAX_FOLDED_INPUT, _MAX_FOLDED_OUTPUT = 1 << 14, 1 << 20
"""Largest constants, in numbers, that are folded at export, and their largest results."""


@dataclass(frozen=True)
class Export:
    """The result of an export.

    Attributes:
        graph: a serialised ONNX model; None if the network cannot be exported.
        cause: why there is none; empty if there is one.
    """

    graph: bytes | None
    cause: str = ""


class _NormalisingNetwork(nn.Module):
    """A network that normalises its tiles itself."""

    def __init__(self, network: EmbeddingNetwork, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.network = network
        self._normaliser = Normaliser(preprocessing, torch.device("cpu"))

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, C, S, S) float32 preprocessed pixels → (B, D)."""
        embedding: Tensor = self.network(self._normaliser.of_floats(pixels))
        return embedding


def export_graph(network: EmbeddingNetwork, preprocessing: Preprocessing, weights: Path) -> Export:
    """Export what a network computes in evaluation mode.

    Args:
        network: on the CPU; its mode is unchanged afterwards.
        preprocessing: of its tiles.
        weights: the safetensors file of its tensors, which are named `network.…`.

    Returns:
        The graph, or the cause if the exporter fails or `check_graph` refuses the graph.
    """
    try:
        with _evaluating(network), torch.no_grad(), _quiet():
            return Export(_exported(network, preprocessing, weights))
    except Exception as error:  # the exporter may raise anything
        return Export(None, _root_cause(error))


def export_standalone(
    network: EmbeddingNetwork, preprocessing: Preprocessing, opset: int
) -> Export:
    """Export what a network computes in evaluation mode, with its weights, for batches of tiles.

    Args:
        network: on the CPU; its mode is unchanged afterwards.
        preprocessing: of its tiles.
        opset: the version of ONNX's operators, of `STANDALONE_OPSETS`.

    Returns:
        The graph: `pixels` (B, C, S, S) float32 → `embedding` (B, D) float32; or the cause if the
        exporter fails.
    """
    try:
        with _evaluating(network), torch.no_grad(), _quiet():
            return Export(_with_weights(network, preprocessing, opset))
    except Exception as error:  # the exporter may raise anything
        return Export(None, _root_cause(error))


def graph_with_weights(serialised: bytes, weights: Path) -> bytes:
    """The same graph with other weights, in milliseconds.

    Args:
        serialised: the graph of a network.
        weights: the safetensors file of a network of the same layers, with the same shapes and
            types of all tensors.

    Raises:
        ValueError: the file has not these tensors.
    """
    import onnx

    model, stored = onnx.load_model_from_string(serialised), stored_tensors(weights)
    for tensor in weights_in_their_file(model.graph):
        place = stored.get(tensor.name)
        if place is None or not _has_room(tensor, place):
            raise ValueError(f"{weights} has not the tensor {tensor.name} of the graph")
        for entry in tensor.external_data:
            if entry.key == "offset":
                entry.value = str(place.offset)
    return bytes(model.SerializeToString(deterministic=True))


def _has_room(tensor: Any, place: StoredTensor) -> bool:
    lengths = [int(entry.value) for entry in tensor.external_data if entry.key == "length"]
    return tuple(tensor.dims) == place.shape and lengths == [place.length]


def _root_cause(error: BaseException) -> str:
    """The first error of a chain, in a line; the exporter wraps it in advice."""
    while error.__cause__ is not None:
        error = error.__cause__
    name, cause = type(error).__name__, first_line(error)
    return name if cause == name else f"{name}: {cause}"


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
    """Silence the exporter's own warnings and logs."""
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
    whole = _NormalisingNetwork(network, preprocessing)
    program = torch.onnx.export(
        whole,
        (torch.zeros(shape),),
        dynamo=True,
        optimize=False,  # it would change weights but keep their names
        verbose=False,
        opset_version=_OPSET,
        input_names=[INPUT],
        output_names=[OUTPUT],
    )
    if program is None:  # only if a file name is given
        raise RuntimeError("the exporter returned no graph")
    model = program.model
    # Integers stay in the graph: shapes may depend on them, and are inferred without the file.
    tensors = {name for name, value in whole.state_dict().items() if value.is_floating_point()}
    optimizer.fold_constants(
        model,
        onnx_shape_inference=True,
        input_size_limit=_MAX_FOLDED_INPUT,
        output_size_limit=_MAX_FOLDED_OUTPUT,
        should_fold=lambda node: False if _takes_any(node, tensors) else None,
    )
    optimizer.remove_unused_nodes(model)
    _make_weights_external(model, tensors, weights)
    _remove_source_metadata(model)
    serialised: bytes = onnx_ir.to_proto(model).SerializeToString(deterministic=True)
    check_graph(serialised, GraphInterface(shape, network.projection.out_features, weights))
    return serialised


def _with_weights(network: EmbeddingNetwork, preprocessing: Preprocessing, opset: int) -> bytes:
    import onnx_ir

    shape = (2, len(preprocessing.bands), preprocessing.size_px, preprocessing.size_px)
    program = torch.onnx.export(
        _NormalisingNetwork(network, preprocessing),
        (torch.zeros(shape),),
        dynamo=True,
        verbose=False,
        opset_version=opset,
        input_names=[INPUT],
        output_names=[OUTPUT],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
    )
    if program is None:  # only if a file name is given
        raise RuntimeError("the exporter returned no graph")
    _remove_source_metadata(program.model)
    written = onnx_ir.to_proto(program.model)
    versions = [entry.version for entry in written.opset_import if entry.domain in ("", "ai.onnx")]
    if versions != [opset]:
        raise RuntimeError(f"the exporter wrote opset {versions}, not {opset}")
    serialised: bytes = written.SerializeToString(deterministic=True)
    return serialised


def _takes_any(node: Any, names: set[str]) -> bool:
    return any(value is not None and value.name in names for value in node.inputs)


def _make_weights_external(model: Any, names: set[str], weights: Path) -> None:
    import onnx_ir

    stored = stored_tensors(weights)
    for name, value in model.graph.initializers.items():
        if name in names:
            place, dtype = stored[name], value.const_value.dtype
            if place.dtype == _HALF:
                _cast_to_float(model, value)
                dtype = onnx_ir.DataType.FLOAT16
            value.const_value = onnx_ir.ExternalTensor(
                weights.name,
                place.offset,
                place.length,
                dtype,
                shape=value.const_value.shape,
                name=name,
                base_dir=weights.parent,
            )


def _cast_to_float(model: Any, weight: Any) -> None:
    """Let the nodes that take a weight take its conversion from float16."""
    import onnx_ir

    uses = list(weight.uses())
    users = [use.node for use in uses]
    first = next(node for node in model.graph if node in users)
    cast = onnx_ir.node("Cast", [weight], {"to": onnx_ir.DataType.FLOAT.value})
    [converted] = cast.outputs
    converted.name = f"{weight.name}.float32"
    for use in uses:
        use.node.replace_input_with(use.idx, converted)
    model.graph.insert_before(first, cast)
    weight.dtype = onnx_ir.DataType.FLOAT16


def _remove_source_metadata(model: Any) -> None:
    """Remove the source lines that the exporter stores, with folders of the user's machine."""
    for part in (model, model.graph, *model.graph, *model.graph.initializers.values()):
        part.metadata_props.clear()
    for node in model.graph:
        node.doc_string = None
        for value in (*node.inputs, *node.outputs):
            if value is not None:
                value.metadata_props.clear()
                value.doc_string = None
