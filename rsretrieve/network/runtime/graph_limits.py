"""What a graph takes in memory and in work, by the shapes of what its operators take and give."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

Shape = tuple[int, ...]


@dataclass
class Work:
    """What running a graph takes, or may take.

    Attributes:
        result, live, written, products: numbers in one result, in all that are held at once,
            in all together; and multiplications.
    """

    result: float = 0
    live: float = 0
    written: float = 0
    products: float = 0

    @classmethod
    def allowed(cls, input_shape: Shape, weights: int) -> Work:
        """What a run with input of this shape, and with so many weights, may take at most.

        Several times what the largest networks of torchvision take, at any size of tile. Weights
        may be transposed once, which takes as much as they do.
        """
        values = prod(input_shape)
        result = (1 << 24) + 128 * values
        written, products = (1 << 27) + (1 << 13) * values, 10**10 + 5 * 10**6 * values
        return cls(result, 4 * result + weights, written + weights, products)


def check_work(graph: Any, shapes: Mapping[str, Shape], most: Work) -> Work:
    """Add up what the operators of a graph take.

    Args:
        graph: an `onnx.GraphProto`.
        shapes: of its tensors, by name.
        most: what it may take.

    Returns:
        What it takes.

    Raises:
        ValueError: it takes more, or a shape that it hangs on is not known.
    """
    took, held = Work(), dict[str, int]()
    last_uses = {name: place for place, node in enumerate(graph.node) for name in node.input}
    for place, node in enumerate(graph.node):
        given = [_known(name, shapes) for name in node.input]
        results = {name: _known(name, shapes) for name in node.output if name}
        written = {name: prod(shape) for name, shape in results.items()}
        on_the_way = _ON_THE_WAY.get(node.op_type, _nothing)(node, given, results)
        held |= written
        took.result = max(took.result, on_the_way, *written.values(), 0)
        took.live = max(took.live, sum(held.values()) + on_the_way)
        took.written += sum(written.values()) + on_the_way
        took.products += _PRODUCTS.get(node.op_type, _of_elements)(node, given, results)
        for name in (*node.input, *node.output):
            if last_uses.get(name, place) <= place:
                held.pop(name, None)
        _compare(took, most)
    return took


def _compare(took: Work, most: Work) -> None:
    for name, value in vars(took).items():
        if value > getattr(most, name):
            raise ValueError(f"it needs more memory or time than a network does ({name})")


def _known(name: str, shapes: Mapping[str, Shape]) -> Shape:
    if name and name not in shapes:  # an input that is left out has an empty name
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
    """A convolution may copy what each kernel sees, a part of the results at a time."""
    places = sum(prod(shape[2:]) for shape in results.values())
    return places * given[0][1] * prod(given[1][2:]) / 8


def _of_pooling(node: Any, given: Given, results: Results) -> float:
    kernel = [attribute.ints for attribute in node.attribute if attribute.name == "kernel_shape"]
    return _numbers(results) * prod(kernel[0] if kernel else ())


def _of_gemm(node: Any, given: Given, results: Results) -> float:
    return _numbers(results) * prod(given[0]) / max(1, min(given[0]))


def _of_matmul(node: Any, given: Given, results: Results) -> float:
    return _numbers(results) * given[0][-1]


def _of_einsum(node: Any, given: Given, results: Results) -> float:
    [equation] = [attribute.s.decode("ascii") for attribute in node.attribute]
    inputs, _, output = equation.replace(" ", "").partition("->")
    letters = inputs.split(",")
    if len(letters) > 2 or len(letters) != len(given) or not output.isalpha():
        raise ValueError("a sum of products is of two")
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
}
_ON_THE_WAY: dict[str, Cost] = {"Conv": _patches}
"""Numbers that an operator may need besides its results."""
