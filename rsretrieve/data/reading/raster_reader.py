"""Read whole tiles and windows of scenes with rasterio; windows that lie close, in one read."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsretrieve.data.geo.georeference import NOT_PLACED
from rsretrieve.data.geo.place import Placing
from rsretrieve.data.geo.window_places import places_of
from rsretrieve.data.reading.datasets import (
    OpenRasters,
    Raster,
    open_raster,
    raster_errors,
    reading_from,
)
from rsretrieve.data.reading.raw_tile import (
    RawTile,
    check_tile_size,
    none_if_all,
    require_readable_type,
)
from rsretrieve.data.tile import Tile
from rsretrieve.data.window import Window
from rsretrieve.data.workers.limits import allow_values, begin_tile, end_tile
from rsretrieve.errors import TileError

_SAMPLE_BYTES = 16_000_000  # of a file, for the limit of a few windows
Pixels = tuple[NDArray[Any], NDArray[np.bool_] | None]
"""Values (C, H, W), and which are valid; None: all."""


def read_raster(tile: Tile) -> RawTile:
    """Read a tile, or a window of a scene.

    Raises:
        TileError: it cannot be read.
    """
    with (
        raster_errors(tile.id),
        reading_from(tile),
        closing(open_raster(tile)) as raster,
    ):
        window = tile.window or Window(0, 0, raster.dataset.width, raster.dataset.height)
        values, valid = _read_window(raster, tile.id, window)
        return RawTile(values, valid, *places_of(raster.dataset, [window])[0])


def place_by_sidecar(tile: Tile) -> Placing:
    """The place that sidecars give to a tile whose pixels are read without GDAL."""
    try:
        with (
            raster_errors(tile.id),
            reading_from(tile),
            closing(open_raster(tile)) as raster,
        ):
            window = Window(0, 0, raster.dataset.width, raster.dataset.height)
            return places_of(raster.dataset, [window])[0]
    except (TileError, OSError):
        return Placing(None, f"{NOT_PLACED}a file beside them is not read, or no georeference")


def read_windows(rasters: OpenRasters, tiles: Sequence[Tile]) -> list[RawTile | TileError]:
    """Read windows of one scene that lie close together.

    The pixels are the same as from `read_raster`.

    Args:
        rasters: keeps the scene open.
        tiles: windows of the same file.

    Returns:
        For each window its tile, or the error.
    """
    first = tiles[0]
    windows = [tile.window for tile in tiles if tile.window is not None]
    try:
        with (
            raster_errors(first.id),
            reading_from(first),
            rasters.borrow(first) as raster,
        ):
            places = places_of(raster.dataset, windows)
            pixels = _read_all(raster, tiles, windows)
    except TileError as error:
        return [TileError(tile.id, error.reason) for tile in tiles]
    return [
        found if isinstance(found, TileError) else RawTile(*found, *placing)
        for found, placing in zip(pixels, places)
    ]


def require_one_readable(windows: Sequence[Tile]) -> None:
    """Raise a `TileError` if none of some windows of one scene can be read."""
    first = windows[0]
    begin_tile(
        min(Path(first.path).stat().st_size if Path(first.path).exists() else 0, _SAMPLE_BYTES)
    )
    try:
        with (
            raster_errors(first.id),
            reading_from(first),
            closing(open_raster(first)) as raster,
        ):
            inner = [(tile, tile.window) for tile in windows if tile.window is not None]
            if not any(_is_readable(raster, tile.id, window) for tile, window in inner):
                raise TileError(first.id, f"none of {len(inner)} windows across it can be decoded")
    finally:
        end_tile()


def _is_readable(raster: Raster, tile_id: str, window: Window) -> bool:
    try:
        _read_window(raster, tile_id, window)
    except TileError:
        return False
    return True


def _read_all(
    raster: Raster, tiles: Sequence[Tile], windows: Sequence[Window]
) -> list[Pixels | TileError]:
    whole = all(window.shape_px == (window.height, window.width) for window in windows)
    if whole and len(tiles) > 1:
        try:
            return _read_together(raster, tiles, windows)
        except TileError:
            pass  # one of the windows cannot be read: they are read one by one below
    pixels: list[Pixels | TileError] = []
    for tile, window in zip(tiles, windows):
        try:
            pixels.append(_read_window(raster, tile.id, window))
        except TileError as error:
            pixels.append(error)
    return pixels


def _read_together(
    raster: Raster, tiles: Sequence[Tile], windows: Sequence[Window]
) -> list[Pixels | TileError]:
    """Read the rectangle around all windows at once, and cut the windows from it."""
    inner = [_within(raster, tile.id, window) for tile, window in zip(tiles, windows)]
    left, top = min(w.col for w in inner), min(w.row for w in inner)
    right, bottom = max(w.col + w.width for w in inner), max(w.row + w.height for w in inner)
    around = Window(left, top, right - left, bottom - top)
    values, valid = _read_part(raster, tiles[0].id, around, (around.height, around.width))
    values.flags.writeable = False  # overlapping windows share it
    pixels: list[Pixels | TileError] = []
    for tile, window, part in zip(tiles, windows, inner):
        check_tile_size(tile.id, window.width, window.height)
        rows = slice(part.row - top, part.row - top + part.height)
        cols = slice(part.col - left, part.col - left + part.width)
        cut = None if valid is None else none_if_all(valid[:, rows, cols])
        pixels.append(_padded((values[:, rows, cols], cut), (window.height, window.width)))
    return pixels


def _read_window(raster: Raster, tile_id: str, window: Window) -> Pixels:
    height, width = window.shape_px
    check_tile_size(tile_id, width, height)
    inner = _within(raster, tile_id, window)
    shape = (
        max(1, round(inner.height * height / window.height)),
        max(1, round(inner.width * width / window.width)),
    )
    return _padded(_read_part(raster, tile_id, inner, shape), (height, width))


def _within(raster: Raster, tile_id: str, window: Window) -> Window:
    """The part of a window inside the scene."""
    scene_width, scene_height = raster.dataset.width, raster.dataset.height
    width, height = scene_width - window.col, scene_height - window.row
    if window.width <= width and window.height <= height:
        return window
    if width <= 0 or height <= 0:
        raise TileError(
            tile_id, f"the window lies outside the scene of {scene_width}×{scene_height} px"
        )
    return Window(window.col, window.row, min(window.width, width), min(window.height, height))


def _read_part(raster: Raster, tile_id: str, window: Window, shape: tuple[int, int]) -> Pixels:
    """Read a rectangle as (C, *shape), by averaging if `shape` is smaller."""
    from rasterio.enums import Resampling
    from rasterio.windows import Window as RasterWindow

    bands, dataset = list(raster.bands), raster.dataset
    allow_values(_values_to_decode(raster, window))
    part: dict[str, Any] = {
        "window": RasterWindow(window.col, window.row, window.width, window.height)
    }
    if shape != (window.height, window.width):
        part |= {"out_shape": (len(bands), *shape), "resampling": Resampling.average}
    with raster_errors(tile_id):
        values = _readable(tile_id, dataset.read(bands, **part))
        valid = np.isfinite(values) if values.dtype.kind == "f" else None
        if raster.masked:
            masked = dataset.read_masks(bands, **part) > 0
            valid = masked if valid is None else valid & masked
    return values, none_if_all(valid)


def _values_to_decode(raster: Raster, window: Window) -> int:
    """The number of values, over all bands, in the blocks that a rectangle touches."""
    height, width = raster.dataset.block_shapes[0]
    rows = (window.row + window.height - 1) // height - window.row // height + 1
    columns = (window.col + window.width - 1) // width - window.col // width + 1
    return int(rows * height * columns * width * len(raster.bands))


def _readable(tile_id: str, values: NDArray[Any]) -> NDArray[Any]:
    kind = values.dtype.newbyteorder("=").name
    require_readable_type(tile_id, kind)
    return np.ascontiguousarray(values, dtype="float32" if kind == "float64" else kind)


def _padded(pixels: Pixels, shape: tuple[int, int]) -> Pixels:
    """Pad pixels at the right and below with invalid ones."""
    values, valid = pixels
    height, width = values.shape[1:]
    if (height, width) == shape:
        return pixels
    padded = np.zeros((len(values), *shape), values.dtype)
    padded[:, :height, :width] = values
    mask = np.zeros(padded.shape, bool)
    mask[:, :height, :width] = True if valid is None else valid
    return padded, mask
