"""A tile as it lies in its file: the record, and the limits it must keep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsretrieve.errors import TileError
from rsretrieve.tiles.records import MAX_PIXELS, MIN_SIDE_PX, Place

_READABLE_TYPES = ("uint8", "uint16", "int16", "float32")


@dataclass(frozen=True)
class RawTile:
    """A tile as it lies in its file.

    Attributes:
        values: (C, H, W), uint8, uint16, int16 or float32; not to be written to.
        valid: (C, H, W) bool, False where there is no measurement (nodata, NaN,
            transparent); None where everything is valid.
        place: where it lies, or None without georeference.
    """

    values: NDArray[Any]
    valid: NDArray[np.bool_] | None
    place: Place | None

    @property
    def is_blank(self) -> bool:
        """Whether every value is 0; most tiles are known not to be by their first row."""
        return not (self.values[:, :1].any() or self.values.any())

    @property
    def nodata_share(self) -> float:
        """The share of values without a measurement, 0…1; 1 where every value is 0."""
        if self.is_blank:
            return 1.0
        return 0.0 if self.valid is None else 1 - float(self.valid.mean())


def require_measurement(tile_id: str, raw: RawTile) -> RawTile:
    """The same tile, or a `TileError` where it holds no measurement at all."""
    if raw.valid is not None and not raw.valid.any():
        raise TileError(tile_id, "every pixel is nodata")
    if raw.is_blank:
        raise TileError(tile_id, "every pixel is 0 in every band, which is taken for nodata")
    return raw


def check_tile_size(tile_id: str, width: int, height: int) -> None:
    """Raise a `TileError` for a tile that is too small or too large."""
    if min(width, height) < MIN_SIDE_PX:
        raise TileError(
            tile_id, f"{width}×{height} px is too small: a side has at least {MIN_SIDE_PX} px"
        )
    if width * height > MAX_PIXELS:
        raise TileError(tile_id, f"{width}×{height} px: {too_large()}")


def require_readable_type(tile_id: str, kind: str) -> None:
    """Raise a `TileError` for a type of pixel that is not read (float64 is, as float32)."""
    if kind not in (*_READABLE_TYPES, "float64"):
        raise TileError(tile_id, f"pixels are {kind}; what is read is {', '.join(_READABLE_TYPES)}")


def too_large() -> str:
    """Why a tile of too many pixels is refused."""
    return f"too large for a tile: at most {MAX_PIXELS / 1e6:.0f} million pixels"


def none_if_all(valid: NDArray[np.bool_] | None) -> NDArray[np.bool_] | None:
    """A mask, or None where it marks nothing."""
    return None if valid is None or valid.all() else valid
