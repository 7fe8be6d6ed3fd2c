"""Footprints as closed rings in longitude and latitude, cut where the antimeridian cuts them."""

from __future__ import annotations

from collections.abc import Sequence

Point = tuple[float, float]
Ring = list[list[float]]


def rings_of(footprint: Sequence[Point]) -> list[Ring]:
    """A footprint as one closed, counter-clockwise ring, or as two at the antimeridian.

    A footprint that spans more than half the globe is one that crosses the antimeridian; it
    is cut there (RFC 7946, section 3.1.9).

    Args:
        footprint: the corners, (lon, lat) in degrees.
    """
    longitudes = [lon for lon, _ in footprint]
    if max(longitudes) - min(longitudes) <= 180:
        return [_ring(footprint)]
    eastward = [(lon + 360 if lon < 0 else lon, lat) for lon, lat in footprint]
    west = _cut(eastward, keep_below=True)
    east = [(lon - 360, lat) for lon, lat in _cut(eastward, keep_below=False)]
    # A tile that only touches the line has a corner or an edge beyond it, and no area there.
    return [_ring(part) for part in (west, east) if len(part) > 2]


def _ring(corners: Sequence[Point]) -> Ring:
    """Close a ring and turn it counter-clockwise."""
    following = [*corners[1:], corners[0]]
    doubled_area = sum(x * b - a * y for (x, y), (a, b) in zip(corners, following))
    ordered = list(corners) if doubled_area >= 0 else list(reversed(corners))
    return [[lon, lat] for lon, lat in [*ordered, ordered[0]]]


def _cut(corners: Sequence[Point], *, keep_below: bool) -> list[Point]:
    """The part of a convex ring on one side of longitude 180 (Sutherland & Hodgman 1974)."""
    kept: list[Point] = []
    for (x, y), (a, b) in zip(corners, [*corners[1:], corners[0]]):
        if (x <= 180) == keep_below or x == 180:
            kept.append((x, y))
        if (x < 180 < a) or (a < 180 < x):
            kept.append((180.0, y + (b - y) * (180 - x) / (a - x)))
    return kept
