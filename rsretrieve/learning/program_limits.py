"""What a backbone's program may take: checked before each operation runs.

A program comes with a model, and a model may come from a stranger. Its operations are
arithmetic, but a list of 100 bytes can ask for more memory or time than there is. So the first
run with a shape of input is watched: of every operation the size of its result and its work are
computed from the shapes of its arguments, before it runs. Shapes decide shapes, as no operation
may pick rows by values: what was watched once need not be watched again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import zip_longest
from math import isfinite, prod
from typing import Any

import torch
from torch import Tensor

MOST_BYTES, MOST_NODES = 16 << 20, 20_000  # of the file, and in it: MaxViT has 1,600
_MOST_ITEMS, _MOST_TEXT, _DEEPEST, _MOST_COUNT = 4096, 200, 6, 1 << 40
_MOST_CONSTANT = 1 << 63  # a slice without an end has one as large
NUMBER_TYPES = frozenset(
    [torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.uint8]
) | {torch.bool}

Given = Mapping[str, Any]
Cost = tuple[float, float]
"""Numbers that an operation writes, what it needs on the way included; and products."""


def check_constants(value: Any, depth: int = 0) -> None:
    """Raise `ValueError` for arguments that no network has.

    Args:
        value: a node, or part of one.
        depth: how deep in it.
    """
    if isinstance(value, int) and abs(value) > _MOST_CONSTANT:
        raise ValueError("a number in it is too large")
    if isinstance(value, float) and not isfinite(value):
        raise ValueError("a number in it is not finite")
    if isinstance(value, str) and len(value) > _MOST_TEXT:
        raise ValueError("a text in it is too long")
    if isinstance(value, (list, dict)):
        if len(value) > _MOST_ITEMS or depth > _DEEPEST:
            raise ValueError("a list in it is too long, or nested too deep")
        for item in value.values() if isinstance(value, dict) else value:
            check_constants(item, depth + 1)


def of_whole_numbers(function: Callable[..., Any]) -> Callable[..., Any]:
    """An operation of Python's on whole numbers, and on nothing else."""

    def checked(one: Any, other: Any) -> int:
        if type(one) is not int or type(other) is not int:
            raise TypeError("sizes are computed of whole numbers")
        result = int(function(one, other))
        if abs(result) > _MOST_COUNT:
            raise ValueError("a size is too large")
        return result

    return checked


def item_of(several: Any, place: Any) -> Any:
    """One of the parts that an operation gave."""
    if not isinstance(several, (list, tuple)) or type(place) is not int:
        raise TypeError("only one of several results is taken")
    return several[place]


@dataclass
class Work:
    """What a run took, and what it may take.

    Attributes:
        result, live, written, products: numbers in one result, in all that are held at once,
            in all together; and multiplications.
    """

    result: float = 0
    live: float = 0
    written: float = 0
    products: float = 0

    @classmethod
    def allowed(cls, tiles: int, values: int) -> Work:
        """What a run of some tiles, each of so many values, may take at most.

        Several times what the largest networks of torchvision take, at any size of tile.
        """
        result = (1 << 24) + 128 * values
        written, products = (1 << 27) + (1 << 13) * values, 10**10 + 5 * 10**6 * values
        return cls(result, 4 * result, written, products).times(tiles)

    def times(self, tiles: int) -> Work:
        """What this many tiles may take, where one takes this."""
        return Work(*(tiles * value for value in vars(self).values()))

    def no_more_than(self, other: Work) -> Work:
        """The lesser of each."""
        return Work(*map(min, vars(self).values(), vars(other).values()))


@dataclass
class Watch:
    """Watches one run of a program.

    Attributes:
        most: what it may take.
        took: what it took so far.
    """

    most: Work
    took: Work = field(default_factory=Work)
    _held: dict[int, int] = field(default_factory=dict)

    def before(self, name: str, function: Any, values: Sequence[Any], named: Given) -> None:
        """Raise `ValueError` for an operation that takes too much, or that is none."""
        if not hasattr(function, "_schema"):
            return
        given = {**dict(_parameters(function)), **dict(zip(_names(function), values)), **named}
        written, products = _COSTS.get(name, _of_elements)(given)
        self.took.written += written
        self.took.products += products
        self.took.result = max(self.took.result, written)
        self.took.live = max(self.took.live, sum(self._held.values()) + written)
        self._check()

    def after(self, number: int, result: Any, done: Sequence[int]) -> None:
        """Note what a result takes, and that others are not needed any more."""
        parts = result if isinstance(result, (list, tuple)) else [result]
        if any(isinstance(part, Tensor) and part.dtype not in NUMBER_TYPES for part in parts):
            raise ValueError("a result is of a type that no network has")
        self._held[number] = sum(part.numel() for part in parts if isinstance(part, Tensor))
        self.took.result = max(self.took.result, self._held[number])
        self.took.live = max(self.took.live, sum(self._held.values()))
        for used in done:
            self._held.pop(used, None)
        self._check()

    def _check(self) -> None:
        for name, took in vars(self.took).items():
            if took > getattr(self.most, name):
                raise ValueError(f"it needs more memory or time than a network does ({name})")


@lru_cache(maxsize=256)
def _parameters(function: Any) -> tuple[tuple[str, Any], ...]:
    return tuple((entry.name, entry.default_value) for entry in function._schema.arguments)


@lru_cache(maxsize=256)
def _names(function: Any) -> tuple[str, ...]:
    return tuple(name for name, _ in _parameters(function))


def _shape(value: Any) -> tuple[int, ...]:
    return tuple(value.shape) if isinstance(value, Tensor) else ()


