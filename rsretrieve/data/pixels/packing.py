"""Scale and offset of bands: stored value · scale + offset = physical value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsretrieve.data.pixels.extreme import EXTREME
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

    def __str__(self) -> str:
        """For messages: of all bands if they are alike, else of the first."""
        which = "" if len({*zip(self.scales, self.offsets)}) == 1 else " in band 1"
        return f"{self.scales[0]:g} and {self.offsets[0]:g}{which}"

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

        Raises:
            InvalidArgument: a value is beyond ±1e30.
        """
        along = -1, *(1 for _ in values.shape[1:])
        stored = values if valid is None else np.where(valid, values, 0)
        with np.errstate(over="ignore", invalid="ignore"):
            scales = np.reshape(self.scales, along) / np.reshape(wanted.scales, along)
            shifts = np.subtract(self.offsets, wanted.offsets) / wanted.scales
            converted = stored.astype(np.float64) * scales + shifts.reshape(along)
        if not (np.abs(converted) < EXTREME).all():
            raise InvalidArgument("the scale or the offset gives values beyond ±1e30")
        if values.dtype.kind == "f":
            return np.asarray(converted, values.dtype)
        limits = np.iinfo(values.dtype)
        return np.asarray(np.clip(np.rint(converted), limits.min, limits.max), values.dtype)
