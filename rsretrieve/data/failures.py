"""Tiles that could not be used: one bad tile never ends a run, and every one is told of."""

from __future__ import annotations

from dataclasses import dataclass

from rsretrieve.data.tile import Tile


@dataclass(frozen=True)
class Failure:
    """A tile that could not be used, and why."""

    tile_id: str
    reason: str


@dataclass(frozen=True)
class Failed:
    """A tile that could not be used, and why.

    Attributes:
        tile: the tile.
        reason: why.
        skipped: it was to be passed over if it is like this (a window with too much
            nodata), which is nobody's failure.
    """

    tile: Tile
    reason: str
    skipped: bool = False
