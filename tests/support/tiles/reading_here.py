"""What the escape tests have workers do: open a file as tiles are opened, in every way there is."""

from __future__ import annotations

from dataclasses import replace

from rsretrieve.data.reading.pillow_reader import read_raw
from rsretrieve.data.tile import Tile
from rsretrieve.data.window import Window
from rsretrieve.errors import TileError
from tests.support.tiles.attempts import PRIVATE, SIDE

WINDOWS = (None, Window(0, 0, SIDE, SIDE), Window(0, 0, SIDE, SIDE, SIDE // 4))


def shows_private_pixels(tile: Tile) -> bool:
    """Whether a tile, read whole, as a window, and by its overviews, has a private pixel."""
    return any(_is_private(replace(tile, window=window)) for window in WINDOWS)


def _is_private(tile: Tile) -> bool:
    try:
        raw = read_raw(tile)
    except TileError:
        return False
    masked = raw.valid is not None and not raw.valid.all()  # by a mask that is the private one
    return bool((raw.values > PRIVATE // 2).any()) or masked
