"""The definition of a pixel: how the values that a file stores become measurements.

Every way of reading a file (whole, by windows, as a query) applies this definition:

- A colour table is looked up: three bands, or one if all its colours are grey.
- Unsigned values of fewer than 8 bits are grey levels, spread over 0…255.
- WhiteIsZero is inverted; ink (CMYK) becomes red, green and blue.
- Three bands that the file declares as red, green and blue in another order are put in this order,
  unless bands are chosen by their numbers.
- An alpha band is transparency, and no band, if it holds what transparency holds.
- int8, 32-bit and 64-bit values become float32.
- NaN, infinite values and values beyond ±1e30 are not valid. Nor is what any of alpha, a mask and
  nodata values says to be none, if a file declares several of them.
- The orientation that a file declares is ignored: rows and columns are those that it stores.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rsretrieve.data.notes import Note
from rsretrieve.data.pixels.extreme import EXTREME
from rsretrieve.data.pixels.packing import Packing

READ_AS_THEY_ARE = ("uint8", "uint16", "int16", "float32")
READ_AS_FLOAT32 = ("int8", "int32", "uint32", "int64", "uint64", "float16", "float64")
_FILLS = (-9999.0, -99999.0, -32768.0, -32767.0, -2147483648.0, 1e20)
_EXACT_INTEGER = 1 << 24  # float32 holds every smaller integer
Masks = NDArray[np.bool_] | None


class Decoded(NamedTuple):
    """Pixels as this definition has them.

    Attributes:
        values: (C, H, W), one of `READ_AS_THEY_ARE`.
        valid: (C, H, W); None where everything is valid.
        notes: what the user should know.
    """

    values: NDArray[Any]
    valid: Masks
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, eq=False)
class Meaning:
    """How the values of an open raster become pixels.

    Attributes:
        bands: the bands that are read, counted from 1, in the order of the pixels' bands.
        masked: GDAL's masks of these bands say where there is no measurement.
        one_mask: GDAL has one mask for all bands.
        mask_band: a band of transparency that GDAL does not use as the mask, or 0: GDAL uses the
            last of two or four bands only, and only of a file without a mask and nodata.
        nodata: the nodata value of each band where GDAL uses a mask instead of it, which may be
            None; empty where GDAL uses these values.
        table: (n, 4) colours and opacity by index; None without a colour table.
        grey_levels: the highest value of grey levels of fewer than 8 bits, or 0.
        white: the value that is black in a WhiteIsZero file, or None.
        inks: the highest value of a CMYK file, or 0.
        ignores_alpha: a band is tagged as alpha and is no transparency.
        packing: scale and offset of the bands; None where the file declares none.
        notes: about every tile of the file.
    """

    bands: tuple[int, ...]
    masked: bool
    one_mask: bool = False
    mask_band: int = 0
    nodata: tuple[float | None, ...] = ()
    table: NDArray[np.uint8] | None = None
    grey_levels: int = 0
    white: int | None = None
    inks: int = 0
    ignores_alpha: bool = False
    packing: Packing | None = None
    notes: tuple[Note, ...] = ()

    @property
    def is_linear(self) -> bool:
        """Whether averages of stored values mean averages of pixels, and GDAL's masks are ours."""
        differs = self.grey_levels or self.inks or self.ignores_alpha or self.has_more_masks
        return self.table is None and not differs

    @property
    def has_more_masks(self) -> bool:
        """Whether the file declares more pixels without a measurement than GDAL's masks do."""
        return self.mask_band > 0 or bool(self.nodata)

    def is_nodata(self, stored: NDArray[Any]) -> Masks:
        """Where stored values are the nodata value that GDAL does not use; None: nowhere.

        Args:
            stored: (len(bands), H, W) as GDAL reads them.
        """
        found: Masks = None
        for band, value in enumerate(self.nodata):
            if value is None or not _holds(stored.dtype, value):
                continue
            if found is None:
                found = np.zeros(stored.shape, bool)
            found[band] = stored[band] == stored.dtype.type(value)
        return found

    def pixels(self, stored: NDArray[Any], mask: Masks) -> Decoded:
        """Decode stored values.

        Args:
            stored: (len(bands), H, W) as GDAL reads them.
            mask: the same shape, where GDAL has a measurement; None: everywhere.
        """
        if self.table is not None:
            return self._from_table(self.table, stored[0], None if mask is None else mask[0])
        if self.inks:
            inked = stored.astype(np.int64)
            values = (self.inks - inked[:3]) * (self.inks - inked[3]) // self.inks
            both = None if mask is None else mask[:3] & mask[3]
            return Decoded(values.astype(stored.dtype), both, self.notes)
        if self.white is not None:
            stored = (self.white - np.minimum(stored, self.white)).astype(stored.dtype)
        if self.grey_levels:
            levels = np.minimum(stored, self.grey_levels).astype(np.int64)
            stored = (levels * 255 // self.grey_levels).astype(np.uint8)
        return self._measured(stored, mask)

    def _from_table(self, table: NDArray[np.uint8], indices: NDArray[Any], mask: Masks) -> Decoded:
        inside = indices < len(table)
        colours = table[np.where(inside, indices, 0)]
        channels = 1 if _is_grey(table) else 3
        values = np.ascontiguousarray(colours[..., :channels].transpose(2, 0, 1))
        seen = inside & (colours[..., 3] > 0)
        seen = seen if mask is None else seen & mask
        valid = None if seen.all() else np.broadcast_to(seen, values.shape).copy()
        return Decoded(values, valid, self.notes)

    def _measured(self, stored: NDArray[Any], mask: Masks) -> Decoded:
        kind = stored.dtype.newbyteorder("=").name
        notes = self.notes
        values = np.ascontiguousarray(stored, dtype=kind if kind in READ_AS_THEY_ARE else "float32")
        valid = mask
        if values.dtype.kind == "f":
            with np.errstate(invalid="ignore"):
                usual = np.abs(values) <= EXTREME
            if not usual.all():
                odd = ~usual & ~np.isnan(values)
                if (odd if mask is None else odd & mask).any():
                    notes += (Note.EXTREME,)
                valid = usual if mask is None else usual & mask
        if kind in READ_AS_FLOAT32 and _is_rounded(stored, values, valid):
            notes += (Note.INEXACT,)
        if kind not in ("uint8", "uint16") and _has_fill(values, valid):
            notes += (Note.FILL,)
        return Decoded(values, valid, notes)


def _is_grey(table: NDArray[np.uint8]) -> bool:
    return bool((table[:, :1] == table[:, 1:3]).all())


def _is_rounded(stored: NDArray[Any], values: NDArray[Any], valid: Masks) -> bool:
    """Whether float32 is another number than the stored one anywhere."""
    if stored.dtype.itemsize <= 2:
        return False
    if stored.dtype.kind in "iu" and not (
        stored.max(initial=0) > _EXACT_INTEGER or stored.min(initial=0) < -_EXACT_INTEGER
    ):
        return False
    differs = stored.astype(np.float64) != values.astype(np.float64)
    differs &= ~np.isnan(values)
    return bool(differs.any() if valid is None else differs[valid].any())


def _has_fill(values: NDArray[Any], valid: Masks) -> bool:
    """Whether the lowest or the highest valid value is one that often stands for nodata."""
    seen = values if valid is None else values[valid]
    if not seen.size:
        return False
    lowest, highest = np.fmin.reduce(seen, axis=None), np.fmax.reduce(seen, axis=None)
    return any(edge == np.float32(fill) for fill in _FILLS for edge in (lowest, highest))


def _holds(kind: np.dtype[Any], value: float) -> bool:
    """Whether a type has a value that may be compared: NaN may not, and is no measurement."""
    if kind.kind == "f":
        return abs(value) <= float(np.finfo(kind).max)
    if kind.kind not in "iu" or not float(value).is_integer():
        return False
    return bool(np.iinfo(kind).min <= value <= np.iinfo(kind).max)
