"""What the header of a raster declares about its values: colours, masks, packing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rsretrieve.data.notes import Note
from rsretrieve.data.pixels.alpha import alpha_use, sample_squares
from rsretrieve.data.pixels.expected import Expected
from rsretrieve.data.pixels.meaning import Meaning
from rsretrieve.data.pixels.packing import Packing

if TYPE_CHECKING:
    from rasterio import DatasetReader
    from rasterio.enums import ColorInterp, MaskFlags

_COLOURS = ("red", "green", "blue")
_INKS = ("cyan", "magenta", "yellow", "black")


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
    bands = stored if expected.stored_order else _colours_in_order(meanings, stored)
    notes = notes if bands == stored else (*notes, Note.COLOURS_REORDERED)
    ignored = is_band or Note.ALPHA_IGNORED in notes
    all_flags = dataset.mask_flag_enums  # rasterio asks every band for it each time
    flags = [all_flags[band - 1] for band in bands]
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

    values = dataset.nodatavals
    of_bands = tuple(values[band - 1] for band in bands)
    others = {MaskFlags.alpha, MaskFlags.nodata}  # one nodata for all bands: a colour of a PNG
    has_mask = all(MaskFlags.per_dataset in of and others.isdisjoint(of) for of in flags)
    return of_bands if has_mask and any(value is not None for value in of_bands) else ()


def _colours_in_order(meanings: Sequence[ColorInterp], bands: tuple[int, ...]) -> tuple[int, ...]:
    """Red, green and blue, if the bands are these three in any order; else the bands."""
    named = {meanings[band - 1].name: band for band in bands}
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


def _alpha_of(
    dataset: DatasetReader, alpha: int, expected: Expected
) -> tuple[bool, tuple[Note, ...]]:
    """As `alpha_use`, for a raster."""
    from rasterio.windows import Window

    squares = sample_squares(dataset.width, dataset.height)
    read = [dataset.read(alpha, window=Window(*square)).ravel() for square in squares]
    return alpha_use(dataset.count, alpha, expected, np.concatenate(read))
