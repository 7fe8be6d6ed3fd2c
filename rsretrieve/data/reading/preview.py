"""Tiles as RGB images for people."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rsretrieve.data.failures import Failure
from rsretrieve.data.notes import Note
from rsretrieve.data.reading.raw_tile import RawTile
from rsretrieve.data.reading.read_tiles import read_in_order
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.data.workers.content_forms import ArrayForm
from rsretrieve.errors import TileError

PREVIEW = ArrayForm("uint8", (None, None, 3))
"""The form of a tile's image."""


def read_preview(tile: Tile, size_px: int, bands: tuple[int, ...] = ()) -> Image.Image:
    """Read a tile as an RGB image.

    Args:
        tile: the tile.
        size_px: the longer side of the image.
        bands: the bands shown as red, green and blue, counted from 1; by default the first
            three. Fewer than three are shown in grey. Other types than 8-bit are stretched
            between the 2nd and the 98th percentile.

    Raises:
        TileError: the tile cannot be read.
    """
    tiles = TileSet("", (reduced(tile, 2 * size_px),))
    (read,) = read_in_order(tiles, Previewed(size_px, bands), fits=PREVIEW)
    if isinstance(read, Failure):
        raise TileError(tile.id, read.reason)
    return Image.fromarray(read.content)


@dataclass(frozen=True)
class Previewed:
    """Makes images of raw tiles, in the workers.

    Attributes:
        side_px: the longer side of the image.
        bands: the bands shown.
        enlarged: smaller tiles are enlarged to `side_px`; otherwise they keep their size.
    """

    side_px: int
    bands: tuple[int, ...]
    enlarged: bool = True

    def __call__(self, _: str, raw: RawTile) -> NDArray[np.uint8]:
        """(H, W, 3)."""
        size_px = self.side_px if self.enlarged else min(self.side_px, max(raw.values.shape[1:]))
        return np.asarray(preview_of(raw, size_px, self.bands))


def preview_of(raw: RawTile, size_px: int, bands: tuple[int, ...] = ()) -> Image.Image:
    """As `read_preview`, for a tile that was read already."""
    picture = Image.fromarray(_as_rgb(raw, bands))
    scale = size_px / max(picture.size)
    shape = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(shape, Image.Resampling.BICUBIC)


def reduced(tile: Tile, side_px: int) -> Tile:
    """The same tile; a window is read at no more than `side_px`."""
    if tile.window is None:
        return tile
    side_px = min(side_px, tile.window.read_px or side_px)
    return replace(tile, window=replace(tile.window, read_px=side_px))


def _as_rgb(raw: RawTile, bands: tuple[int, ...]) -> NDArray[np.uint8]:
    if Note.COLOURS_REORDERED in raw.notes and len(bands) >= 3:
        bands = ()  # numbers count the bands as stored, and these are red, green and blue already
    there = [band - 1 for band in bands if band <= len(raw.values)] or range(len(raw.values))
    chosen = list(there[:3]) if len(there) >= 3 else [there[0]] * 3
    values = raw.values[chosen]
    if values.dtype != np.uint8:
        valid = np.ones(values.shape, bool) if raw.valid is None else raw.valid[chosen]
        values = np.stack([_stretched(band, seen) for band, seen in zip(values, valid)])
    return np.ascontiguousarray(values.transpose(1, 2, 0))


def _stretched(band: NDArray[Any], valid: NDArray[np.bool_]) -> NDArray[np.uint8]:
    seen = band[valid].astype(np.float32)
    low, high = np.percentile(seen, (2, 98)) if seen.size else (0.0, 1.0)
    scaled = (np.where(valid, band, low).astype(np.float32) - low) / max(high - low, 1e-6)
    return (np.clip(scaled, 0, 1) * 255).astype(np.uint8)
