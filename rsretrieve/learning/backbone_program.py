"""A backbone as a list of tensor operations in JSON, which runs without torchvision.

To import torchvision takes longer than to import PyTorch, embed a tile and search an index
together. So a trained model keeps, beside its weights, what its backbone computes: the
operations that PyTorch's exporter records, each with its arguments. Only operations of the
list below are ever written or run, so that a model's files cannot make a program do anything
but arithmetic. A backbone that needs others is built by torchvision as before.
"""

from __future__ import annotations

import operator
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from rsretrieve.errors import ModelDamaged, ran_out_of_memory
from rsretrieve.learning.program_limits import (
    MOST_NODES,
    Watch,
    Work,
    check_constants,
    item_of,
    of_whole_numbers,
)

Program = dict[str, Any]
SCHEMA_VERSION = 1
_ATEN = frozenset(
    [
        *("adaptive_avg_pool2d.default", "add.Tensor", "add_.Tensor", "avg_pool2d.default"),
        *("batch_norm.default", "cat.default", "chunk.default", "clamp.default"),
        *("clamp_min.default", "clone.default", "contiguous.default", "conv2d.default"),
        *("div.Tensor", "dropout.default", "dropout_.default", "einsum.default", "eq.Scalar"),
        *("exp.default", "expand.default", "expand_as.default", "fill_.Scalar"),
        *("flatten.using_ints", "gelu.default", "hardsigmoid.default", "hardswish_.default"),
        *("hardtanh_.default", "index.Tensor", "layer_norm.default", "linalg_vector_norm.default"),
        *("linear.default", "masked_fill.Scalar", "matmul.default", "max_pool2d.default"),
        *("mean.dim", "mul.Tensor", "ne.Scalar", "new_zeros.default", "pad.default"),
        *("permute.default", "relu.default", "relu_.default", "reshape.default", "roll.default"),
        *("scaled_dot_product_attention.default", "select.int", "sigmoid.default", "silu.default"),
        *("silu_.default", "slice.Tensor", "softmax.int", "squeeze.dim", "sub.Tensor"),
        *("swapaxes.default", "sym_size.int", "tanh.default", "transpose.int", "unflatten.int"),
        *("unsqueeze.default", "view.default", "zero_.default"),
    ]
)
_RECORDED = {operator.getitem: "getitem", operator.mul: "mul", operator.add: "add"} | {
    operator.floordiv: "floordiv"
}
_VIEWS = ("aten.view.default", "aten.expand.default")
_PLAIN: dict[str, Callable[..., Any]] = {
    name: item_of if name == "getitem" else of_whole_numbers(function)
    for function, name in _RECORDED.items()
}
OF_A_BAD_PROGRAM = (
    *(ModelDamaged, ArithmeticError, AttributeError, LookupError),
    *(RuntimeError, TypeError, ValueError),
)
"""What a program that is none raises when it is run."""
NODE, TENSOR = "node", "tensor"
"""How arguments name a result, by its number (0: the input), and a weight."""


@dataclass(frozen=True)
class Recording:
    """The result of recording a backbone.

    Attributes:
        program: what the backbone computes, or None where it cannot be recorded.
        cause: why there is no program; empty where there is one.
    """

    program: Program | None
    cause: str = ""

    @classmethod
    def failed(cls, error: Exception) -> Recording:
        """The recording that ended with this error."""
        said = str(error).strip().split("\n")[0][:200]
        return cls(None, f"{type(error).__name__}: {said}" if said else type(error).__name__)


def export_program(backbone: nn.Module, bands: int, size_px: int) -> Recording:
    """Record what a backbone computes of tiles (B, bands, size_px, size_px), B free.

    Args:
        backbone: in any mode; what it does in evaluation is recorded.
        bands: C of the input.
        size_px: S of the input.

    Returns:
        The program, or the cause where it cannot be recorded or needs other operations.
    """
    was_training = backbone.training
    device = next(backbone.parameters()).device
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the exporter, about itself
            exported = torch.export.export(
                backbone.eval(),
                (torch.zeros(2, bands, size_px, size_px, device=device),),
                dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
                strict=False,
            )
        return Recording(_as_program(exported))
    except Exception as error:  # the exporter raises what it likes; without a program it is slower
        return Recording.failed(error)
    finally:
        backbone.train(was_training)