def _broadcast(*shapes: tuple[int, ...]) -> int:
    """How many numbers there are in what arguments of these shapes become together."""
    return prod(map(max, zip_longest(*map(reversed, shapes), fillvalue=1)))


def _of_elements(given: Given) -> Cost:
    """Of operations element by element, and of those that only look at their arguments anew."""
    tensors = [_shape(value) for value in given.values() if isinstance(value, Tensor)]
    return max(map(prod, tensors), default=0), 0


def _of_pairs(given: Given) -> Cost:
    return _broadcast(*(_shape(value) for value in given.values())), 0


def _pair(value: Any) -> tuple[int, int]:
    values = [value] if isinstance(value, int) else list(value)
    return (values * 2)[0], (values * 2)[1]


def _slid(given: Given, kernel: Sequence[int]) -> int:
    """Over how many places a kernel slides, at most."""
    stride = given.get("stride") or kernel
    padding, dilation = _pair(given.get("padding", 0)), _pair(given.get("dilation", 1))
    places = 1
    for side, length, step, pad, gap in zip(
        _shape(given.get("input", given.get("self")))[-2:],
        kernel, _pair(stride), padding, dilation,
    ):  # fmt: skip
        places *= max(1, (side + 2 * pad - gap * (length - 1)) // max(1, step) + 2)
    return places


def _of_convolution(given: Given) -> Cost:
    pixels, weight = _shape(given["input"]), _shape(given["weight"])
    if len(pixels) != 4 or len(weight) != 4:
        raise ValueError("a convolution is of pictures")
    places = pixels[0] * _slid(given, weight[2:])
    patches = places * pixels[1] * prod(weight[2:])
    return max(places * weight[0], patches / 8), places * prod(weight)


def _of_pooling(given: Given) -> Cost:
    pixels, kernel = _shape(given["self"]), _pair(given["kernel_size"])
    places = prod(pixels[:-2]) * _slid(given, kernel)
    return places, places * prod(kernel)


def _of_adaptive_pooling(given: Given) -> Cost:
    pixels = _shape(given["self"])
    written = prod(pixels[:-2]) * prod(_pair(given["output_size"]))
    return written, 4 * (written + prod(pixels))


def _of_linear(given: Given) -> Cost:
    rows, weight = prod(_shape(given["input"])[:-1]), _shape(given["weight"])
    return rows * prod(weight[:1]), rows * prod(weight)


def _of_matmul(given: Given) -> Cost:
    one, other = ((1, 1, *_shape(given[name])) for name in ("self", "other"))
    batches = _broadcast(one[:-2], other[:-2])
    m, k, n = one[-2], one[-1], other[-1]
    return batches * (m * n + m * k + k * n), batches * m * k * n


def _of_einsum(given: Given) -> Cost:
    inputs, _, output = given["equation"].replace(" ", "").partition("->")
    letters = inputs.split(",")
    if len(letters) > 2 or len(letters) != len(given["tensors"]) or not output.isalpha():
        raise ValueError("a sum of products is of two")
    sides: dict[str, int] = {}
    for names, tensor in zip(letters, given["tensors"]):
        for letter, side in zip(names, tensor.shape, strict=True):
            sides[letter] = max(side, sides.get(letter, 1))
    return prod(sides[letter] for letter in output), prod(sides.values())


def _of_attention(given: Given) -> Cost:
    query, key, value = (_shape(given[name]) for name in ("query", "key", "value"))
    mask = _shape(given["attn_mask"])
    batches = _broadcast(query[:-2], key[:-2], value[:-2], mask[:-2])
    places = batches * query[-2] * key[-2]
    inputs = batches * (query[-2] * query[-1] + key[-2] * (key[-1] + value[-1]))
    return places + inputs, places * (query[-1] + value[-1])


def _of_sizes(given: Given) -> Cost:
    own, wanted = reversed(_shape(given["self"])), reversed(given["size"])
    sides = zip_longest(own, wanted, fillvalue=1)
    return prod(max(1, old if new == -1 else new) for old, new in sides), 0


def _of_padding(given: Given) -> Cost:
    sides, pads = list(reversed(_shape(given["self"]))), given["pad"]
    for place, around in enumerate(zip(pads[::2], pads[1::2])):
        sides[place] += sum(map(abs, around))
    return prod(sides), 0


def _of_joining(given: Given) -> Cost:
    return sum(prod(_shape(part)) for part in given["tensors"]), 0


def _of_indexing(given: Given) -> Cost:
    own, places = _shape(given["self"]), [place for place in given["indices"] if place is not None]
    if not all(isinstance(place, Tensor) and place.dtype == torch.int64 for place in places):
        raise ValueError("rows are picked by their numbers only")
    kept = [side for side, place in zip_longest(own, given["indices"]) if place is None]
    return _broadcast(*map(_shape, places)) * prod(map(int, kept)), 0


_COSTS: dict[str, Callable[[Given], Cost]] = {
    "conv2d.default": _of_convolution,
    "avg_pool2d.default": _of_pooling,
    "max_pool2d.default": _of_pooling,
    "adaptive_avg_pool2d.default": _of_adaptive_pooling,
    "linear.default": _of_linear,
    "matmul.default": _of_matmul,
    "einsum.default": _of_einsum,
    "scaled_dot_product_attention.default": _of_attention,
    "expand.default": _of_sizes,
    "new_zeros.default": _of_sizes,
    "expand_as.default": _of_pairs,
    "pad.default": _of_padding,
    "cat.default": _of_joining,
    "index.Tensor": _of_indexing,
    **dict.fromkeys(
        ["add.Tensor", "add_.Tensor", "sub.Tensor", "mul.Tensor", "div.Tensor"], _of_pairs
    ),
    "masked_fill.Scalar": _of_pairs,
}
