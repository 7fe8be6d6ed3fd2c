"""Refuse files that hold several images: nobody knows which one is meant."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from rsretrieve.data.pixels.png_chunks import SIGNATURE_BYTES, next_name
from rsretrieve.data.tile import Tile
from rsretrieve.errors import TileError

if TYPE_CHECKING:
    from rasterio import DatasetReader

_HEAD_BYTES = 21
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
            if is_animated(stream):
                raise TileError(tile.id, _frames(0))


def is_animated(stream: BinaryIO) -> bool:
    r"""Whether a PNG or WebP file declares an animation; read from its beginning.

    >>> from io import BytesIO
    >>> is_animated(BytesIO(b"RIFF....WEBPVP8X....\x02"))
    True
    """
    head = stream.read(_HEAD_BYTES)
    if head.startswith(b"RIFF"):
        return head[8:16] == b"WEBPVP8X" and bool(head[20:21] and head[20] & 2)
    if not head.startswith(b"\x89PNG"):
        return False
    stream.seek(SIGNATURE_BYTES)
    # acTL stands anywhere before the pixels, behind other chunks of any length.
    while (name := next_name(stream)) not in (b"", b"IDAT", b"IEND"):
        if name == b"acTL":
            return True
    return False


def _frames(count: int) -> str:
    frames = f"{count} frames" if count else "several frames"
    return f"holds {frames} (an animation): write the frame that is meant as an image of its own"