def _as_program(exported: Any) -> Program:
    """The graph as plain values.

    Raises:
        ValueError: it holds what a program cannot.
    """
    signature = exported.graph_signature
    tensors = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
    if signature.lifted_tensor_constants or signature.non_persistent_buffers:
        raise ValueError("it needs tensors that are not among the weights")
    names: dict[Any, dict[str, Any]] = {}
    numbers: dict[Any, Any] = {}  # tensors that are one number, whatever their shape
    nodes: list[dict[str, Any]] = []
    for node in exported.graph.nodes:
        if node.op == "placeholder":
            known = tensors.get(node.name)
            names[node] = {NODE: 0} if known is None else {TENSOR: known}
        elif node.op == "call_function" and not _is_number(node, numbers):
            names[node] = {NODE: len(nodes) + 1}
            nodes.append(_as_operation(node, names, numbers))
        elif node.op == "output":
            [output] = node.args[0]
            return {"schema_version": SCHEMA_VERSION, "nodes": nodes, "output": names[output]}
    raise ValueError("it has no output")


def _is_number(node: Any, numbers: dict[Any, Any]) -> bool:
    """Whether a node gives a tensor of one number, which is then kept in `numbers`."""
    target = str(node.target)
    if target == "aten.scalar_tensor.default":
        numbers[node] = node.args[0]
    elif target in _VIEWS and node.args[0] in numbers:
        numbers[node] = numbers[node.args[0]]
    return node in numbers


def _as_operation(
    node: Any, names: Mapping[Any, dict[str, Any]], numbers: Mapping[Any, Any]
) -> dict[str, Any]:
    """A node as plain values."""
    name, given = str(node.target), node.args
    if name == "aten.copy_.default" and given[1] in numbers:
        # Since PyTorch 2.14 `mask[a:b] = 3` is recorded as a copy of a tensor, with the type and
        # the device that it was recorded on; a fill has neither.
        arguments = [_encoded(given[0], names), numbers[given[1]]]
        return {"op": "fill_.Scalar", "args": arguments, "kwargs": {}}
    arguments = [_encoded(value, names) for value in given]
    keywords = {key: _encoded(value, names) for key, value in node.kwargs.items()}
    return {"op": _name_of(node.target), "args": arguments, "kwargs": keywords}


def _name_of(target: Any) -> str:
    name = str(target).removeprefix("aten.")
    if name in _ATEN and name != "view.default":
        return name
    if name == "view.default":
        # A view is recorded of tensors in the default order; those of a network in another
        # order must be copied where they cannot be viewed.
        return "reshape.default"
    if target in _RECORDED:
        return _RECORDED[target]
    raise ValueError(f"operation {name} is not among those that a model may hold")


