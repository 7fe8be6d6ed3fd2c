"""Footprints as closed rings in longitude and latitude, cut at the antimeridian.

Not by `antimeridian.fix_polygon`: it also cuts wide footprints that do not cross, and rounds.
"""

from __future__ import annotations

from collections.abc import Sequence

Point = tuple[float, float]
Ring = list[list[float]]


def crosses_antimeridian(footprint: Sequence[Point]) -> bool:
    """Whether a footprint crosses longitude ±180.

    It does if it spans more than 180 degrees of longitude and its corners run clockwise.
    Corners run counter-clockwise in a footprint that does not cross, however wide it is; in
    one that crosses, the jump from 179 to −179 reverses the order.

    Args:
        footprint: the corners, (lon, lat) in degrees, as in `Place.footprint`.
    """
    longitudes = [lon for lon, _ in footprint]
    return max(longitudes) - min(longitudes) > 180 and _doubled_area(footprint) < 0


def rings_of(footprint: Sequence[Point]) -> list[Ring]:
    """A footprint as one closed, counter-clockwise ring, or as two at the antimeridian.

    A footprint that crosses the antimeridian is cut there (RFC 7946, section 3.1.9).

    Args:
        footprint: the corners, (lon, lat) in degrees, as in `Place.footprint`.
    """
    if not crosses_antimeridian(footprint):
        return [_ring(footprint)]
    eastward = [(lon + 360 if lon < 0 else lon, lat) for lon, lat in footprint]
    west = _cut(eastward, keep_below=True)
    east = [(lon - 360, lat) for lon, lat in _cut(eastward, keep_below=False)]
    # A footprint that only touches the antimeridian has no area beyond it: no second ring.
    return [_ring(part) for part in (west, east) if len(part) > 2]


def _ring(corners: Sequence[Point]) -> Ring:
    """Close a ring and order it counter-clockwise."""
    ordered = list(corners) if _doubled_area(corners) >= 0 else list(reversed(corners))
    return [[lon, lat] for lon, lat in [*ordered, ordered[0]]]


def _doubled_area(corners: Sequence[Point]) -> float:
    """Twice the signed area of a ring (the shoelace formula); negative if it runs clockwise."""
    following = [*corners[1:], corners[0]]
    return sum(x * b - a * y for (x, y), (a, b) in zip(corners, following))


def _cut(corners: Sequence[Point], *, keep_below: bool) -> list[Point]:
    """The part of a convex ring on one side of longitude 180 (Sutherland & Hodgman 1974)."""
    kept: list[Point] = []
    for (x, y), (a, b) in zip(corners, [*corners[1:], corners[0]]):
        if (x <= 180) == keep_below or x == 180:
            kept.append((x, y))
        if (x < 180 < a) or (a < 180 < x):
            kept.append((180.0, y + (b - y) * (180 - x) / (a - x)))
    return kept
