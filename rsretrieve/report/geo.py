"""Hits as GeoJSON (RFC 7946): footprints in WGS 84 longitude and latitude."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rsretrieve.report.records import hit_json
from rsretrieve.storage import write_json

if TYPE_CHECKING:  # it loads PyTorch
    from rsretrieve.retrieval.search import QueryResult

Point = tuple[float, float]


def write_geojson(path: Path, results: Sequence[QueryResult], *, overwrite: bool) -> int:
    """Write a feature a hit; hits without georeference have a null geometry.

    Returns:
        How many hits have a footprint.
    """
    features = [
        {
            "type": "Feature",
            "geometry": None
            if hit.found.place is None
            else footprint_geometry(hit.found.place.footprint),
            "properties": {"query": result.query.path, **hit_json(hit)},
        }
        for result in results
        for hit in result.hits
    ]
    write_json(path, {"type": "FeatureCollection", "features": features}, overwrite=overwrite)
    return sum(feature["geometry"] is not None for feature in features)


def footprint_geometry(footprint: Sequence[Point]) -> dict[str, Any]:
    """A footprint as a GeoJSON geometry.

    Rings are closed and counter-clockwise. A footprint across the antimeridian is cut there
    into two polygons (RFC 7946, section 3.1.9).

    Args:
        footprint: the corners, (lon, lat) in degrees.
    """
    longitudes = [lon for lon, _ in footprint]
    if max(longitudes) - min(longitudes) <= 180:
        return {"type": "Polygon", "coordinates": [_ring(footprint)]}
    eastward = [(lon + 360 if lon < 0 else lon, lat) for lon, lat in footprint]
    west = _cut(eastward, keep_below=True)
    east = [(lon - 360, lat) for lon, lat in _cut(eastward, keep_below=False)]
    # A tile that only touches the line has a corner or an edge beyond it, and no area there.
    polygons = [[_ring(part)] for part in (west, east) if len(part) > 2]
    if len(polygons) == 1:
        return {"type": "Polygon", "coordinates": polygons[0]}
    return {"type": "MultiPolygon", "coordinates": polygons}


def _ring(corners: Sequence[Point]) -> list[list[float]]:
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
