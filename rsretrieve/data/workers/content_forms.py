"""The form that the content of a tile must have: the worker that sends it is not trusted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Fits = Callable[[Any], bool]
"""Whether the content of a tile has the form that was asked for."""


def anything(_: Any) -> bool:
    """For contents of which only their number matters."""
    return True


@dataclass(frozen=True)
class ArrayForm:
    """An array of a type and a shape.

    Attributes:
        dtype: its type.
        shape: its shape; None: any number but 0.
        finite: it holds no NaN and no infinity.
    """

    dtype: str
    shape: tuple[int | None, ...]
    finite: bool = False

    def __call__(self, content: Any) -> bool:
        """Whether something is such an array."""
        if not isinstance(content, np.ndarray) or content.dtype != np.dtype(self.dtype):
            return False
        if len(content.shape) != len(self.shape):
            return False
        pairs = zip(content.shape, self.shape)
        if not all(found == wanted or (wanted is None and found > 0) for found, wanted in pairs):
            return False
        return not self.finite or content.dtype.kind != "f" or bool(np.isfinite(content).all())


@dataclass(frozen=True)
class TupleForm:
    """A tuple; for each of its values a type, a union of types, or another form."""

    parts: tuple[Any, ...]

    def __call__(self, content: Any) -> bool:
        """Whether something is such a tuple."""
        if not isinstance(content, tuple) or len(content) != len(self.parts):
            return False
        return all(
            part(value) if isinstance(part, ArrayForm | TupleForm) else isinstance(value, part)
            for value, part in zip(content, self.parts)
        )