def _encoded(value: Any, names: Mapping[Any, dict[str, Any]]) -> Any:
    if isinstance(value, torch.fx.Node):
        if value not in names:
            raise ValueError(f"{value} is a tensor that no operation of the list gives")
        return names[value]
    if isinstance(value, (list, tuple)):
        return [_encoded(item, names) for item in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise ValueError(f"{value!r} has no plain form")


class ProgramBackbone(nn.Module):
    """A backbone that runs a program. Its tensors have the names they had in torchvision's.

    The first run with a shape of input is watched; see `program_limits`.

    Attributes:
        of_one: what the program takes for one tile, by the shape of a tile: n tiles may take no
            more than n times as much.

    Args:
        program: what `export_program` gave.
        tensors: the weights, by name.

    Raises:
        ModelDamaged: this is no such program, or a tensor of it is not there.
    """

    def __init__(self, program: Program, tensors: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.program = program
        self._names = {name: _hold(self, name, tensor) for name, tensor in tensors.items()}
        self.of_one: dict[tuple[int, ...], Work] = {}
        self._watched: set[tuple[int, ...]] = set()
        try:
            if len(program["nodes"]) > MOST_NODES:
                raise ValueError(f"it has more than {MOST_NODES} operations")
            for node in program["nodes"]:
                check_constants(node)
            self._steps = [_step(node) for node in program["nodes"]]
            self._output = int(program["output"][NODE])
            needed = {n for step in self._steps for n in mentioned(list(step[2:]), TENSOR)}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ModelDamaged(f"a backbone's program cannot be run ({error!r})") from error
        if missing := needed - set(tensors):
            raise ModelDamaged(f"a backbone's program needs {min(missing)}, which is not there")
        self._last_use = _last_uses(self._steps, self._output)

    def forward(self, pixels: Tensor) -> Any:
        """Normalised pixels (B, C, S, S) → features.

        Raises:
            ModelDamaged: the program cannot be run, or takes more than a network does.
        """
        shape = tuple(pixels.shape)
        if shape in self._watched:
            return self._run(pixels, None)
        watch = Watch(self._allowed(shape))
        try:
            features = self._run(pixels, watch)
            if len(features) != len(pixels):
                raise ValueError(f"{len(pixels)} tiles become {len(features)} rows")
        except OF_A_BAD_PROGRAM as error:
            if ran_out_of_memory(error):
                raise
            reason = str(error).split("\n")[0]
            raise ModelDamaged(f"a backbone's program cannot be run ({reason})") from error
        if len(pixels) == 1:
            self.of_one[shape[1:]] = watch.took
        self._watched.add(shape)
        return features

    def _allowed(self, shape: tuple[int, ...]) -> Work:
        """What a run with input of this shape may take."""
        count, tile = shape[0], shape[1:]
        most = Work.allowed(count, prod(tile))
        of_one = self.of_one.get(tile)
        return most if of_one is None else most.no_more_than(of_one.times(count))

    def _run(self, pixels: Tensor, watch: Watch | None) -> Any:
        results: dict[int, Any] = {0: pixels}
        for number, (name, function, arguments, keywords) in enumerate(self._steps, start=1):
            values = [self._decoded(value, results) for value in arguments]
            named = {key: self._decoded(value, results) for key, value in keywords.items()}
            if watch is not None:
                watch.before(name, function, values, named)
            results[number] = function(*values, **named)
            done = self._last_use.get(number, ())
            if watch is not None:
                watch.after(number, results[number], done)
            for used in done:
                del results[used]  # or every layer's output would stay to the end
        return results[self._output]

    def _decoded(self, value: Any, results: Mapping[int, Any]) -> Any:
        if isinstance(value, dict):
            if NODE in value:
                return results[value[NODE]]
            holder, leaf = self._names[value[TENSOR]]
            return getattr(holder, leaf)
        if isinstance(value, list):
            return [self._decoded(item, results) for item in value]
        return value


_Step = tuple[str, Callable[..., Any], list[Any], dict[str, Any]]


def _step(node: Mapping[str, Any]) -> _Step:
    name = node["op"]
    function: Callable[..., Any]
    if name in _PLAIN:
        function = _PLAIN[name]
    elif name in _ATEN:
        packet, overload = name.split(".")
        function = getattr(getattr(torch.ops.aten, packet), overload)
    else:
        raise ValueError(f"no such operation: {name}")
    return name, function, list(node["args"]), dict(node["kwargs"])


def _hold(module: nn.Module, name: str, tensor: Tensor) -> tuple[nn.Module, str]:
    """Keep a tensor under its dotted name, in modules made for it."""
    *folders, leaf = name.split(".")
    for folder in folders:
        if folder not in module._modules:
            module.add_module(folder, nn.Module())
        module = module.get_submodule(folder)
    module.register_buffer(leaf, tensor)
    return module, leaf


def mentioned(value: Any, kind: str) -> set[Any]:
    """The results (`NODE`), or the weights (`TENSOR`), that arguments or nodes name."""
    if isinstance(value, dict):
        if kind in value:
            return {value[kind]}
        return set().union(*(mentioned(item, kind) for item in value.values()))
    if isinstance(value, list):
        return set().union(*(mentioned(item, kind) for item in value))
    return set()


def _last_uses(steps: list[_Step], output: int) -> dict[int, list[int]]:
    """For each step the results that nothing needs after it."""
    last: dict[int, int] = {}
    for number, (_, _, arguments, keywords) in enumerate(steps, start=1):
        for used in mentioned([arguments, keywords], NODE):
            last[used] = number
    freed: dict[int, list[int]] = {}
    for result, number in last.items():
        if result != output:
            freed.setdefault(number, []).append(result)
    return freed
