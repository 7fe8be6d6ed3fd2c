"""Read one tile: by Pillow (only here), or by rasterio.

Pillow reads JPEG, PNG, GIF, BMP and plain 8-bit TIFF; rasterio reads everything else and every
window of a scene (see `raster_reader`). The content of the file decides, not its suffix.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from rsretrieve.data.reading.raster_reader import place_by_sidecar, read_raster
from rsretrieve.data.reading.raw_tile import (
    RawTile,
    check_tile_size,
    decoding_trouble,
    none_if_all,
    require_measurement,
    require_openable,
    too_many_pixels,
)
from rsretrieve.data.reading.sidecars import has_georeference_beside
from rsretrieve.data.tile import Tile
from rsretrieve.data.workers.limits import allow_values
from rsretrieve.errors import TileError

_GEOTIFF_TAGS = frozenset((33550, 33922, 34264, 34735, 42112, 42113))
# ModelPixelScale, ModelTiepoint, ModelTransformation, GeoKeyDirectory; GDAL's metadata and nodata
_BITS, _BANDS, _FORMAT = 258, 277, 339  # BitsPerSample, SamplesPerPixel, SampleFormat

# An image over Pillow's own limit is an error here, not a warning.
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)


def read_raw(tile: Tile, jpeg_px: int | None = None) -> RawTile:
    """Read a tile completely, at its own resolution unless its window has `read_px`.

    Args:
        tile: the tile.
        jpeg_px: a JPEG is decoded at 1/2, 1/4 or 1/8 of its size, if each side stays at least this
            long; this is faster.

    Raises:
        TileError: the file is missing, truncated or not an image; its pixel type is
            unsupported; it is too small or too large; or it holds no measurement.
    """
    with _translated(tile.id):
        raw = _read_by_content(tile, jpeg_px)
    return require_measurement(tile.id, raw)


@contextmanager
def _translated(tile_id: str) -> Iterator[None]:
    """Turn every error of a decoder into a `TileError`."""
    try:
        yield
    except TileError:
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise TileError(tile_id, too_many_pixels()) from error
    except UnidentifiedImageError as error:
        raise TileError(tile_id, "not an image that can be read") from error
    except Exception as error:  # decoders raise any type of error for damaged files
        raise TileError(tile_id, decoding_trouble(error)) from error


def _read_by_content(tile: Tile, jpeg_px: int | None) -> RawTile:
    if tile.window is None and tile.location.is_local:
        require_openable(tile.id, tile.path)
        with Path(tile.path).open("rb") as stream:
            start = stream.read(26)
        if _is_for_pillow(start, tile.path):
            raw = _read_by_pillow(tile, jpeg_px)
            if not has_georeference_beside(tile.path):
                return raw
            place, remark = place_by_sidecar(tile)
            return replace(raw, place=place, place_remark=remark)
    return read_raster(tile)


def _is_for_pillow(start: bytes, path: str) -> bool:
    if start.startswith((b"\xff\xd8\xff", b"GIF8", b"BM")):
        return True
    if start.startswith(b"\x89PNG"):
        # Pillow silently reduces 16-bit colour to 8 bits; rasterio does not.
        return start[24:25] != b"\x10"
    return start[:4] in (b"II*\0", b"MM\0*") and _is_plain_tiff(path)


def _is_plain_tiff(path: str) -> bool:
    """Whether a TIFF has no georeference, and Pillow reads every band in its own type."""
    try:
        with Image.open(path) as image:
            tags = getattr(image, "tag_v2", {})
            unsigned_8_bit = max(tags.get(_BITS, (1,))) <= 8 and set(tags.get(_FORMAT, (1,))) == {1}
            all_bands = tags.get(_BANDS, 1) == len(image.getbands())
            return unsigned_8_bit and all_bands and not _GEOTIFF_TAGS.intersection(tags)
    except (OSError, SyntaxError, ValueError):
        return False  # bands or types that Pillow does not know


def _read_by_pillow(tile: Tile, jpeg_px: int | None) -> RawTile:
    with Image.open(tile.path) as image:
        check_tile_size(tile.id, image.width, image.height)
        allow_values(image.width * image.height * len(image.getbands()))
        if jpeg_px is not None:
            image.draft(None, (jpeg_px, jpeg_px))  # no effect on other formats
        return _from_pillow(image)


def _from_pillow(image: Image.Image) -> RawTile:
    alpha = None
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        alpha = np.asarray(rgba)[..., 3] > 0
        image = rgba.convert("L" if image.mode in ("1", "L", "LA") else "RGB")
    elif image.mode in ("P", "CMYK", "YCbCr", "LAB", "HSV"):
        image = image.convert("RGB")
    elif image.mode == "1":
        image = image.convert("L")
    values = np.asarray(image)
    values = values[None] if values.ndim == 2 else values.transpose(2, 0, 1)
    valid = None if alpha is None else np.broadcast_to(alpha, values.shape)
    return RawTile(values, none_if_all(valid), None)  # a view: resizing needs interleaved pixels
