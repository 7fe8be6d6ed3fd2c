"""Check a model's graph before it runs: a model may come from a stranger.

Only the operators listed below are allowed, which compute and have no side effects. Weights must
lie in `model.safetensors`, at the offsets of that file. The shape of every result must follow from
the graph and the shape of a tile, so that memory and work are known in advance; see
`graph_limits`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from rsretrieve._core.text import first_line
from rsretrieve.network.runtime.graph_limits import Shape, Work, check_work
from rsretrieve.network.weights_file import StoredTensor, stored_tensors

INPUT, OUTPUT = "pixels", "embedding"
MAX_BYTES = 16 << 20
_MAX_NODES, _MAX_NUMBERS, _MAX_TEXT = 20_000, 4096, 200
_OPSETS, _IR_VERSIONS = range(17, 24), range(8, 14)
OPERATORS = frozenset(
    [
        *("Add", "AveragePool", "BatchNormalization", "Cast", "Clip", "Concat", "Constant"),
        *("ConstantOfShape", "Conv", "Div", "Einsum", "Equal", "Erf", "Exp", "Expand", "Flatten"),
        *("Gather", "GatherND", "Gelu", "Gemm", "GlobalAveragePool", "HardSigmoid", "HardSwish"),
        *("Identity", "LayerNormalization", "Log", "MatMul", "MaxPool", "Mul", "Not", "Pad"),
        *("ReduceL2", "ReduceMean", "Relu", "Reshape", "ScatterND", "Sigmoid", "Slice"),
        *("Softmax", "Split", "Squeeze", "Sub", "Tanh", "Transpose", "Unsqueeze", "Where"),
        # Of timm's families beside:
        *("Abs", "Cos", "DepthToSpace", "Elu", "GlobalMaxPool", "InstanceNormalization"),
        *("LeakyRelu", "Max", "Min", "Neg", "PRelu", "Pow", "Reciprocal", "ReduceMax"),
        *("ReduceSum", "Resize", "Sin", "Softplus", "SpaceToDepth", "Sqrt", "Tile"),
    ]
)
_STORED_AS = {"F32": "FLOAT", "F16": "FLOAT16", "I64": "INT64", "I32": "INT32"}
_STORED_AS |= {"U8": "UINT8", "BOOL": "BOOL"}


@dataclass(frozen=True)
class GraphInterface:
    """The required input and output of a graph.

    Attributes:
        input_shape: of one tile, (1, C, S, S).
        dimensions: D; the output has shape (1, D).
        weights: the safetensors file of its weights.
    """

    input_shape: Shape
    dimensions: int
    weights: Path


def check_graph(serialised: bytes, interface: GraphInterface) -> Any:
    """Parse an ONNX model and check that it may be run.

    Args:
        serialised: the model, as in its file.
        interface: its required input and output.

    Returns:
        An `onnx.ModelProto` without shapes except those of its input and output.

    Raises:
        ValueError: it is not allowed, or needs more memory or work than a network does.
    """
    import onnx
    from google.protobuf.message import DecodeError

    if len(serialised) > MAX_BYTES:
        raise ValueError(f"it is larger than {MAX_BYTES >> 20} MiB")
    try:
        model = onnx.load_model_from_string(serialised)
    except DecodeError as error:
        raise ValueError("it is not an ONNX model") from error
    _check_outside(model)
    for node in model.graph.node:
        _check_node(node)
    _check_weights(model, interface.weights)
    _check_ends(model.graph, interface)
    del model.graph.value_info[:]  # claims of the file, not trusted
    try:
        inferred = onnx.shape_inference.infer_shapes(
            model, check_type=True, strict_mode=True, data_prop=True
        )
    except (onnx.shape_inference.InferenceError, RuntimeError) as error:
        raise ValueError(first_line(error)) from error
    try:
        check_work(inferred.graph, _shapes(inferred.graph), _allowed(model.graph, interface))
    except (IndexError, TypeError) as error:  # for operators without their arguments
        raise ValueError(f"an operator lacks an argument ({error})") from error
    return model


def weights_in_their_file(graph: Any) -> list[Any]:
    """The weights of a graph that are stored outside it."""
    import onnx

    outside = onnx.TensorProto.EXTERNAL
    return [tensor for tensor in graph.initializer if tensor.data_location == outside]


def _allowed(graph: Any, interface: GraphInterface) -> Work:
    weights = sum(prod(tensor.dims) for tensor in weights_in_their_file(graph))
    return Work.allowed(interface.input_shape, weights)


def _check_outside(model: Any) -> None:
    """Raise `ValueError` for parts that an exported network never has."""
    graph = model.graph
    if model.functions or model.training_info or graph.sparse_initializer:
        raise ValueError("it holds functions, training or sparse tensors")
    if model.ir_version not in _IR_VERSIONS:
        raise ValueError(f"ONNX IR version {model.ir_version} is unknown")
    versions = [(entry.domain, entry.version) for entry in model.opset_import]
    if len(versions) != 1 or versions[0][0] not in ("", "ai.onnx") or versions[0][1] not in _OPSETS:
        raise ValueError("it needs operators other than those of ONNX")
    if len(graph.node) > _MAX_NODES or len(graph.initializer) > _MAX_NODES:
        raise ValueError(f"it has more than {_MAX_NODES} operators or weights")


def _check_node(node: Any) -> None:
    """Raise `ValueError` for an operator or an argument that is not allowed."""
    import onnx

    if node.op_type not in OPERATORS or node.domain not in ("", "ai.onnx"):
        raise ValueError(f"operator {node.op_type[:_MAX_TEXT]} is not allowed")
    for attribute in node.attribute:
        kind, plain = attribute.type, onnx.AttributeProto
        if attribute.ref_attr_name or kind not in (
            *(plain.INT, plain.INTS, plain.FLOAT, plain.FLOATS, plain.STRING, plain.TENSOR),
        ):
            raise ValueError(f"{node.op_type} has an argument that is not allowed")
        if max(len(attribute.ints), len(attribute.floats)) > _MAX_NUMBERS:
            raise ValueError("a list in it is too long")
        if len(attribute.s) > _MAX_TEXT:
            raise ValueError("a text in it is too long")
        if kind == plain.TENSOR and attribute.t.data_location == onnx.TensorProto.EXTERNAL:
            raise ValueError("a constant is stored in a file")


def _check_weights(model: Any, weights: Path) -> None:
    """Raise `ValueError` for weights at other places than the weights' file has them."""
    stored = stored_tensors(weights)
    for tensor in weights_in_their_file(model.graph):
        found = {entry.key: entry.value for entry in tensor.external_data}
        if found != _place_of(stored.get(tensor.name), weights) or not _is_like(
            tensor, stored[tensor.name]
        ):
            raise ValueError(
                f"weight {tensor.name[:_MAX_TEXT]} is not in {weights.name} where the graph says"
            )


