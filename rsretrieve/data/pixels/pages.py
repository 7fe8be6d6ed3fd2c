"""Refuse files that hold several images: nobody knows which one is meant."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rsretrieve.data.tile import Tile
from rsretrieve.errors import TileError

if TYPE_CHECKING:
    from rasterio import DatasetReader

_HEAD_BYTES = 65_536
_FIRST_PAGE = {"GTiff": "GTIFF_DIR:1", "NITF": "NITF_IM:0", "HEIF": "HEIF:1", "AVIF": "AVIF:1"}
"""What GDAL calls the first image of a file, by the drivers whose subdatasets are images."""


def require_one_image(tile: Tile, dataset: DatasetReader) -> None:
    """Raise a `TileError` for a raster with several pages or frames, or with no bands itself."""
    pages = len(dataset.subdatasets)
    if not dataset.count:
        inner = f", such as {dataset.subdatasets[0]}" if pages else ""
        raise TileError(tile.id, f"holds no bands itself{inner}")
    name = Path(tile.path).name
    if dataset.driver in _FIRST_PAGE and pages > 1:
        first = f"{_FIRST_PAGE[dataset.driver]}:{name}"
        raise TileError(
            tile.id,
            f"holds {pages} pages: write them as bands of one image if they are bands (rio stack), "
            f"or one page as an image of its own (gdal_translate {first} page.tif)",
        )
    if dataset.driver in ("GIF", "BIGGIF") and dataset.count > 1:
        raise TileError(tile.id, _frames(dataset.count))
    if dataset.driver in ("PNG", "WEBP") and tile.location.is_local:
        with Path(tile.path).open("rb") as stream:
            if is_animated(stream.read(_HEAD_BYTES)):
                raise TileError(tile.id, _frames(0))


def is_animated(head: bytes) -> bool:
    r"""Whether the beginning of a PNG or WebP file declares an animation.

    >>> is_animated(b"RIFF....WEBPVP8X....\x02")
    True
    """
    if head.startswith(b"RIFF"):
        return head[8:16] == b"WEBPVP8X" and bool(head[20:21] and head[20] & 2)
    before_pixels = head.partition(b"IDAT")[0]
    return head.startswith(b"\x89PNG") and b"\0\0\0\x08acTL" in before_pixels


def _frames(count: int) -> str:
    frames = f"{count} frames" if count else "several frames"
    return f"holds {frames} (an animation): write the frame that is meant as an image of its own"
