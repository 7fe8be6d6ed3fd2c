"""Read a tile's pixels and its place: the only module that opens images.

JPEG, PNG, GIF, BMP and plain TIFF of 8 bits are read by Pillow, everything else by rasterio.
The file's content decides, never its suffix.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from rsretrieve.errors import TileError
from rsretrieve.tiles.records import Place, Tile, Window

if TYPE_CHECKING:
    from rasterio import DatasetReader

MIN_SIDE_PX = 8
MAX_PIXELS = 64 * 1024 * 1024
"""A tile of more pixels is refused before it is decoded: 64 Mpx of RGB take 200 MB."""

_FARTHEST = 1e9  # no coordinate on Earth is farther, in degrees, metres or feet
_READABLE_TYPES = ("uint8", "uint16", "int16", "float32")
_GEOTIFF_TAGS = frozenset((33550, 33922, 34264, 34735, 42112, 42113))
# ModelPixelScale, ModelTiepoint, ModelTransformation, GeoKeyDirectory; GDAL's metadata and nodata
_BITS, _BANDS, _FORMAT = 258, 277, 339  # BitsPerSample, SamplesPerPixel, SampleFormat

# An image over Pillow's own limit is an error for us, not a warning.
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)


@dataclass(frozen=True)
class RawTile:
    """A tile as it lies in its file.

    Attributes:
        values: (C, H, W), uint8, uint16, int16 or float32.
        valid: (C, H, W) bool, False where there is no measurement (nodata, NaN,
            transparent); None where everything is valid.
        place: where it lies, or None without georeference.
    """

    values: NDArray[Any]
    valid: NDArray[np.bool_] | None
    place: Place | None


def read_raw(tile: Tile) -> RawTile:
    """Read a tile whole, at its own resolution.

    Raises:
        TileError: the file is missing, cut short, no image, has a type of pixel that is
            not read, is too small or too large, or holds no measurement at all.
    """
    with _translated(tile.id):
        raw = _read_by_content(tile)
    if raw.valid is not None and not raw.valid.any():
        raise TileError(tile.id, "every pixel is nodata")
    if not raw.values.any():
        raise TileError(tile.id, "every pixel is 0 in every band, which is taken for nodata")
    return raw


@contextmanager
def _translated(tile_id: str) -> Iterator[None]:
    """Turn whatever a decoder raises for one file into a `TileError`."""
    try:
        yield
    except TileError:
        raise
    except FileNotFoundError as error:
        raise TileError(tile_id, "no such file") from error
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise TileError(tile_id, _too_large()) from error
    except UnidentifiedImageError as error:
        raise TileError(tile_id, "not an image that can be read") from error
    except Exception as error:  # decoders raise what they like over a damaged file
        reason = " ".join(str(error).split()) or type(error).__name__
        raise TileError(tile_id, f"cannot be decoded: {reason}") from error


def _read_by_content(tile: Tile) -> RawTile:
    with Path(tile.path).open("rb") as stream:
        start = stream.read(26)
    if not start:
        raise TileError(tile.id, "the file is empty (0 bytes)")
    if tile.window is None and _is_for_pillow(start, tile.path):
        return _read_by_pillow(tile)
    return _read_by_rasterio(tile)


def _is_for_pillow(start: bytes, path: str) -> bool:
    if start.startswith((b"\xff\xd8\xff", b"GIF8", b"BM")):
        return True
    if start.startswith(b"\x89PNG"):
        # Pillow cuts 16-bit colour down to 8 bits without a word; rasterio does not.
        return start[24:25] != b"\x10"
    return start[:4] in (b"II*\0", b"MM\0*") and _is_plain_tiff(path)


def _is_plain_tiff(path: str) -> bool:
    """Whether it has no georeference, and Pillow gives every band in its own type."""
    try:
        with Image.open(path) as image:
            tags = getattr(image, "tag_v2", {})
            unsigned_8_bit = max(tags.get(_BITS, (1,))) <= 8 and set(tags.get(_FORMAT, (1,))) == {1}
            all_bands = tags.get(_BANDS, 1) == len(image.getbands())
            return unsigned_8_bit and all_bands and not _GEOTIFF_TAGS.intersection(tags)
    except (OSError, SyntaxError, ValueError):
        return False  # more bands, or other types, than Pillow knows


def _read_by_pillow(tile: Tile) -> RawTile:
    with Image.open(tile.path) as image:
        _check_size(tile.id, image.width, image.height)
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
    return RawTile(np.ascontiguousarray(values), _none_if_all(valid), None)


def _read_by_rasterio(tile: Tile) -> RawTile:
    rasterio = _rasterio(tile.id)
    try:
        with rasterio.open(tile.path) as dataset:
            return _from_dataset(tile, dataset)
    except rasterio.errors.RasterioIOError as error:
        known = "not recognized as being in a supported file format" in str(error)
        cause = error.__cause__ or error  # "see previous exception" helps nobody
        reason = "not an image that can be read" if known else f"cannot be decoded: {cause}"
        raise TileError(tile.id, " ".join(reason.split())) from error


def _from_dataset(tile: Tile, dataset: DatasetReader) -> RawTile:
    from rasterio.enums import ColorInterp
    from rasterio.windows import Window as RasterWindow

    asked = tile.window or Window(0, 0, dataset.width, dataset.height)
    _check_size(tile.id, asked.width, asked.height)
    if asked.col + asked.width > dataset.width or asked.row + asked.height > dataset.height:
        raise TileError(
            tile.id, f"the window leaves the scene of {dataset.width}×{dataset.height} px"
        )
    window = RasterWindow(asked.col, asked.row, asked.width, asked.height)
    bands = [
        band
        for band, meaning in zip(dataset.indexes, dataset.colorinterp)
        if meaning != ColorInterp.alpha
    ]
    values = _readable_type(tile.id, dataset.read(bands, window=window))
    masked = dataset.read_masks(bands, window=window) > 0
    return RawTile(values, _none_if_all(_and(_finite(values), masked)), _place(dataset, window))


def _place(dataset: DatasetReader, window: Any) -> Place | None:
    """Corners and bounds of a window; None where the file does not say where it lies."""
    try:
        return _computed_place(dataset, window)
    except Exception:  # GDAL's errors have no public root, and a tile can do without a place
        return None


def _computed_place(dataset: DatasetReader, window: Any) -> Place | None:
    from rasterio.transform import xy as corners_of
    from rasterio.warp import transform as to_crs

    if dataset.crs is None or dataset.transform.is_identity:
        return None
    left, top = window.col_off, window.row_off
    right, bottom = left + window.width, top + window.height
    cols, rows = [left, left, right, right], [top, bottom, bottom, top]
    xs, ys = corners_of(dataset.transform, rows, cols, offset="ul")
    # PROJ brings a longitude of 1e308 into range by turns of 360 degrees, for ever.
    if not np.all(np.abs([xs, ys]) < _FARTHEST):
        return None
    lons, lats = to_crs(dataset.crs, "EPSG:4326", xs, ys)
    if not np.isfinite([lons, lats]).all():
        return None
    return Place(
        crs=dataset.crs.to_string(),
        bounds=(min(xs), min(ys), max(xs), max(ys)),
        footprint=tuple(zip(lons, lats)),
    )


def _check_size(tile_id: str, width: int, height: int) -> None:
    if min(width, height) < MIN_SIDE_PX:
        raise TileError(
            tile_id, f"{width}×{height} px is too small: a side has at least {MIN_SIDE_PX} px"
        )
    if width * height > MAX_PIXELS:
        raise TileError(tile_id, f"{width}×{height} px: {_too_large()}")


def _too_large() -> str:
    return f"too large for a tile: at most {MAX_PIXELS / 1e6:.0f} million pixels"


def _readable_type(tile_id: str, values: NDArray[Any]) -> NDArray[Any]:
    kind = values.dtype.newbyteorder("=").name
    if kind == "float64":
        return values.astype(np.float32)
    if kind not in _READABLE_TYPES:
        raise TileError(tile_id, f"pixels are {kind}; what is read is {', '.join(_READABLE_TYPES)}")
    return np.ascontiguousarray(values, dtype=kind)


def _finite(values: NDArray[Any]) -> NDArray[np.bool_] | None:
    return np.isfinite(values) if values.dtype.kind == "f" else None


def _and(one: NDArray[np.bool_] | None, other: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return other if one is None else one & other


def _none_if_all(valid: NDArray[np.bool_] | None) -> NDArray[np.bool_] | None:
    return None if valid is None or valid.all() else valid


def _rasterio(tile_id: str) -> Any:
    try:
        import rasterio
        import rasterio.errors
    except ImportError as error:
        raise TileError(
            tile_id, "neither JPEG, PNG nor plain TIFF, and rasterio is not installed"
        ) from error
    # Plain images carry no georeference, and need none.
    warnings.filterwarnings("ignore", category=rasterio.errors.NotGeoreferencedWarning)
    return rasterio
