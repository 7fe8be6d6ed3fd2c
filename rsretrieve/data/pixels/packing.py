"""Scale and offset of bands: stored value · scale + offset = physical value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsretrieve.errors import InvalidArgument


@dataclass(frozen=True)
class Packing:
    """Scale and offset of each of C bands, where a file declares any.

    Attributes:
        scales, offsets: (C,) physical value = stored value · scale + offset.
    """

    scales: tuple[float, ...]
    offsets: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.scales) != len(self.offsets):
            raise InvalidArgument("scales and offsets must be of one length")
        if not np.isfinite([*self.scales, *self.offsets]).all() or 0 in self.scales:
            raise InvalidArgument("scales and offsets must be finite, and no scale 0")

    @classmethod
    def declared(cls, scales: Sequence[float], offsets: Sequence[float]) -> Packing | None:
        """The packing that a file declares; None for scale 1 and offset 0, or nonsense."""
        if all(scale == 1 for scale in scales) and not any(offsets):
            return None
        try:
            return cls(tuple(map(float, scales)), tuple(map(float, offsets)))
        except InvalidArgument:
            return None

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Packing:
        """The inverse of `to_json`."""
        return cls(tuple(map(float, content["scales"])), tuple(map(float, content["offsets"])))

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {name: list(values) for name, values in asdict(self).items()}

    def convert(
        self, values: NDArray[Any], wanted: Packing, valid: NDArray[np.bool_] | None
    ) -> NDArray[Any]:
        """Values of this packing as values of another packing, of the same type.

        Integers are rounded, and clipped to the range of their type.

        Args:
            values: (C, …), stored.
            wanted: the other packing.
            valid: the same shape, or None where all are; the other values are undefined.
        """
        along = -1, *(1 for _ in values.shape[1:])
        scales = np.reshape(self.scales, along) / np.reshape(wanted.scales, along)
        shifts = np.subtract(self.offsets, wanted.offsets) / wanted.scales
        stored = values if valid is None else np.where(valid, values, 0)
        converted = stored.astype(np.float64) * scales + shifts.reshape(along)
        if values.dtype.kind == "f":
            return np.asarray(converted, values.dtype)
        limits = np.iinfo(values.dtype)
        return np.asarray(np.clip(np.rint(converted), limits.min, limits.max), values.dtype)
