"""Decode JPEG and simple PNG and TIFF files with Pillow: only here, and only as GDAL would.

These are JPEG files, PNG of 8 bits in grey or RGB with or without an alpha channel, and lossless
TIFF of 8 bits in grey or RGB without georeference. For the lossless ones Pillow gives what GDAL
gives, only faster. JPEG decoders differ in how they enlarge the colour planes: Pillow decodes
every JPEG up to the largest size of a tile, also for windows.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from rsretrieve.data.dates.acquisition_time import AcquisitionTime
from rsretrieve.data.dates.header_dates import time_of_tiff_tag
from rsretrieve.data.pixels.jpeg_end import ends_in_one_colour
from rsretrieve.data.pixels.pages import is_animated
from rsretrieve.data.pixels.png_chunks import require_whole_png
from rsretrieve.data.reading.raw_tile import check_tile_size, decoding_trouble, too_many_pixels
from rsretrieve.data.tile import Tile
from rsretrieve.data.window import MAX_PIXELS
from rsretrieve.data.workers.limits import allow_values
from rsretrieve.errors import TileError

_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG"
_END_OF_JPEG = b"\xff\xd9"
_HEAD_BYTES = 26  # signature, IHDR, bit depth and colour type
_PNG_OF_8_BITS = (b"\x08\x00", b"\x08\x02", b"\x08\x04", b"\x08\x06")  # without colour table
_TIFF = (b"II*\0", b"MM\0*")
_PLAIN_TAGS = {
    258: ((8,), (8, 8, 8)),  # BitsPerSample
    259: (1, 5, 8, 32773, 32946, 50000),  # Compression: none, LZW, Deflate, PackBits, Zstandard
    262: (1, 2),  # PhotometricInterpretation: BlackIsZero, RGB
    274: (1,),  # Orientation
    277: (1, 3),  # SamplesPerPixel
    339: ((1,), (1, 1, 1), 1),  # SampleFormat: unsigned
}
_OTHER_TAGS = frozenset((330, 338, 33550, 33922, 34264, 34735, 42112, 42113, 50844))
"""SubIFDs, ExtraSamples, the georeference (scale, tie points, transformation, keys, RPC), GDAL's
metadata and nodata."""
_PLACES = (273, 279, 324, 325)
"""Where strips and tiles lie, and their sizes."""
_DATE_TIME = 306
_TAG_BYTES = 12
_CUT_SHORT = "truncated"
Pixels = NDArray[Any]


class PlainImage(NamedTuple):
    """An image.

    Attributes:
        values: its pixels (C, H, W).
        taken: when it was taken, as its file says, or None.
        may_lack_end: it is a JPEG to which `require_end` applies.
    """

    values: Pixels
    taken: AcquisitionTime | None
    may_lack_end: bool = False


# An image over Pillow's own limit is an error here, not a warning.
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)


def read_plain(
    tile: Tile, jpeg_px: int | None = None, size: tuple[int, int] | None = None
) -> Pixels | None:
    """The pixels of `read_image`."""
    image = read_image(tile, jpeg_px, size)
    return None if image is None else image.values


def read_image(
    tile: Tile, jpeg_px: int | None = None, size: tuple[int, int] | None = None
) -> PlainImage | None:
    """Read a whole image if it is one of those above.

    Args:
        tile: a local file.
        jpeg_px: see `read_raw`.
        size: an image of another width and height than this is left to GDAL; None: any.

    Returns:
        (C, H, W), the last of two or four bands of a PNG being alpha, and the time of a TIFF; None
        where GDAL is to read the file.

    Raises:
        OSError: no such file.
        TileError: it is truncated, too small or too large.
    """
    with Path(tile.path).open("rb") as stream:
        head = stream.read(_HEAD_BYTES)
        if head.startswith(_JPEG):
            return None if _has_mask(stream) else _decoded(tile, jpeg_px, size)
        if head.startswith(_TIFF) and not _OTHER_TAGS.isdisjoint(_first_tags(stream)):
            return None
    if head.startswith(_PNG) and head[24:26] in _PNG_OF_8_BITS:
        return _decoded(tile, None, size)
    if head.startswith(_TIFF):
        return _decoded(tile, None, size)
    return None


def plain_size(tile: Tile) -> tuple[int, int] | None:
    """Width and height of an image that `read_plain` may read; None where GDAL is to open it.

    Raises:
        OSError: no such file.
        TileError: it cannot be opened.
    """
    with Path(tile.path).open("rb") as stream:
        head = stream.read(_HEAD_BYTES)
    if not head.startswith((_JPEG, _PNG, *_TIFF)):
        return None
    with translated(tile.id):
        try:
            with Image.open(tile.path) as image:
                return None if _is_for_gdal(tile.path, image) else image.size
        except (UnidentifiedImageError, NotImplementedError, SyntaxError):
            return None  # GDAL tries


def read_jpeg(tile: Tile, width: int, height: int) -> PlainImage | None:
    """Read all of a JPEG that GDAL has opened; None where GDAL is to read it."""
    if not tile.location.is_local or width * height > MAX_PIXELS or min(width, height) < 1:
        return None
    with Path(tile.path).open("rb") as stream:
        if not stream.read(_HEAD_BYTES).startswith(_JPEG):
            return None
    return _decoded(tile, None, (width, height), any_side=True)


def _decoded(
    tile: Tile, jpeg_px: int | None, size: tuple[int, int] | None, *, any_side: bool = False
) -> PlainImage | None:
    with translated(tile.id):
        try:
            with Image.open(tile.path) as image:
                if size not in (None, image.size) or _is_for_gdal(tile.path, image):
                    return None
                if not any_side:
                    check_tile_size(tile.id, image.width, image.height)
                return _pixels_of(tile, image, jpeg_px)
        except (UnidentifiedImageError, NotImplementedError, SyntaxError):
            return None  # GDAL tries
        except OSError as error:
            if error.errno is not None or _CUT_SHORT in str(error):
                raise
            return None


def _pixels_of(tile: Tile, image: Image.Image, jpeg_px: int | None) -> PlainImage | None:
    allow_values(image.width * image.height * len(image.getbands()))
    if image.format == "PNG":
        require_whole_png(tile.id, tile.path)
    full_px = image.width
    if jpeg_px is not None:
        image.draft(None, (jpeg_px, jpeg_px))  # no effect on other formats
    values = _values(image)
    if values is None:
        return None
    is_doubtful = image.format == "JPEG" and ends_in_one_colour(values, full_px)
    return PlainImage(values, _taken(image), is_doubtful)


def _values(image: Image.Image) -> Pixels | None:
    if image.mode not in ("L", "LA", "RGB", "RGBA", "CMYK"):
        return None
    values = np.asarray(image)
    if image.mode == "CMYK":
        # Adobe's convention: the file stores 255 − ink, and GDAL multiplies what it stores.
        stored = 255 - values.astype(np.int32)
        values = (stored[..., :3] * stored[..., 3:] // 255).astype(np.uint8)
    # A view of RGB: resizing needs interleaved pixels.
    return values[None] if values.ndim == 2 else values.transpose(2, 0, 1)


def _taken(image: Image.Image) -> AcquisitionTime | None:
    if image.format != "TIFF":
        return None
    tags: Any = getattr(image, "tag_v2", {})
    try:
        return time_of_tiff_tag(tags.get(_DATE_TIME))
    except Exception:  # Pillow raises any type of error for a damaged tag
        return None


def _is_for_gdal(path: str, image: Image.Image) -> bool:
    """Whether an image holds more than its pixels."""
    if image.format == "TIFF":
        return not _is_plain_tiff(image)
    return image.format == "PNG" and _is_special(path, image)


def _is_special(path: str, image: Image.Image) -> bool:
    """Whether a PNG is animated, or one of its colours means transparency."""
    if "transparency" in image.info:
        return True
    if getattr(image, "n_frames", 1) > 1:
        return True
    with Path(path).open("rb") as stream:
        return is_animated(stream)


def _is_plain_tiff(image: Image.Image) -> bool:
    """Whether a TIFF has one page, and nothing in it changes the meaning of its pixels."""
    tags: Any = getattr(image, "tag_v2", None)
    if tags is None or image.mode not in ("L", "RGB") or tags.next:
        return False
    if any(0 in _numbers(tags.get(tag)) for tag in _PLACES):  # a sparse file: GDAL fills it
        return False
    plain = all(tags[tag] in allowed for tag, allowed in _PLAIN_TAGS.items() if tag in tags)
    return plain and 258 in tags and 262 in tags and not _OTHER_TAGS.intersection(tags)


def _first_tags(stream: BinaryIO) -> Iterable[int]:
    """The numbers of the tags in a TIFF's first directory, as far as they are there.

    Pillow reads the values of all tags first: of a georeferenced tile of 32 px and six bands that
    took a fifth of the time for the tile.
    """
    stream.seek(0)
    order: Literal["little", "big"] = "little" if stream.read(4).startswith(b"II") else "big"
    stream.seek(int.from_bytes(stream.read(4), order))
    entries = stream.read(_TAG_BYTES * int.from_bytes(stream.read(2), order))
    return (
        int.from_bytes(entries[at : at + 2], order) for at in range(0, len(entries), _TAG_BYTES)
    )


def _numbers(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def _has_mask(stream: BinaryIO) -> bool:
    """Whether GDAL's mask follows the pixels of a JPEG: its last four bytes say where it begins."""
    size = stream.seek(0, 2)
    stream.seek(max(0, size - 4))
    tail = stream.read(4)
    if len(tail) < 4 or tail.endswith(_END_OF_JPEG):
        return False
    start = int.from_bytes(tail, "little")
    if not 4 <= start < size - 4:
        return False
    stream.seek(start - 2)
    return stream.read(2) == _END_OF_JPEG


@contextmanager
def translated(tile_id: str) -> Iterator[None]:
    """Turn every error of a decoder into a `TileError`."""
    try:
        yield
    except TileError:
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise TileError(tile_id, too_many_pixels()) from error
    except Exception as error:  # decoders raise any type of error for damaged files
        raise TileError(tile_id, decoding_trouble(error)) from error
