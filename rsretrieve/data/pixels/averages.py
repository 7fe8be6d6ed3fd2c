"""Average pixels to a coarser grid, without the pixels that are not valid."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsretrieve.data.pixels.extreme import EXTREME

_SUSPICIOUS = EXTREME / 1e10
"""Of an average: one of up to 1e10 pixels may have been extreme."""


def is_spoilt(values: NDArray[Any], mask: NDArray[np.bool_] | None) -> bool:
    """Whether averages may have been made of NaN or extreme values, which GDAL does not skip.

    Args:
        values: the averages.
        mask: where GDAL has a measurement; None: everywhere.
    """
    if values.dtype.kind != "f":
        return False
    usual = np.abs(values) <= _SUSPICIOUS
    return not bool(usual.all() if mask is None else usual[mask].all())


def area_weights(source: int, target: int) -> NDArray[np.float64]:
    """(target, source) the share of each source pixel that lies in each target pixel."""
    edges = np.arange(target + 1) * (source / target)
    low, high = edges[:-1, None], edges[1:, None]
    pixels = np.arange(source)
    return np.asarray(np.clip(np.minimum(high, pixels + 1) - np.maximum(low, pixels), 0, 1))


class Averages:
    """Sums of valid pixels on a coarser grid, filled a strip of rows at a time.

    Args:
        source: height and width of the fine grid.
        target: height and width of the coarse grid.
    """

    def __init__(self, source: tuple[int, int], target: tuple[int, int]) -> None:
        self._rows, self._columns = (area_weights(*pair) for pair in zip(source, target))
        self._sums: Any = 0.0
        self._weights: Any = 0.0
        self._dtype: np.dtype[Any] = np.dtype(np.uint8)

    def add(self, top: int, values: NDArray[Any], valid: NDArray[np.bool_] | None) -> None:
        """Add rows from `top` on: values (C, h, W), and which of them are valid (None: all)."""
        self._dtype = values.dtype
        rows = self._rows[:, top : top + values.shape[1]]
        known = np.ones(values.shape, bool) if valid is None else valid
        stored = np.where(known, values, 0).astype(np.float64)
        self._sums = self._sums + rows @ stored @ self._columns.T
        self._weights = self._weights + rows @ known.astype(np.float64) @ self._columns.T

    def finish(self) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """The means (C, *target) in the type of the values, and where any value was valid."""
        valid = np.asarray(self._weights > 1e-9)
        means = np.divide(self._sums, self._weights, out=np.zeros_like(self._sums), where=valid)
        if self._dtype.kind != "f":
            means = np.floor(means + 0.5)  # as GDAL rounds
        return means.astype(self._dtype), valid
