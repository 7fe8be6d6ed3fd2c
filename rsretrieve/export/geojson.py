"""Write hits as GeoJSON (RFC 7946): footprints in WGS 84 longitude and latitude."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rsretrieve._core.atomic_write import write_json
from rsretrieve.data.geo.footprints import Point, rings_of
from rsretrieve.data.geo.place import Place
from rsretrieve.export.results import hit_rows

if TYPE_CHECKING:
    from rsretrieve.search.search import QueryResult


def write_geojson(path: Path, results: Sequence[QueryResult], *, overwrite: bool) -> int:
    """Write one feature per hit; the geometry is null without a georeference.

    Args:
        path: the GeoJSON file.
        results: the queries and their hits.
        overwrite: replace an existing file.

    Returns:
        Number of hits with a footprint.
    """
    places = [hit.found.place for result in results for hit in result.hits]
    features = [
        {"type": "Feature", "geometry": place_geometry(place), "properties": row}
        for place, row in zip(places, hit_rows(results))
    ]
    write_json(path, {"type": "FeatureCollection", "features": features}, overwrite=overwrite)
    return sum(feature["geometry"] is not None for feature in features)


def place_geometry(place: Place | None) -> dict[str, Any] | None:
    """The area of a place as a GeoJSON geometry, with all its polygons and holes; None for None."""
    if place is None:
        return None
    if place.parts is None:
        return footprint_geometry(place.footprint)
    polygons = [
        [[list(point) for point in (*ring, ring[0])] for ring in rings] for rings in place.parts
    ]
    if len(polygons) == 1:
        return {"type": "Polygon", "coordinates": polygons[0]}
    return {"type": "MultiPolygon", "coordinates": polygons}


def footprint_geometry(footprint: Sequence[Point]) -> dict[str, Any]:
    """A footprint as a GeoJSON geometry.

    Rings are closed and counter-clockwise. A footprint that crosses the antimeridian is cut
    into two polygons (RFC 7946, section 3.1.9). External embeddings may have points or lines as
    footprints; these stay points or lines.

    Args:
        footprint: the corners, (lon, lat) in degrees; one for a point, two for a line.

    Returns:
        The geometry as a JSON object.
    """
    if len(footprint) == 1:
        return {"type": "Point", "coordinates": list(footprint[0])}
    if len(footprint) == 2:
        return {"type": "LineString", "coordinates": [list(point) for point in footprint]}
    rings = rings_of(footprint)
    if len(rings) == 1:
        return {"type": "Polygon", "coordinates": rings}
    return {"type": "MultiPolygon", "coordinates": [[ring] for ring in rings]}
