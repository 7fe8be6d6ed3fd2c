"""Read whole tiles and windows of scenes with rasterio; windows that lie close, in one read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsretrieve.data.geo.place import Placing
from rsretrieve.data.geo.window_places import places_of
from rsretrieve.data.notes import Note
from rsretrieve.data.pixels.averages import Averages, is_spoilt
from rsretrieve.data.pixels.expected import ANYTHING, Expected
from rsretrieve.data.pixels.meaning import Decoded
from rsretrieve.data.reading.datasets import Raster, opened_raster, raster_errors
from rsretrieve.data.reading.open_rasters import OpenRasters
from rsretrieve.data.reading.raw_tile import (
    RawTile,
    check_tile_size,
    none_if_all,
)
from rsretrieve.data.tile import Tile
from rsretrieve.data.window import Window
from rsretrieve.data.workers.limits import allow_values, tile_limits
from rsretrieve.errors import TileError

_SAMPLE_BYTES = 16_000_000  # of a file, for the limit of a few windows
_COARSE_FROM_PX = 4096
"""Longer sides are first thinned to this many pixels where GDAL cannot average by itself."""
_STRIP_VALUES = 1 << 22
Stored = tuple[NDArray[Any], NDArray[np.bool_] | None]
"""Values as GDAL reads them, (C, H, W), and where GDAL has a measurement; None: everywhere."""


def read_raster(tile: Tile, expected: Expected = ANYTHING) -> RawTile:
    """Read a tile, or a window of a scene.

    Raises:
        TileError: it cannot be read.
    """
    with opened_raster(tile, expected) as raster:
        window = tile.window or Window(0, 0, raster.dataset.width, raster.dataset.height)
        pixels = _read_window(raster, tile.id, window)
        return _raw(raster, pixels, places_of(raster.dataset, [window])[0])


def _raw(raster: Raster, pixels: Decoded, placing: Placing) -> RawTile:
    notes = pixels.notes if placing.remark is None else (*pixels.notes, placing.remark)
    place, packing = placing.place, raster.meaning.packing
    return RawTile(pixels.values, pixels.valid, place, packing, notes, raster.taken)


def read_windows(
    rasters: OpenRasters, tiles: Sequence[Tile], expected: Expected = ANYTHING
) -> list[RawTile | TileError]:
    """Read windows of one scene that lie close together.

    The pixels are the same as from `read_raster`.

    Args:
        rasters: keeps the scene open.
        tiles: windows of the same file.
        expected: what is known about them.

    Returns:
        For each window its tile, or the error.
    """
    first = tiles[0]
    windows = [tile.window for tile in tiles if tile.window is not None]
    try:
        with rasters.borrow(first, expected) as raster:
            places = places_of(raster.dataset, windows)
            pixels = _read_all(raster, tiles, windows)
    except TileError as error:
        return [TileError(tile.id, error.reason) for tile in tiles]
    return [
        found if isinstance(found, TileError) else _raw(raster, found, placing)
        for found, placing in zip(pixels, places)
    ]


def require_one_readable(windows: Sequence[Tile]) -> None:
    """Raise a `TileError` if none of some windows of one scene can be read."""
    first = windows[0]
    with tile_limits(min(_bytes_of(first), _SAMPLE_BYTES)), opened_raster(first) as raster:
        inner = [(tile, tile.window) for tile in windows if tile.window is not None]
        if not any(_is_readable(raster, tile.id, window) for tile, window in inner):
            raise TileError(first.id, f"none of {len(inner)} windows across it can be decoded")


def _bytes_of(tile: Tile) -> int:
    try:
        return max(tile.location.state()[0], 0)
    except OSError:
        return 0


def _is_readable(raster: Raster, tile_id: str, window: Window) -> bool:
    try:
        _read_window(raster, tile_id, window)
    except TileError:
        return False
    return True


def _read_all(
    raster: Raster, tiles: Sequence[Tile], windows: Sequence[Window]
) -> list[Decoded | TileError]:
    whole = all(window.shape_px == (window.height, window.width) for window in windows)
    if whole and len(tiles) > 1:
        try:
            return _read_together(raster, tiles, windows)
        except TileError:
            pass  # one of the windows cannot be read: they are read one by one below
    pixels: list[Decoded | TileError] = []
    for tile, window in zip(tiles, windows):
        try:
            pixels.append(_read_window(raster, tile.id, window))
        except TileError as error:
            pixels.append(error)
    return pixels


def _read_together(
    raster: Raster, tiles: Sequence[Tile], windows: Sequence[Window]
) -> list[Decoded | TileError]:
    """Read the rectangle around all windows at once, and cut the windows from it."""
    inner = [_within(raster, tile.id, window) for tile, window in zip(tiles, windows)]
    left, top = min(w.col for w in inner), min(w.row for w in inner)
    right, bottom = max(w.col + w.width for w in inner), max(w.row + w.height for w in inner)
    around = Window(left, top, right - left, bottom - top)
    stored, mask = _stored(raster, tiles[0].id, around)
    shared = _decoded(raster, stored, mask)
    shared.values.flags.writeable = False  # overlapping windows share it
    is_alike = shared.notes == raster.meaning.notes
    pixels: list[Decoded | TileError] = []
    for tile, window, part in zip(tiles, windows, inner):
        check_tile_size(tile.id, window.width, window.height)
        rows = slice(part.row - top, part.row - top + part.height)
        cols = slice(part.col - left, part.col - left + part.width)
        if is_alike:
            cut = _cut(shared, rows, cols)
        else:  # what is said about the rectangle need not hold for each of its windows
            seen = None if mask is None else mask[:, rows, cols]
            cut = _decoded(raster, stored[:, rows, cols], seen)
        pixels.append(_padded(cut, (window.height, window.width)))
    return pixels


def _read_window(raster: Raster, tile_id: str, window: Window) -> Decoded:
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


def _read_part(raster: Raster, tile_id: str, window: Window, shape: tuple[int, int]) -> Decoded:
    """Read a rectangle as (C, *shape), by averaging if `shape` is smaller."""
    if shape == (window.height, window.width):
        return _decoded(raster, *_stored(raster, tile_id, window))
    if raster.meaning.is_linear and raster.picture() is None:
        values, mask = _stored(raster, tile_id, window, shape)
        if not is_spoilt(values, mask):
            return _decoded(raster, values, mask)
    return _averaged(raster, tile_id, window, shape)


def _stored(
    raster: Raster,
    tile_id: str,
    window: Window,
    shape: tuple[int, int] | None = None,
    resampling: str = "average",
) -> Stored:
    """Read a rectangle as GDAL has it, at full resolution or resampled to `shape`."""
    from rasterio.enums import Resampling
    from rasterio.windows import Window as RasterWindow

    bands, dataset = list(raster.meaning.bands), raster.dataset
    allow_values(_values_to_decode(raster, window))
    part: dict[str, Any] = {
        "window": RasterWindow(window.col, window.row, window.width, window.height)
    }
    if shape is not None:
        part |= {"out_shape": (len(bands), *shape), "resampling": Resampling[resampling]}
    with raster_errors(tile_id):
        raster.require_whole(tile_id)
        picture = raster.picture()
        if picture is None:
            values = dataset.read(bands, **part)
        else:
            rows = slice(window.row, window.row + window.height)
            values = picture[:, rows, window.col : window.col + window.width]
        mask = _mask(raster, part, values)
    return values, mask


def _mask(raster: Raster, part: dict[str, Any], stored: NDArray[Any]) -> NDArray[np.bool_] | None:
    """Where the file declares a measurement, for every band; None: everywhere.

    GDAL uses the first of a mask, nodata values and alpha; a file may declare several.
    """
    meaning, masks = raster.meaning, list[NDArray[np.bool_]]()
    of_a_band = part | ({"out_shape": part["out_shape"][1:]} if "out_shape" in part else {})
    if meaning.masked and meaning.one_mask:
        masks.append(raster.dataset.read_masks(meaning.bands[0], **of_a_band) > 0)
    elif meaning.masked:
        masks.append(raster.dataset.read_masks(list(meaning.bands), **part) > 0)
    if meaning.mask_band:
        masks.append(raster.dataset.read(meaning.mask_band, **of_a_band) > 0)
    if (absent := meaning.is_nodata(stored)) is not None:
        masks.append(~absent)
    found = [one for one in masks if none_if_all(one) is not None]
    if not found:
        return None
    return np.broadcast_to(np.logical_and.reduce(np.broadcast_arrays(*found)), stored.shape)


def _decoded(raster: Raster, stored: NDArray[Any], mask: NDArray[np.bool_] | None) -> Decoded:
    pixels = raster.meaning.pixels(stored, mask)
    return pixels._replace(valid=none_if_all(pixels.valid))


def _averaged(raster: Raster, tile_id: str, window: Window, shape: tuple[int, int]) -> Decoded:
    """Average the pixels, not the stored values; invalid pixels do not spread."""
    fine = window.height, window.width
    if raster.picture() is None:
        sides = (min(side, max(_COARSE_FROM_PX, to)) for side, to in zip(fine, shape))
        fine = next(sides), next(sides)
    averages, notes = Averages(fine, shape), list[Note]()
    rows = max(1, _STRIP_VALUES // (window.width * len(raster.meaning.bands)))
    whole = fine == (window.height, window.width)
    step = rows if whole else window.height
    for top in range(0, window.height, step):
        height = min(step, window.height - top)
        strip = Window(window.col, window.row + top, window.width, height)
        thinned = () if whole else (fine, "nearest")
        pixels = _decoded(raster, *_stored(raster, tile_id, strip, *thinned))
        averages.add(top, pixels.values, pixels.valid)
        notes += [note for note in pixels.notes if note not in notes]
    values, valid = averages.finish()
    return Decoded(values, none_if_all(valid), tuple(notes))


def _values_to_decode(raster: Raster, window: Window) -> int:
    """The number of values, over all bands, in the blocks that a rectangle touches."""
    height, width = raster.dataset.block_shapes[0]
    rows = (window.row + window.height - 1) // height - window.row // height + 1
    columns = (window.col + window.width - 1) // width - window.col // width + 1
    return int(rows * height * columns * width * len(raster.meaning.bands))


def _cut(pixels: Decoded, rows: slice, columns: slice) -> Decoded:
    """A part of decoded pixels."""
    valid = None if pixels.valid is None else none_if_all(pixels.valid[:, rows, columns])
    return Decoded(pixels.values[:, rows, columns], valid, pixels.notes)


def _padded(pixels: Decoded, shape: tuple[int, int]) -> Decoded:
    """Pad pixels at the right and below with invalid ones."""
    values, valid = pixels.values, pixels.valid
    height, width = values.shape[1:]
    if (height, width) == shape:
        return pixels
    padded = np.zeros((len(values), *shape), values.dtype)
    padded[:, :height, :width] = values
    mask = np.zeros(padded.shape, bool)
    mask[:, :height, :width] = True if valid is None else valid
    return Decoded(padded, mask, pixels.notes)
