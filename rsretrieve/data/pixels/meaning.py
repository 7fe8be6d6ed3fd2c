"""The definition of a pixel: how the values that a file stores become measurements.

Every way of reading a file (whole, by windows, as a query) applies this definition:

- A colour table is looked up: three bands, or one if all its colours are grey.
- Unsigned values of fewer than 8 bits are grey levels, spread over 0…255.
- WhiteIsZero is inverted; ink (CMYK) becomes red, green and blue.
- Three bands that the file declares as red, green and blue in another order are put in this order,
  unless bands are chosen by their numbers.
- An alpha band is transparency, and no band, if it holds what transparency holds.
- int8, 32-bit and 64-bit values become float32.
- NaN, infinite values and values beyond ±1e38 are not valid. Nor is what any of alpha, a mask and
  nodata values says to be none, if a file declares several of them.
- The orientation that a file declares is ignored: rows and columns are those that it stores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rsretrieve.data.notes import Note
from rsretrieve.data.pixels.alpha import alpha_use, sample_squares
from rsretrieve.data.pixels.expected import Expected
from rsretrieve.data.pixels.packing import Packing

if TYPE_CHECKING:
    from rasterio import DatasetReader
    from rasterio.enums import MaskFlags

READ_AS_THEY_ARE = ("uint8", "uint16", "int16", "float32")
READ_AS_FLOAT32 = ("int8", "int32", "uint32", "int64", "uint64", "float16", "float64")
EXTREME = 1e38
_FILLS = (-9999.0, -99999.0, -32768.0, -32767.0, -2147483648.0, 1e20, 9.969209968386869e36)
_EXACT_INTEGER = 1 << 24  # float32 holds every smaller integer
_COLOURS = ("red", "green", "blue")
_INKS = ("cyan", "magenta", "yellow", "black")
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


def meaning_of(dataset: DatasetReader, expected: Expected) -> Meaning:
    """The meaning of a raster's values, from its header.

    Reads a sample of a band that is tagged as alpha, because many programs tag a fourth band
    as alpha whatever it holds.
    """
    from rasterio.enums import ColorInterp, MaskFlags

    meanings = dataset.colorinterp
    alpha = next((n for n, c in enumerate(meanings, 1) if c == ColorInterp.alpha), None)
    is_band, notes = (False, ()) if alpha is None else _alpha_of(dataset, alpha, expected)
    stored = tuple(band for band in dataset.indexes if band != alpha or is_band)
    bands = stored if expected.stored_order else _colours_in_order(dataset, stored)
    notes = notes if bands == stored else (*notes, Note.COLOURS_REORDERED)
    ignored = is_band or Note.ALPHA_IGNORED in notes
    flags = [dataset.mask_flag_enums[band - 1] for band in bands]
    if ignored:
        flags = [[MaskFlags.all_valid] if MaskFlags.alpha in of else of for of in flags]
    is_used = any(MaskFlags.alpha in of for of in flags)
    mask_band = alpha if alpha is not None and not ignored and not is_used else 0
    table = _colour_table(dataset, bands)
    bits, is_unsigned = _bits(dataset), np.dtype(_dtype_name(dataset)).kind == "u"
    highest = (1 << bits) - 1 if is_unsigned and table is None else 0
    names = tuple(meanings[band - 1].name for band in bands)
    return Meaning(
        bands,
        masked=any(of != [MaskFlags.all_valid] for of in flags),
        one_mask=all(MaskFlags.per_dataset in of for of in flags),
        mask_band=mask_band,
        nodata=_unused_nodata(dataset, bands, flags),
        table=table,
        grey_levels=highest if bits < 8 else 0,
        white=highest if highest and _is_white_zero(dataset) else None,
        inks=highest if names == _INKS else 0,
        ignores_alpha=ignored,
        packing=None if table is not None else _packing(dataset, bands),
        notes=notes,
    )


def _unused_nodata(
    dataset: DatasetReader, bands: tuple[int, ...], flags: Sequence[Sequence[MaskFlags]]
) -> tuple[float | None, ...]:
    """The nodata values of the bands if GDAL has a mask, which it uses instead; else empty."""
    from rasterio.enums import MaskFlags

    of_bands = tuple(dataset.nodatavals[band - 1] for band in bands)
    others = {MaskFlags.alpha, MaskFlags.nodata}  # one nodata for all bands: a colour of a PNG
    has_mask = all(MaskFlags.per_dataset in of and others.isdisjoint(of) for of in flags)
    return of_bands if has_mask and any(value is not None for value in of_bands) else ()


def _holds(kind: np.dtype[Any], value: float) -> bool:
    """Whether a type has a value that may be compared: NaN may not, and is no measurement."""
    if kind.kind == "f":
        return abs(value) <= float(np.finfo(kind).max)
    if kind.kind not in "iu" or not float(value).is_integer():
        return False
    return bool(np.iinfo(kind).min <= value <= np.iinfo(kind).max)


def _colours_in_order(dataset: DatasetReader, bands: tuple[int, ...]) -> tuple[int, ...]:
    """Red, green and blue, if the bands are these three in any order; else the bands."""
    named = {dataset.colorinterp[band - 1].name: band for band in bands}
    is_rgb = len(bands) == len(_COLOURS) and named.keys() == {*_COLOURS}
    return tuple(named[colour] for colour in _COLOURS) if is_rgb else bands


def _packing(dataset: DatasetReader, bands: tuple[int, ...]) -> Packing | None:
    scales, offsets = ([of[band - 1] for band in bands] for of in (dataset.scales, dataset.offsets))
    return Packing.declared(scales, offsets)


def _dtype_name(dataset: DatasetReader) -> str:
    name = str(dataset.dtypes[0])
    return "complex64" if name.startswith("complex") else name


def _bits(dataset: DatasetReader) -> int:
    """The number of bits of a value that the file uses."""
    declared = str(dataset.tags(1, ns="IMAGE_STRUCTURE").get("NBITS", ""))
    bits = np.dtype(_dtype_name(dataset)).itemsize * 8
    return min(bits, int(declared)) if declared.isdecimal() and int(declared) else bits


def _is_white_zero(dataset: DatasetReader) -> bool:
    return bool(dataset.tags(ns="IMAGE_STRUCTURE").get("MINISWHITE") == "YES")


def _colour_table(dataset: DatasetReader, bands: tuple[int, ...]) -> NDArray[np.uint8] | None:
    """(n, 4) the colour table of a raster whose only band is an index; None without one."""
    from rasterio.enums import ColorInterp

    if len(bands) != 1 or dataset.dtypes[bands[0] - 1] not in ("uint8", "uint16"):
        return None
    is_index = dataset.colorinterp[bands[0] - 1] == ColorInterp.palette
    if not is_index:
        return None
    try:
        colours = dataset.colormap(bands[0])
    except ValueError:  # it has none
        return None
    table = np.zeros((max(colours) + 1, 4), np.uint8)
    for index, colour in colours.items():
        table[index] = colour
    return table


def _is_grey(table: NDArray[np.uint8]) -> bool:
    return bool((table[:, :1] == table[:, 1:3]).all())


def pixels_with_alpha(stored: NDArray[Any], expected: Expected) -> Decoded:
    """Decode an image in grey or RGB whose last band is tagged as alpha.

    Args:
        stored: (C, H, W) of 8 bits, without colour table or nodata.
        expected: what is known about it.
    """
    count, height, width = stored.shape
    squares = sample_squares(width, height)
    sample = np.concatenate([stored[-1, y : y + h, x : x + w].ravel() for x, y, w, h in squares])
    is_band, notes = alpha_use(count, count, expected, sample)
    if is_band:
        return Decoded(stored, None, notes)
    if Note.ALPHA_IGNORED in notes or stored[-1].all():
        return Decoded(stored[:-1], None, notes)
    return Decoded(stored[:-1], np.broadcast_to(stored[-1] > 0, stored[:-1].shape), notes)


def _alpha_of(
    dataset: DatasetReader, alpha: int, expected: Expected
) -> tuple[bool, tuple[Note, ...]]:
    """As `alpha_use`, for a raster."""
    from rasterio.windows import Window

    squares = sample_squares(dataset.width, dataset.height)
    read = [dataset.read(alpha, window=Window(*square)).ravel() for square in squares]
    return alpha_use(dataset.count, alpha, expected, np.concatenate(read))


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
