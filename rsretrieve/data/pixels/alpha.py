"""Whether a band that is tagged as alpha is transparency.

GDAL and other programs tag the fourth band of an 8-bit raster as alpha, whatever it holds: often
it is near infrared.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsretrieve.data.notes import Note
from rsretrieve.data.pixels.expected import Expected
from rsretrieve.data.pixels.meaning import Decoded

_SAMPLE_SIDE_PX, _SAMPLES_PER_AXIS = 128, 4
_WHOLE_SAMPLE_PX = 1 << 20


def alpha_use(
    count: int, alpha: int, expected: Expected, sample: NDArray[Any]
) -> tuple[bool, tuple[Note, ...]]:
    """Whether the band that is tagged as alpha is read as a band, with what to say about it.

    Args:
        count: the number of bands of the file.
        alpha: the number of the band, counted from 1.
        expected: what is known about the tile.
        sample: values of the band, from `sample_squares`.
    """
    is_transparency = _is_transparency(sample)
    if expected.source_bands == count or alpha <= expected.least_bands:
        return True, () if is_transparency else (Note.ALPHA_IS_BAND,)
    if is_transparency:
        return False, ()
    if expected.source_bands is not None:  # the model has no room for it
        return False, (Note.ALPHA_IGNORED,)
    return True, (Note.ALPHA_IS_BAND,)


def _is_transparency(sample: NDArray[Any]) -> bool:
    """Whether most visible pixels of an alpha band are fully opaque."""
    seen = np.count_nonzero(sample)
    full = 1 if sample.dtype.kind == "f" else np.iinfo(sample.dtype).max
    opaque = sum(np.count_nonzero(sample == value) for value in {1, 255, full})
    return bool(seen == 0 or opaque >= seen / 2)


def sample_squares(width: int, height: int) -> list[tuple[int, int, int, int]]:
    """(col, row, width, height) of all of a small raster, or of 16 squares spread over it."""
    if width * height <= _WHOLE_SAMPLE_PX:
        return [(0, 0, width, height)]
    side, last = _SAMPLE_SIDE_PX, _SAMPLES_PER_AXIS - 1
    across, down = (
        [round(i * max(0, length - side) / last) for i in range(_SAMPLES_PER_AXIS)]
        for length in (width, height)
    )
    return [(x, y, min(side, width), min(side, height)) for y in down for x in across]


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