def _place_of(tensor: StoredTensor | None, weights: Path) -> dict[str, str] | None:
    if tensor is None:
        return None
    return {
        "location": weights.name,
        "offset": str(tensor.offset),
        "length": str(tensor.length),
    }


def _is_like(tensor: Any, stored: StoredTensor) -> bool:
    import onnx

    dtype = onnx.TensorProto.DataType.Name(tensor.data_type)
    return tuple(tensor.dims) == stored.shape and dtype == _STORED_AS.get(stored.dtype)


def _check_ends(graph: Any, interface: GraphInterface) -> None:
    """Raise `ValueError` unless the input is a tile and the output an embedding."""
    import onnx

    weights = {tensor.name for tensor in graph.initializer}
    takes = [value for value in graph.input if value.name not in weights]
    for values, name, wanted in (
        (takes, INPUT, interface.input_shape),
        (graph.output, OUTPUT, (1, interface.dimensions)),
    ):
        if len(values) != 1 or values[0].name != name:
            raise ValueError(f"it does not have exactly one {name}")
        kind = values[0].type.tensor_type
        if _shape(kind) != wanted or kind.elem_type != onnx.TensorProto.FLOAT:
            raise ValueError(f"its {name} has shape {_shape(kind)}, expected {wanted}")


def _shape(kind: Any) -> Shape | None:
    """The shape of a tensor type; None unless all sides are known."""
    if not kind.HasField("shape"):
        return None
    sides = kind.shape.dim
    if not all(side.HasField("dim_value") and side.dim_value >= 0 for side in sides):
        return None
    return tuple(side.dim_value for side in sides)


def _shapes(graph: Any) -> Mapping[str, Shape]:
    """All known shapes of a graph's tensors, by name."""
    known = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    return known | dict(_inferred(graph))


def _inferred(graph: Any) -> Iterator[tuple[str, Shape]]:
    for value in (*graph.input, *graph.value_info, *graph.output):
        shape = _shape(value.type.tensor_type)
        if shape is not None:
            yield value.name, shape
