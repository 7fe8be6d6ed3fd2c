"""Read one tile: a plain image by Pillow, everything else by rasterio, with equal pixels.

The content of a file decides which, not its suffix. See `plain_images` and `raster_reader`.
"""

from __future__ import annotations

from dataclasses import replace

from rsretrieve.data.access import is_trusted
from rsretrieve.data.notes import Note
from rsretrieve.data.pixels.alpha import pixels_with_alpha
from rsretrieve.data.pixels.expected import ANYTHING, Expected
from rsretrieve.data.pixels.jpeg_end import require_end
from rsretrieve.data.reading.datasets import opened_raster
from rsretrieve.data.reading.plain_images import PlainImage, read_image, translated
from rsretrieve.data.reading.raster_reader import read_raster
from rsretrieve.data.reading.raw_tile import (
    RawTile,
    require_measurement,
    require_openable,
)
from rsretrieve.data.reading.sidecars import only_texts_unread, sidecars_of
from rsretrieve.data.tile import Tile


def read_raw(tile: Tile, jpeg_px: int | None = None, expected: Expected = ANYTHING) -> RawTile:
    """Read a tile completely, at its own resolution unless its window has `read_px`.

    Args:
        tile: the tile.
        jpeg_px: a JPEG is decoded at 1/2, 1/4 or 1/8 of its size, if each side stays at least this
            long; this is faster.
        expected: what is known about the tile.

    Raises:
        TileError: the file is missing, truncated or not an image; its pixel type is
            unsupported; it is too small or too large; or it holds no measurement.
    """
    with translated(tile.id):
        raw = _read_by_content(tile, jpeg_px, expected)
    return require_measurement(tile.id, raw)


def read_reduced(tile: Tile, jpeg_px: int, expected: Expected = ANYTHING) -> RawTile | None:
    """Read a window that covers all of a JPEG as the whole JPEG is read; None for other windows.

    Raises:
        TileError: it cannot be decoded.
    """
    window = tile.window
    if window is None or window.col or window.row or not tile.location.is_local:
        return None
    with translated(tile.id):
        require_openable(tile.id, tile.path)
        if window.shape_px != (window.height, window.width) or sidecars_of(tile.path):
            return None
        size = window.width, window.height
        image = _whole_image(tile, jpeg_px, size)
    return None if image is None else _raw(image, expected)


def _read_by_content(tile: Tile, jpeg_px: int | None, expected: Expected) -> RawTile:
    if tile.window is None and tile.location.is_local and not tile.location.stack:
        require_openable(tile.id, tile.path)
        beside = sidecars_of(tile.path)
        unread = bool(beside) and not is_trusted(tile) and only_texts_unread(tile.path, beside)
        if not beside or unread:
            image = _whole_image(tile, jpeg_px)
            if image is not None:
                raw = _raw(image, expected)
                return replace(raw, notes=(*raw.notes, Note.SIDECAR_UNREAD)) if unread else raw
    return read_raster(tile, expected)


def _whole_image(
    tile: Tile, jpeg_px: int | None, size: tuple[int, int] | None = None
) -> PlainImage | None:
    """As `read_image`, but of a JPEG that lost its end a `TileError`."""
    image = read_image(tile, jpeg_px, size)
    if image is not None and image.may_lack_end:
        with opened_raster(replace(tile, window=None)) as raster:
            require_end(tile.id, raster.dataset)
    return image


def _raw(image: PlainImage, expected: Expected) -> RawTile:
    if len(image.values) in (1, 3):
        return RawTile(image.values, None, None, taken=image.taken)
    pixels = pixels_with_alpha(image.values, expected)
    return RawTile(pixels.values, pixels.valid, None, None, pixels.notes, image.taken)
