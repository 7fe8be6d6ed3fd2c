"""Memory and work that a graph needs, from the shapes of its operators' inputs and outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

Shape = tuple[int, ...]


@dataclass
class Work:
    """The memory and work that running a graph needs, or may need at most.

    Attributes:
        result: numbers in the largest result.
        live: numbers in all results that are held at the same time.
        written: numbers in all results together.
        products: multiplications.
    """

    result: float = 0
    live: float = 0
    written: float = 0
    products: float = 0

    @classmethod
    def allowed(cls, input_shape: Shape, weights: int) -> Work:
        """The limits: several times what torchvision's largest networks need, at any tile size.

        Args:
            input_shape: of one tile.
            weights: numbers in all weights. They may be transposed once, which copies them.
        """
        values = prod(input_shape)
        result = (1 << 24) + 128 * values
        written, products = (1 << 27) + (1 << 13) * values, 10**10 + 5 * 10**6 * values
        return cls(result, 4 * result + weights, written + weights, products)


def check_work(graph: Any, shapes: Mapping[str, Shape], most: Work) -> Work:
    """Add up what the operators of a graph need.

    Args:
        graph: an `onnx.GraphProto`.
        shapes: shapes of its tensors, by name.
        most: the limits.

    Returns:
        What it needs.

    Raises:
        ValueError: it needs more than the limits, or a shape is unknown.
    """
    needed, held = Work(), dict[str, int]()
    last_uses = {name: place for place, node in enumerate(graph.node) for name in node.input}
    for place, node in enumerate(graph.node):
        given = [_known(name, shapes) for name in node.input]
        results = {name: _known(name, shapes) for name in node.output if name}
        written = {name: prod(shape) for name, shape in results.items()}
        temporary = _TEMPORARY.get(node.op_type, _nothing)(node, given, results)
        held |= written
        needed.result = max(needed.result, temporary, *written.values(), 0)
        needed.live = max(needed.live, sum(held.values()) + temporary)
        needed.written += sum(written.values()) + temporary
        needed.products += _PRODUCTS.get(node.op_type, _of_elements)(node, given, results)
        for name in (*node.input, *node.output):
            if last_uses.get(name, place) <= place:
                held.pop(name, None)
        _compare(needed, most)
    return needed


def _compare(needed: Work, most: Work) -> None:
    for name, value in vars(needed).items():
        if value > getattr(most, name):
            raise ValueError(f"it needs more memory or time than a network does ({name})")


def _known(name: str, shapes: Mapping[str, Shape]) -> Shape:
    if name and name not in shapes:  # an omitted input has an empty name
        raise ValueError(f"the shape of {name[:200]} does not follow from that of a tile")
    return shapes.get(name, ())


Given = Sequence[Shape]
Results = Mapping[str, Shape]
Cost = Callable[[Any, Given, Results], float]


def _numbers(results: Results) -> int:
    return sum(map(prod, results.values()))


def _nothing(node: Any, given: Given, results: Results) -> float:
    return 0


def _of_elements(node: Any, given: Given, results: Results) -> float:
    return max(_numbers(results), *map(prod, given), 0)


def _of_convolution(node: Any, given: Given, results: Results) -> float:
    return _numbers(results) * prod(given[1][1:])


def _patches(node: Any, given: Given, results: Results) -> float:
    """A convolution may copy the input patch of each output, for a part of them at a time."""
    places = sum(prod(shape[2:]) for shape in results.values())
    return places * given[0][1] * prod(given[1][2:]) / 8


def _of_pooling(node: Any, given: Given, results: Results) -> float:
    kernel = [attribute.ints for attribute in node.attribute if attribute.name == "kernel_shape"]
    return _numbers(results) * prod(kernel[0] if kernel else ())


def _of_gemm(node: Any, given: Given, results: Results) -> float:
    return _numbers(results) * prod(given[0]) / max(1, min(given[0]))


def _of_matmul(node: Any, given: Given, results: Results) -> float:
    return _numbers(results) * given[0][-1]


def _of_resize(node: Any, given: Given, results: Results) -> float:
    """Each result is a mean of at most 4 × 4 values; of more, if it shrinks the image."""
    return 16 * (_numbers(results) + prod(given[0]))


def _of_einsum(node: Any, given: Given, results: Results) -> float:
    [equation] = [attribute.s.decode("ascii") for attribute in node.attribute]
    inputs, _, output = equation.replace(" ", "").partition("->")
    letters = inputs.split(",")
    if len(letters) > 2 or len(letters) != len(given) or not output.isalpha():
        raise ValueError("an Einsum must have two inputs")
    sides: dict[str, int] = {}
    for names, shape in zip(letters, given):
        for letter, side in zip(names, shape, strict=True):
            sides[letter] = max(side, sides.get(letter, 1))
    return prod(sides.values())


_PRODUCTS: dict[str, Cost] = {
    "Conv": _of_convolution,
    "AveragePool": _of_pooling,
    "MaxPool": _of_pooling,
    "Gemm": _of_gemm,
    "MatMul": _of_matmul,
    "Einsum": _of_einsum,
    "Resize": _of_resize,
}
_TEMPORARY: dict[str, Cost] = {"Conv": _patches}
"""Numbers that an operator may hold besides its results."""
