"""Pictures of the review that are made when the browser asks for them."""

from __future__ import annotations

from collections.abc import Mapping

from rsretrieve.browse.picture_maker import Picture
from rsretrieve.data.tile import Tile

_SIDES_PX, _AROUND_PX = (384, 96, 768), 768
ADDRESSES = (*(f"picture/{{row}}/{side}" for side in _SIDES_PX), "around/{row}")
"""Of a card, to compare with, enlarged, and of the surroundings. Picture n is address
n modulo 4 of row n // 4."""


def picture_of(number: int) -> Picture:
    """The picture of a number."""
    row, use = divmod(number, len(ADDRESSES))
    if use < len(_SIDES_PX):
        return Picture(row, _SIDES_PX[use])
    return Picture(row, _AROUND_PX, is_wider=True)


class LinkedPictures:
    """Numbers that stand for addresses.

    Args:
        row_of: the row of each tile id of the index.
    """

    def __init__(self, row_of: Mapping[str, int]) -> None:
        self._row_of = row_of

    def of_card(self, tile: Tile, _: int) -> int:
        """The picture on a card."""
        return self.number(tile, 0)

    def compared(self, tile: Tile) -> int:
        """The small picture of a tile to compare with."""
        return self.number(tile, 1)

    def enlarged(self, tile: Tile) -> int:
        """A larger picture of the tile of a card."""
        return self.number(tile, 2)

    def around(self, tile: Tile, _: Tile) -> int:
        """The surroundings of a window."""
        return self.number(tile, 3)

    def reason(self, _: Tile) -> str:
        """Empty: whether a tile can be read is not known before it is shown."""
        return ""

    def number(self, tile: Tile, use: int) -> int:
        """The number of a picture; −1 if the index does not have the tile."""
        row = self._row_of.get(tile.id)
        return -1 if row is None else row * len(ADDRESSES) + use
