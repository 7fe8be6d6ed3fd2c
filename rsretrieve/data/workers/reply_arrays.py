"""The arrays of replies: plain numbers, made here from bytes whose size is checked."""

from __future__ import annotations

from math import prod
from typing import Any

_KINDS = frozenset(
    (
        *("|b1", "|i1", "|u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "<f2", "<f4", "<f8"),
        *(">i2", ">u2", ">i4", ">u4", ">i8", ">u8", ">f2", ">f4", ">f8"),
    )
)
_MOST_DIMENSIONS = 8


def is_plain(array: Any) -> bool:
    """Whether a reply may hold an array: it has numbers of a known type."""
    return array.dtype.str in _KINDS and array.ndim <= _MOST_DIMENSIONS


def is_shared_view(array: Any) -> bool:
    """Whether an array is a view of a read-only one: overlapping windows are sent as one array."""
    base = array.base
    if type(base).__name__ != "ndarray" or array.flags.writeable or base.flags.writeable:
        return False
    alike = array.dtype == base.dtype and array.nbytes <= base.nbytes
    return bool(alike and base.flags.c_contiguous and is_plain(base) and is_plain(array))


def offset_in(array: Any, base: Any) -> int:
    """Where a view begins in its base, in bytes."""
    starts = (int(one.__array_interface__["data"][0]) for one in (array, base))
    return next(starts) - next(starts)


def array_from(memory: memoryview, start: int, kind: Any, shape: Any) -> Any:
    """A copy of an array in some memory; nothing that is shared can change it later.

    Args:
        memory: holds its bytes.
        start: where it begins.
        kind: the type of its numbers, as `numpy.dtype.str` gives it.
        shape: its shape.

    Raises:
        ValueError: the type is not a known one, or the shape does not fit the bytes.
    """
    import numpy as np

    size = _itemsize(kind) * prod(_counts(shape))
    content = memory[start : start + size]
    if size != len(content):
        raise ValueError(f"an array of {size} bytes in {len(content)}")
    array = np.empty(shape, kind)
    if size:
        array[...] = np.frombuffer(content, "|u1" if kind == "|b1" else kind).reshape(shape)
    return array  # a byte above 1 became True: such a byte would confuse NumPy


def view_of(base: Any, offset: Any, shape: Any, strides: Any) -> Any:
    """A read-only view of a received array, as the sender had it of its own.

    NumPy's own check of strides overflows: this one counts with Python's numbers.

    Raises:
        ValueError: it is not within the array, or larger than it.
    """
    import numpy as np

    steps = _whole(strides)
    if len(_counts(shape)) != len(steps) or type(offset) is not int:
        raise ValueError("a view of an invalid form")
    if prod(shape) > base.size:
        raise ValueError("a view that is larger than its array")
    if 0 not in shape:
        ends = [step * (count - 1) for step, count in zip(steps, shape)]
        low = offset + sum(min(end, 0) for end in ends)
        high = offset + sum(max(end, 0) for end in ends) + base.itemsize
        if low < 0 or high > base.nbytes:
            raise ValueError("a view that leaves its array")
        view = np.ndarray(shape, base.dtype, base, offset, steps)
    else:
        view = np.empty(shape, base.dtype)
    view.flags.writeable = False
    return view


def _itemsize(kind: Any) -> int:
    if type(kind) is not str or kind not in _KINDS:
        raise ValueError(f"an array of {str(kind)[:20]!r} is not allowed in a reply")
    return int(kind[2:])


def _counts(shape: Any) -> tuple[int, ...]:
    if any(count < 0 for count in _whole(shape)):
        raise ValueError("a negative shape")
    return tuple(shape)


def _whole(values: Any) -> tuple[int, ...]:
    """The same tuple, if it is one of a few whole numbers that fit into 63 bits."""
    if type(values) is not tuple or len(values) > _MOST_DIMENSIONS:
        raise ValueError("an array of an invalid form")
    if not all(type(value) is int and abs(value) < 1 << 62 for value in values):
        raise ValueError("an array of an invalid form")
    return values
