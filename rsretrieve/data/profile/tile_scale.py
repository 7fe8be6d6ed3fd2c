"""The size of the tiles of a set, in pixels and on the ground."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

Range = tuple[float, float]

LONGEST = 1e9
"""Limit of all lengths, in pixels and metres."""


@dataclass(frozen=True)
class TileScale:
    """The size of the tiles of a set; of rectangles, the side of the square of equal area.

    Attributes:
        side_px: the 10th and the 90th percentile of the tiles' sides in pixels; None if unknown.
        tile_m: the same of their sides on the ground, in metres.
        pixel_m: the same of the sides of their pixels on the ground.
    """

    side_px: Range | None = None
    tile_m: Range | None = None
    pixel_m: Range | None = None

    def to_json(self) -> dict[str, list[float] | None]:
        """As JSON values."""
        sides = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: None if side is None else list(side) for name, side in sides.items()}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> TileScale:
        """The inverse of `to_json`; an empty mapping gives an unknown scale.

        Raises:
            TypeError, ValueError: it is not a scale.
        """
        return cls(**{each.name: _range_of(content.get(each.name)) for each in fields(cls)})


def _range_of(value: Any) -> Range | None:
    if value is None:
        return None
    low, high = map(float, value)
    if not 0 < low <= high < LONGEST:
        raise ValueError(f"{value} is not a range of lengths")
    return low, high
