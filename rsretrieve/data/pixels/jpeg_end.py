"""JPEG files whose last blocks are missing: decoders fill the rest with the last colour.

libjpeg only warns of it, and Pillow hides the warning. GDAL can make an error of it, which takes
another decoding. So only a file that ends with a block of one colour is decoded again. Progressive
files become blurred instead, which is not noticed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from rsretrieve.errors import TileError

if TYPE_CHECKING:
    from rasterio import DatasetReader

_BLOCK_PX = 8
_ENDS = "remature end"  # "Premature end of JPEG file", "premature end of data segment"


def ends_in_one_colour(values: NDArray[Any], full_px: int) -> bool:
    """Whether the last block of a picture has one colour.

    Args:
        values: (C, H, W) what was decoded, perhaps at a smaller size.
        full_px: the width of the file.
    """
    side = max(2, _BLOCK_PX * values.shape[2] // full_px)
    corner = values[:, -side:, -side:]
    return bool((corner == corner[:, :1, :1]).all())


def require_end(tile_id: str, dataset: DatasetReader) -> None:
    """Decode a JPEG again, and refuse it if a part of it is missing.

    Args:
        tile_id: for the error.
        dataset: rasterio's, of which nothing was read yet.

    Raises:
        TileError: a part is missing.
    """
    from rasterio import Env
    from rasterio.errors import RasterioError

    with Env(GDAL_ERROR_ON_LIBJPEG_WARNING="YES"):
        try:
            dataset.read()
        except RasterioError as error:
            if _ENDS in f"{error} {error.__cause__}":
                raise TileError(
                    tile_id, "cannot be decoded: a part of the JPEG is missing"
                ) from error
