"""The structure of a tile on 64×64 px, robust to re-compression, brightness and haze."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rsretrieve.data.reading.raw_tile import RawTile
from rsretrieve.data.workers.content_forms import ArrayForm

SIDE_PX = 64
COARSE_PX = 16
_MARGIN_PX = 16
_FINE_PX, _BROAD_PX = 1.0, 4.0  # standard deviations of the band-pass's two Gaussians


def thumbprint(raw: RawTile) -> NDArray[np.float32]:
    """The grey values of a tile, averaged to 64×64 px and band-pass filtered.

    The filter is a difference of Gaussians. It removes the finest structure, which compression
    changes and a shift of half a pixel inverts, and structure broader than about 10 px, which
    different fields or water surfaces have in common.

    Args:
        raw: the tile, with any number of bands and any type.

    Returns:
        (64, 64) float32.
    """
    grey = Image.fromarray(_grey_levels(raw))
    small = np.asarray(grey.resize((SIDE_PX, SIDE_PX), Image.Resampling.BOX), np.float32)
    padded = np.pad(small, _MARGIN_PX, mode="symmetric")
    passed = np.fft.irfft2(np.fft.rfft2(padded) * _band_pass(), s=padded.shape)
    return np.asarray(passed[_MARGIN_PX:-_MARGIN_PX, _MARGIN_PX:-_MARGIN_PX], np.float32)


THUMBPRINT = ArrayForm("float32", (SIDE_PX, SIDE_PX))
"""The form of `to_thumbprint`."""
COARSE_DIRECTION = ArrayForm("float16", (COARSE_PX**2,))
"""The form of `to_coarse_direction`."""


def to_thumbprint(_: str, raw: RawTile) -> NDArray[np.float32]:
    """`thumbprint`, as a step of reading; the first argument is the id of the tile."""
    return thumbprint(raw)


def to_coarse_direction(_: str, raw: RawTile) -> NDArray[np.float16]:
    """`coarse_direction`, as a step of reading; the first argument is the id of the tile."""
    return coarse_direction(thumbprint(raw))


def _grey_levels(raw: RawTile) -> NDArray[np.float32]:
    """(H, W) float32 mean of the bands; types other than 8 bits are scaled to 0…255."""
    values = np.asarray(raw.values, np.float32)
    valid = np.isfinite(values) if raw.valid is None else raw.valid
    filled = np.where(valid, values, values[valid].mean())
    if raw.values.dtype != np.uint8:
        low, high = np.percentile(filled, (2, 98))
        filled = (filled - low) * (255 / max(high - low, 1e-6))
    return np.asarray(filled.mean(axis=0), np.float32)


def coarse_direction(print_: NDArray[np.float32]) -> NDArray[np.float16]:
    """A thumbprint averaged to 16×16 px, without its mean, as a unit vector.

    The product of two is the correlation of tiles that are hardly shifted. This fast test
    excludes most pairs from the slow comparison.

    Args:
        print_: (64, 64) float32.

    Returns:
        (256,) float16; zeros for a tile without structure.
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
