"""A tile's structure on 64×64 px: what stays of it under re-compression, brightness and haze."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rsretrieve.data.reading.raw_tile import RawTile

SIDE_PX = 64
COARSE_PX = 16
_MARGIN_PX = 16
_FINE_PX, _BROAD_PX = 1.0, 4.0  # standard deviations of the band-pass's two Gaussians


def thumbprint(raw: RawTile) -> NDArray[np.float32]:
    """A tile's grey picture, averaged down to 64×64 px and band-passed: (64, 64).

    The finest grain is left out (compression makes its own, and a shift of half a pixel would
    turn it round), and so is all that is broader than some 10 px: two fields or two stretches of
    water are alike in that without being the same. The band is a difference of Gaussians.
    """
    grey = Image.fromarray(_grey_levels(raw))
    small = np.asarray(grey.resize((SIDE_PX, SIDE_PX), Image.Resampling.BOX), np.float32)
    padded = np.pad(small, _MARGIN_PX, mode="symmetric")
    passed = np.fft.irfft2(np.fft.rfft2(padded) * _band_pass(), s=padded.shape)
    return np.asarray(passed[_MARGIN_PX:-_MARGIN_PX, _MARGIN_PX:-_MARGIN_PX], np.float32)


def thumbprint_made(_: str, raw: RawTile) -> NDArray[np.float32]:
    """Makes the thumbprint of a raw tile, wherever it is read."""
    return thumbprint(raw)


def direction_made(_: str, raw: RawTile) -> NDArray[np.float16]:
    """Makes the coarse direction of a raw tile, wherever it is read."""
    return coarse_direction(thumbprint(raw))


def _grey_levels(raw: RawTile) -> NDArray[np.float32]:
    """The mean of the bands, (H, W); other types than 8 bits are scaled to the range of these."""
    values = np.asarray(raw.values, np.float32)
    valid = np.isfinite(values) if raw.valid is None else raw.valid
    filled = np.where(valid, values, values[valid].mean())
    if raw.values.dtype != np.uint8:
        low, high = np.percentile(filled, (2, 98))
        filled = (filled - low) * (255 / max(high - low, 1e-6))
    return np.asarray(filled.mean(axis=0), np.float32)


def coarse_direction(print_: NDArray[np.float32]) -> NDArray[np.float16]:
    """A thumbprint averaged down to 16×16, without its mean, as a unit vector: (256,).

    The product of two is the correlation of two tiles that are not shifted much: a quick look
    that spares most pairs the slow one. A tile without any structure gives zeros.
    """
    step = SIDE_PX // COARSE_PX
    cells = print_.reshape(COARSE_PX, step, COARSE_PX, step).mean(axis=(1, 3)).ravel()
    cells = cells - cells.mean()
    norm = float(np.linalg.norm(cells))
    direction = cells / norm if norm > 1e-6 else np.zeros_like(cells)
    return np.asarray(direction, np.float16)


@cache
def _band_pass() -> NDArray[Any]:
    side = SIDE_PX + 2 * _MARGIN_PX
    squares = np.fft.fftfreq(side)[:, None] ** 2 + np.fft.rfftfreq(side)[None, :] ** 2
    fine, broad = (np.exp(-2 * (np.pi * s) ** 2 * squares) for s in (_FINE_PX, _BROAD_PX))
    return np.asarray(fine - broad, np.float32)
