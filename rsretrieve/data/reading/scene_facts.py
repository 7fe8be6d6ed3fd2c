"""Read from the headers of rasters: what is needed to cut scenes, places, scale and offset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rsretrieve.data.dates.acquisition_time import AcquisitionTime
from rsretrieve.data.geo.georeference import pixel_size_m
from rsretrieve.data.geo.place import Place, Placing
from rsretrieve.data.geo.window_places import places_of
from rsretrieve.data.notes import Note
from rsretrieve.data.pixels.expected import ANYTHING, Expected
from rsretrieve.data.pixels.packing import Packing
from rsretrieve.data.reading.datasets import opened_raster, raster_errors
from rsretrieve.data.reading.open_rasters import OpenRasters
from rsretrieve.data.reading.raw_tile import require_openable
from rsretrieve.data.reading.sidecars import sidecars_of
from rsretrieve.data.tile import Tile
from rsretrieve.data.window import Window
from rsretrieve.data.windowing import SceneFacts
from rsretrieve.data.workers.content_forms import TupleForm
from rsretrieve.data.workers.limits import HEADER_BYTES, tile_limits
from rsretrieve.errors import TileError

if TYPE_CHECKING:
    from rasterio import DatasetReader

_MAX_VALUES_PER_BYTE = {"JPEG": 1024, "PNG": 1100 * 8, "GIF": 3000, "BMP": 130 * 8}
"""The highest compression of each format. A JPEG block of 64 pixels takes at least one bit (its
first coefficient); Deflate reaches 1/1032, LZW 1/2800, run lengths 1/128. A value may have one
bit."""
_MAX_BLOCKS = 1_000_000  # that are looked at one by one


def read_facts(tile: Tile) -> SceneFacts:
    """Read size, block size, pixel size and stored blocks of a scene.

    Raises:
        TileError: it cannot be opened, or its pixels have an unsupported type.
    """
    with tile_limits(HEADER_BYTES), opened_raster(tile) as raster:
        return _facts_of(tile, raster.dataset)


@dataclass(frozen=True)
class WindowsOfScene:
    """A scene, and windows of it."""

    scene: Tile
    windows: list[Window]


def read_window_places(request: WindowsOfScene) -> list[tuple[Place | None, Note | None]]:
    """Read the places of windows from a scene's header, each with a remark, as in `Placing`.

    Raises:
        TileError: the scene cannot be opened.
    """
    with tile_limits(HEADER_BYTES), opened_raster(request.scene) as raster:
        width, height = raster.dataset.width, raster.dataset.height
        found = places_of(raster.dataset, request.windows)
    return [
        (placing.place, placing.remark)
        if window.col < width and window.row < height
        else (None, Note.OUTSIDE_SCENE)
        for placing, window in zip(found, request.windows)
    ]


def are_places(reply: Any, count: int) -> bool:
    """Whether a reply holds the places of so many windows, each with the name of a remark."""
    form = TupleForm((Place | None, str | None))
    return isinstance(reply, tuple) and len(reply) == count and all(map(form, reply))


def read_image_facts(tile: Tile) -> SceneFacts:
    """As `read_facts`, but a plain image is opened by Pillow, which starts sooner than GDAL.

    Raises:
        TileError: it cannot be opened, or its pixels have an unsupported type.
    """
    from rsretrieve.data.reading.plain_images import plain_size  # Pillow: not for scenes

    if tile.location.is_local and not tile.location.stack:
        with tile_limits(HEADER_BYTES), raster_errors(tile.id):
            require_openable(tile.id, tile.path)
            size = None if sidecars_of(tile.path) else plain_size(tile)
        if size is not None:
            return SceneFacts(*size, block_px=size, pixel_m=None)
    return read_facts(tile)


def read_headers(
    rasters: OpenRasters, tiles: Sequence[Tile], expected: Expected = ANYTHING
) -> tuple[Packing | None, list[Placing], AcquisitionTime | None]:
    """Read what a file declares about tiles, without their pixels.

    Args:
        rasters: keeps the file open.
        tiles: one whole file, or windows of one file.
        expected: what is known about them.

    Returns:
        The scale and offset of the file, the place of each tile, and when it was taken.

    Raises:
        TileError: the file cannot be opened.
    """
    first = tiles[0]
    with rasters.borrow(first, expected) as raster:
        whole = Window(0, 0, raster.dataset.width, raster.dataset.height)
        windows = [tile.window or whole for tile in tiles]
        return raster.meaning.packing, places_of(raster.dataset, windows), raster.taken


def _facts_of(tile: Tile, dataset: DatasetReader) -> SceneFacts:
    _require_room(tile, dataset)
    block_height, block_width = dataset.block_shapes[0]
    pixel = pixel_size_m(dataset)
    return SceneFacts(
        dataset.width,
        dataset.height,
        (block_width, block_height),
        None if pixel is None else (pixel.width_m, pixel.height_m),
        None if _holds_every_block(tile, dataset) else _stored_blocks(dataset),
        pixel is not None and pixel.varies,
    )


def _holds_every_block(tile: Tile, dataset: DatasetReader) -> bool:
    """Whether a file is large enough to hold every value uncompressed: then no block is missing."""
    values = dataset.width * dataset.height * dataset.count
    bytes_each = np.dtype(dataset.dtypes[0]).itemsize
    return not tile.location.is_local or tile.location.state()[0] >= values * bytes_each


def _require_room(tile: Tile, dataset: DatasetReader) -> None:
    """Refuse a file that is too small for the size it declares, if its format limits that."""
    least = _MAX_VALUES_PER_BYTE.get(dataset.driver)
    if least is None or not tile.location.is_local:
        return
    size_bytes = tile.location.state()[0]
    values = dataset.width * dataset.height * (1 if dataset.driver == "JPEG" else dataset.count)
    if values > least * size_bytes:
        declared = f"{dataset.width}×{dataset.height} px"
        raise TileError(tile.id, f"its {size_bytes:,} bytes cannot hold the {declared} it declares")


def _stored_blocks(dataset: DatasetReader) -> NDArray[np.bool_] | None:
    """Which blocks a sparse TIFF holds, (rows, columns); None if all, or if that is unknown.

    The other blocks are nodata.
    """
    height, width = dataset.block_shapes[0]
    shape = -(-dataset.height // height), -(-dataset.width // width)
    if dataset.driver != "GTiff" or not 1 < shape[0] * shape[1] <= _MAX_BLOCKS:
        return None
    from rasterio.enums import Interleaving

    bands = dataset.indexes if dataset.interleaving == Interleaving.band else (1,)
    stored = np.zeros(shape, bool)
    for band in bands:
        for row, column in np.argwhere(~stored).tolist():
            name = f"BLOCK_OFFSET_{column}_{row}"
            stored[row, column] = dataset.get_tag_item(name, "TIFF", bidx=band) is not None
    return None if stored.all() else stored
