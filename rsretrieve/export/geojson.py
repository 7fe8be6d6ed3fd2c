"""Hits as GeoJSON (RFC 7946): footprints in WGS 84 longitude and latitude."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rsretrieve._core.atomic_write import write_json
from rsretrieve.data.geo.footprints import Point, rings_of
from rsretrieve.export.results import hit_json

if TYPE_CHECKING:
    from rsretrieve.search.search import QueryResult

__all__ = ["Point", "footprint_geometry", "write_geojson"]


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
            "properties": {"query": result.query, **hit_json(hit)},
        }
        for result in results
        for hit in result.hits
    ]
    write_json(path, {"type": "FeatureCollection", "features": features}, overwrite=overwrite)
    return sum(feature["geometry"] is not None for feature in features)


def footprint_geometry(footprint: Sequence[Point]) -> dict[str, Any]:
    """A footprint as a GeoJSON geometry.

    Rings are closed and counter-clockwise. A footprint across the antimeridian is cut there
    into two polygons (RFC 7946, section 3.1.9). Embeddings made elsewhere may have points and
    lines for footprints, which stay that.

    Args:
        footprint: the corners, (lon, lat) in degrees.
    """
    if len(footprint) == 1:
        return {"type": "Point", "coordinates": list(footprint[0])}
    if len(footprint) == 2:
        return {"type": "LineString", "coordinates": [list(point) for point in footprint]}
    rings = rings_of(footprint)
    if len(rings) == 1:
        return {"type": "Polygon", "coordinates": rings}
    return {"type": "MultiPolygon", "coordinates": [[ring] for ring in rings]}
