"""Turn embeddings that were stored as whole numbers back into vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_ALPHAEARTH_BANDS = tuple(f"A{i:02d}" for i in range(64))
_ALPHAEARTH_SCALE, _ALPHAEARTH_MASKED = 127.5, -128
ALPHAEARTH_NOTICE = (
    "the vectors are AlphaEarth's whole numbers: each is (v / 127.5)² with its sign, and -128 is "
    "masked"
)
PLAIN_NOTICE = (
    "the vectors are stored as whole numbers, and nothing says how they were quantized: they are "
    "used as they are, which is right for one scale for all dimensions and no offset"
)


@dataclass(frozen=True)
class Quantization:
    """How numbers are stored.

    Attributes:
        is_alphaearth: as in AlphaEarth's files: the square root, times 127.5.
        scale, offset: (D,) or (1,) value = stored · scale + offset; None: as stored.
        notice: what is said about it; empty for nothing.
    """

    is_alphaearth: bool = False
    scale: tuple[float, ...] | None = None
    offset: tuple[float, ...] | None = None
    notice: str = ""

    def restored(self, stored: NDArray[Any]) -> NDArray[np.float32]:
        """(…, D) float32 values; a masked vector is zero.

        Args:
            stored: (…, D) as stored; of more dimensions, the first D.
        """
        values = stored.astype(np.float32)
        if self.is_alphaearth:
            masked = (values == _ALPHAEARTH_MASKED).any(axis=-1)
            values = np.sign(values) * (values / np.float32(_ALPHAEARTH_SCALE)) ** 2
            values[masked] = 0
        for numbers, change in ((self.scale, np.multiply), (self.offset, np.add)):
            if numbers is not None:
                of_these = numbers[: values.shape[-1]]
                values = change(values, np.asarray(of_these, np.float32))
        return values


AS_STORED = Quantization()


def quantization_of(
    names: Sequence[str],
    dtype: np.dtype[Any],
    scales: Sequence[float] = (),
    offsets: Sequence[float] = (),
) -> Quantization:
    """How the numbers of columns or bands are stored.

    Args:
        names: of the columns or bands, in their order; empty for lists.
        dtype: of the numbers.
        scales: what the file declares, one a dimension.
        offsets: what the file declares, one a dimension.
    """
    if any(scale != 1 for scale in scales) or any(offset != 0 for offset in offsets):
        return Quantization(False, tuple(scales) or None, tuple(offsets) or None)
    if dtype.kind not in "iu":
        return AS_STORED
    if tuple(names) == _ALPHAEARTH_BANDS:
        return Quantization(True, notice=ALPHAEARTH_NOTICE)
    return Quantization(notice=PLAIN_NOTICE)


def is_alphaearth_in_floats(names: Sequence[str], values: NDArray[np.float32]) -> bool:
    """Whether columns of floats hold AlphaEarth's whole numbers: some tools export them so."""
    if tuple(names) != _ALPHAEARTH_BANDS:
        return False
    known = values[np.isfinite(values).all(axis=1)]
    return bool(known.size and np.abs(known).max() > 1 and (known == np.rint(known)).all())


def declared_quantization(emb: Mapping[str, Any], dimensions: int) -> Quantization:
    """The quantization that metadata of STAC's embedding extension declare; as stored if none.

    Raises:
        ValueError: it is not numbers, one for all dimensions or one each.
    """
    found = emb.get("emb:quantization")
    if not isinstance(found, Mapping):
        return AS_STORED
    parts: list[tuple[float, ...] | None] = []
    for name in ("scale", "offset"):
        told = found.get(name)
        numbers = (
            () if told is None else tuple(map(float, told if isinstance(told, list) else [told]))
        )
        if len(numbers) not in (0, 1, dimensions) or not np.isfinite(numbers).all():
            raise ValueError(f"its emb:quantization has no {name} for {dimensions} dimensions")
        parts.append(numbers or None)
    scale, offset = parts
    return Quantization(False, scale, offset)
