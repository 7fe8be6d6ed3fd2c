"""Footprints in longitude and latitude: closed rings, polygons, and what crosses ±180.

Not by `antimeridian.fix_polygon`: it also cuts wide footprints that do not cross, and rounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Point = tuple[float, float]
Ring = list[list[float]]
Parts = tuple[tuple[tuple[Point, ...], ...], ...]
"""Polygons in longitudes from −180 to 180. Each is its outer ring and its holes, not closed."""

_SLIVER = 1e-9  # of a shape's area; what rounding leaves on the other side of the antimeridian


class Shape(NamedTuple):
    """An area on Earth.

    Attributes:
        footprint: the corners, as in `Place.footprint`.
        parts: the area exactly, where one ring cannot say it; else None.
    """

    footprint: tuple[Point, ...]
    parts: Parts | None = None


def crosses_antimeridian(footprint: Sequence[Point]) -> bool:
    """Whether a footprint crosses longitude ±180.

    It does if it spans more than 180 degrees of longitude and its corners run clockwise.
    Corners run counter-clockwise in a footprint that does not cross, however wide it is; in
    one that crosses, the jump from 179 to −179 reverses the order.

    Args:
        footprint: the corners, (lon, lat) in degrees, as in `Place.footprint`.
    """
    longitudes = [lon for lon, _ in footprint]
    return max(longitudes) - min(longitudes) > 180 and doubled_area(footprint) < 0


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


def shape_of_ring(unwrapped: tuple[NDArray[np.float64], int]) -> Shape | None:
    """The shape within a ring; None if its points do not say which area it encloses.

    Args:
        unwrapped: (2, N) longitudes, without jumps, and latitudes, counter-clockwise on the map;
            and how often the ring runs eastward around the Earth: 1 if it contains the north
            pole, −1 if it contains the south pole.
    """
    points, turns = unwrapped
    if turns:
        return None if abs(turns) > 1 else _around_a_pole(points, turns)
    lon = points[0] - 360 * round(float(points[0].mean()) / 360)
    corners = list(zip(lon.tolist(), points[1].tolist()))
    if doubled_area(corners) < 0:
        corners = [corners[0], *corners[:0:-1]]
    return shape_of_corners(corners)


def shape_of_corners(corners: Sequence[Point]) -> Shape | None:
    """The shape within a counter-clockwise ring whose longitudes may go beyond ±180."""
    lons = [lon for lon, _ in corners]
    if min(lons) >= -180 and max(lons) <= 180:
        return Shape(tuple(corners))
    turn = 360.0 if min(lons) < -180 else 0.0
    ahead = [lon + turn for lon in lons]
    wrapped = tuple((x - 360 if x > 180 else x, lat) for x, (_, lat) in zip(ahead, corners))
    beyond = [x > 180 for x in ahead]
    crossings = sum(one != other for one, other in zip(beyond, [*beyond[1:], beyond[0]]))
    is_simple = min(ahead) >= 0 and max(ahead) <= 360 and crossings == 2
    if is_simple and crosses_antimeridian(wrapped):
        return Shape(wrapped)
    import shapely

    return shape_of_area(shapely.Polygon(corners))


def _around_a_pole(points: NDArray[np.float64], turns: int) -> Shape | None:
    """A ring around a pole as a polygon from −180 to 180 and up to the pole."""
    import numpy as np

    lon, lat = points if turns > 0 else points[:, ::-1]
    if (np.diff(lon) <= 0).any():
        return None  # not every meridian crosses it once
    lon = (lon + 180) % 360 - 180
    order = np.argsort(lon, kind="stable")
    lon, lat = lon[order], lat[order]
    at_line = float(np.interp(180, (lon[-1], lon[0] + 360), (lat[-1], lat[0])))
    line = [(-180.0, at_line), *zip(lon.tolist(), lat.tolist()), (180.0, at_line)]
    pole = 90.0 * turns
    ring = [*line, (180.0, pole), (-180.0, pole)]
    return Shape(tuple(ring if pole > 0 else ring[::-1]))  # counter-clockwise


def shape_of_area(area: Any) -> Shape | None:
    """The shape of polygons; None if they have no area.

    Args:
        area: a Shapely polygon or multipolygon, whose longitudes may go beyond ±180.
    """
    import shapely

    polygons = [part for part in shapely.get_parts(_on_one_sheet(area)) if not part.is_empty]
    least = _SLIVER * sum(polygon.area for polygon in polygons)
    polygons = [
        shapely.geometry.polygon.orient(part) for part in polygons if part.area > max(least, 0)
    ]
    if not polygons:
        return None
    if len(polygons) == 1 and not polygons[0].interiors:
        return Shape(_open(polygons[0].exterior))
    parts = tuple(
        tuple(_open(ring) for ring in (part.exterior, *part.interiors)) for part in polygons
    )
    return Shape(_box_around(polygons), parts)


def _on_one_sheet(area: Any) -> Any:
    """An area with all longitudes in −180…180."""
    import shapely

    west, _, east, _ = area.bounds
    if west >= -180 and east <= 180:
        return area
    sheets = []
    for turn in range(int((west - 180) // 360), int((east + 180) // 360) + 1):
        by = -360.0 * turn
        sheet = shapely.intersection(area, shapely.box(-180 - by, -90, 180 - by, 90))
        sheets.append(shapely.transform(sheet, lambda xy, by=by: xy + (by, 0)))
    parts = shapely.get_parts(shapely.get_parts(sheets))  # also of collections
    return shapely.union_all(parts[shapely.get_dimensions(parts) == 2]).simplify(0)


def _open(ring: Any) -> tuple[Point, ...]:
    return tuple((float(point[0]), float(point[1])) for point in ring.coords[:-1])


def _box_around(polygons: Sequence[Any]) -> tuple[Point, ...]:
    """The corners of the smallest box around polygons; it may cross the antimeridian."""
    spans = sorted((part.bounds[0], part.bounds[2]) for part in polygons)
    south = min(part.bounds[1] for part in polygons)
    north = max(part.bounds[3] for part in polygons)
    west, east, gap = spans[0][0], max(end for _, end in spans), 0.0
    gap, reached = 360 - (east - west), spans[0][1]
    for start, end in spans[1:]:
        if start - reached > gap:
            west, east, gap = start, reached + 360, start - reached
        reached = max(reached, end)
    if east > 180 and east - west >= 180:
        west, east = -180.0, 180.0
    last = east - 360 if east > 180 else east
    return (west, north), (west, south), (last, south), (last, north)


def polygons_of(parts: Parts) -> Any:
    """The area of parts as a Shapely multipolygon."""
    import shapely

    return shapely.MultiPolygon([shapely.Polygon(outer, holes) for outer, *holes in parts])


def box_of(footprint: Sequence[Point]) -> tuple[float, float, float, float]:
    """West, south, east, north; west is larger than east across ±180 (RFC 7946, 5.2)."""
    lons, lats = zip(*footprint)
    if crosses_antimeridian(footprint):
        eastward = [lon + 360 if lon < 0 else lon for lon in lons]
        if max(eastward) > 180:
            return min(eastward), min(lats), max(eastward) - 360, max(lats)
    return min(lons), min(lats), max(lons), max(lats)


def _ring(corners: Sequence[Point]) -> Ring:
    """Close a ring and order it counter-clockwise."""
    ordered = list(corners) if doubled_area(corners) >= 0 else list(reversed(corners))
    return [[lon, lat] for lon, lat in [*ordered, ordered[0]]]


def doubled_area(corners: Sequence[Point]) -> float:
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
