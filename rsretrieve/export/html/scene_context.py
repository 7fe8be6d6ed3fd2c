"""The part of a scene around a window, for a picture."""

from __future__ import annotations

from dataclasses import replace

from rsretrieve.data.tile import Tile
from rsretrieve.data.window import MAX_PIXELS, Window

Box = tuple[float, float, float, float]


def tile_around(tile: Tile) -> tuple[Tile, Box] | None:
    """A window with its surroundings: one window's side on each side, where the scene goes on.

    Beyond the right and the lower edge of the scene, a window is nodata.

    Args:
        tile: any tile.

    Returns:
        The wider tile, and where the window lies in it: left, top, width and height, as shares of
        the wider tile. None if the tile is a whole file, or the wider window is too large to read.
    """
    window = tile.window
    if window is None:
        return None
    col, row = max(0, window.col - window.width), max(0, window.row - window.height)
    width = window.col + 2 * window.width - col
    height = window.row + 2 * window.height - row
    if width * height > MAX_PIXELS:
        return None
    box = (
        (window.col - col) / width,
        (window.row - row) / height,
        window.width / width,
        window.height / height,
    )
    return replace(tile, window=Window(col, row, width, height, window.read_px)), box
