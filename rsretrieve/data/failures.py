"""The record of a tile that could not be used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rsretrieve.data.tile import Tile


@dataclass(frozen=True)
class Failure:
    """A tile that could not be used, and the reason.

    One bad tile never ends a run; every failure is reported.

    Attributes:
        tile: the tile.
        reason: why it could not be used, in words for the user.
        skipped: the user's choices exclude the tile (a window with more nodata than
            `--max-nodata` allows). It is counted, and not reported as an error.
    """

    tile: Tile
    reason: str
    skipped: bool = False

    @property
    def tile_id(self) -> str:
        """The tile's id."""
        return self.tile.id


def first_of(failures: Sequence[Failure]) -> str:
    """The first failure in brackets, for a message that no tile can be used; empty if none."""
    return "".join(f" (the first, {bad.tile_id}: {bad.reason})" for bad in failures[:1])
