"""Windows: the rectangles of a scene that are its tiles."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from rsretrieve.errors import InvalidArgument

MIN_SIDE_PX = 8
MAX_PIXELS = 64 * 1024 * 1024
"""A tile of more pixels is refused before it is decoded: 64 Mpx of RGB take 200 MB."""

_WINDOW_SUFFIX = re.compile(r"#([0-9]+),([0-9]+),([0-9]+),([0-9]+)$")
_LIKE_A_WINDOW = re.compile(r"#(?:\s*[+-]?\d+\s*,){3}\s*[+-]?\d+\s*$")  # also other digits
_MOST_DIGITS = 9  # GDAL counts pixels in 31 bits
_SHOWN_CHARACTERS = 60


@dataclass(frozen=True, slots=True)
class Window:
    """A rectangle of a scene, in pixels from its upper left corner.

    A tile's id ends in `#col,row,width,height`. Pixels beyond the right and lower edge of the
    scene are nodata.

    Attributes:
        col, row, width, height: the rectangle.
        read_px: the side to which a larger rectangle is reduced while it is read, by the file's
            overviews; None: it is read at the scene's own resolution.
    """

    col: int
    row: int
    width: int
    height: int
    read_px: int | None = None

    def __post_init__(self) -> None:
        if self.col < 0 or self.row < 0 or self.width < 1 or self.height < 1:
            raise InvalidArgument(f"invalid window of a scene: {self}")
        if self.read_px is not None and self.read_px < 1:
            raise InvalidArgument(f"a window cannot be read at {self.read_px} px")

    @property
    def shape_px(self) -> tuple[int, int]:
        """Height and width at which it is read."""
        if self.read_px is None:
            return self.height, self.width
        return min(self.height, self.read_px), min(self.width, self.read_px)

    def __reduce__(self) -> tuple[Any, ...]:
        # For processes: the default of a frozen dataclass with slots takes ten times as long.
        return Window, (self.col, self.row, self.width, self.height, self.read_px)

    def __str__(self) -> str:
        return f"#{self.col},{self.row},{self.width},{self.height}"


def is_like_a_window(name: str) -> bool:
    """Whether a name ends like the id of a window, also with signs, blanks or other digits.

    >>> is_like_a_window("a.tif#1,2,3,4"), is_like_a_window("a.tif#1,2,3")
    (True, False)
    """
    return "#" in name and _LIKE_A_WINDOW.search(name) is not None


def window_text(tile_id: str) -> str:
    """The window in a tile's id, always spelled alike; empty for a whole file.

    >>> window_text("scene.tif#064,0,32,32"), window_text("forest/a.jpg")
    ('#64,0,32,32', '')
    """
    found = _WINDOW_SUFFIX.search(tile_id) if "#" in tile_id else None
    # As text: Python converts no number of thousands of digits.
    return "" if found is None else "#" + ",".join(map(_plain, found.groups()))


def _plain(number: str) -> str:
    """A number without leading zeros."""
    return number.lstrip("0") or "0"


def split_window(tile_id: str) -> tuple[str, Window | None]:
    """Split a tile's id into its path and its window, if it has one.

    Raises:
        InvalidArgument: the window has no pixel, or a number of more than nine digits.

    >>> split_window("scene.tif#64,0,32,32")
    ('scene.tif', Window(col=64, row=0, width=32, height=32))
    >>> split_window("forest/a.jpg")
    ('forest/a.jpg', None)
    """
    found = _WINDOW_SUFFIX.search(tile_id)
    if found is None:
        return tile_id, None
    numbers = [*map(_plain, found.groups())]
    if max(map(len, numbers)) > _MOST_DIGITS:
        raise _invalid(found[0], f"a number has more than {_MOST_DIGITS} digits")
    return tile_id[: found.start()], Window(*map(int, numbers))


def split_given_window(tile_id: str) -> tuple[str, Window | None]:
    """As `split_window`, for an id that a person wrote: what looks like a window must be one.

    Raises:
        InvalidArgument: also if a number has a sign, blanks, or digits other than 0 to 9.
    """
    found = _LIKE_A_WINDOW.search(tile_id) if "#" in tile_id else None
    if found is not None and not _WINDOW_SUFFIX.search(tile_id):
        raise _invalid(found[0], "its four numbers are written with the digits 0 to 9 only")
    return split_window(tile_id)


def _invalid(window: str, why: str) -> InvalidArgument:
    shown = window if len(window) <= _SHOWN_CHARACTERS else f"{window[:_SHOWN_CHARACTERS]}…"
    return InvalidArgument(f"invalid window of a scene: {shown}: {why}")
