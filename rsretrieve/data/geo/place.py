"""The place of a tile on Earth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from math import atan2, cos, degrees, hypot, radians, sin
from typing import Any, NamedTuple

from rsretrieve.data.geo.footprints import Parts, Point, crosses_antimeridian, doubled_area
from rsretrieve.data.notes import Note

_LEAST_AREA = 1e-12  # square degrees


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a tile on Earth.

    Attributes:
        crs: the tile's coordinate reference system, "EPSG:32618" or WKT.
        bounds: left, bottom, right, top in the units of `crs`.
        footprint: the tile's corners as (lon, lat) in WGS 84 degrees: upper left, lower
            left, lower right, upper right (counter-clockwise for a north-up tile, and always
            for one wider than half the globe; see `crosses_antimeridian`), with points between
            them where the edges are curved. If the tile contains a pole: its outline from −180
            to 180, and back along the pole.
        parts: the area exactly, as polygons of rings, if one ring cannot say it: several
            polygons, or holes. `footprint` is then a box around it. Else None.
    """

    crs: str
    bounds: tuple[float, float, float, float]
    footprint: tuple[Point, ...]
    parts: Parts | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return Place, (self.crs, self.bounds, self.footprint, self.parts)

    def sent(self) -> tuple[Any, ...]:
        """What a worker sends: rings as flat lists of numbers, of which there are many."""
        parts = self.parts
        flat = None if parts is None else [[_flat(ring) for ring in rings] for rings in parts]
        return self.crs, self.bounds, _flat(self.footprint), flat

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Place:
        """A place from its fields, as `dataclasses.asdict` gives them.

        Raises:
            KeyError, TypeError, ValueError: it is not a place.
        """
        left, bottom, right, top = map(float, content["bounds"])
        parts = content.get("parts")
        return cls(
            str(content["crs"]),
            (left, bottom, right, top),
            _points(content["footprint"]),
            None if parts is None else tuple(tuple(map(_points, rings)) for rings in parts),
        )

    @property
    def centre(self) -> Point:
        """Mean of the corners, (lon, lat) in degrees, also across the antimeridian.

        If there are other points than four corners, the centroid of the area. If the tile
        contains a pole, the pole.
        """
        if self.parts is not None:
            return _centre_of_parts(self.parts)
        if (-180.0, 90.0) in self.footprint or (-180.0, -90.0) in self.footprint:
            poles = [lat for lon, lat in self.footprint if abs(lat) == 90 and abs(lon) == 180]
            if len(poles) == 2 and len(self.footprint) > 4:
                return 0.0, poles[0]
        corners = list(self.footprint)
        if crosses_antimeridian(corners):
            corners = [(lon + 360 if lon < 0 else lon, lat) for lon, lat in corners]
        lon, lat = _mean(corners) if len(corners) <= 4 else _centroid(corners)[:2]
        return (lon - 360 if lon > 180 else lon), lat


class Placing(NamedTuple):
    """Where a tile lies, as far as its file tells.

    Attributes:
        place: the place, or None.
        remark: why there is none although the file has a georeference, or why it is only
            approximate. Else None.
    """

    place: Place | None
    remark: Note | None = None


def received_place(crs: str, bounds: Any, footprint: Any, parts: Any) -> Place:
    """The place that a worker sent, with rings as in `Place.sent`; its numbers were checked."""
    inner = None if parts is None else tuple(tuple(map(_ring, rings)) for rings in parts)
    return Place(crs, bounds, _ring(footprint), inner)


def _flat(ring: Sequence[Point]) -> list[float]:
    return [*chain.from_iterable(ring)]


def _ring(flat: Sequence[float]) -> tuple[Point, ...]:
    return tuple(zip(flat[::2], flat[1::2]))


def _points(pairs: Any) -> tuple[Point, ...]:
    return tuple((float(lon), float(lat)) for lon, lat in pairs)


def _mean(corners: Sequence[Point]) -> Point:
    lons, lats = zip(*corners)
    return sum(lons) / len(lons), sum(lats) / len(lats)


def _centroid(corners: Sequence[Point]) -> tuple[float, float, float]:
    """The centroid of a ring, and twice its area."""
    area = doubled_area(corners)
    if abs(area) < _LEAST_AREA:
        return *_mean(corners), 0.0
    x0, y0 = corners[0]
    lon = lat = 0.0
    for (x, y), (a, b) in zip(corners, [*corners[1:], corners[0]]):
        weight = (x - x0) * (b - y0) - (a - x0) * (y - y0)
        lon, lat = lon + weight * (x + a - 2 * x0), lat + weight * (y + b - 2 * y0)
    return x0 + lon / (3 * area), y0 + lat / (3 * area), abs(area)


def _centre_of_parts(parts: Parts) -> Point:
    """The mean direction of the parts, each by its area; that of the largest if they cancel."""
    centroids = [_centroid(rings[0]) for rings in parts]
    x = y = z = total = 0.0
    for lon, lat, area in centroids:
        weight = area * cos(radians(lat))
        x += weight * cos(radians(lat)) * cos(radians(lon))
        y += weight * cos(radians(lat)) * sin(radians(lon))
        z += weight * sin(radians(lat))
        total += weight
    if hypot(x, y, z) <= 1e-6 * total:
        return max(centroids, key=lambda found: found[2])[:2]
    return degrees(atan2(y, x)), degrees(atan2(z, hypot(x, y)))
