"""Hits as GeoParquet 1.1: footprints as well-known binary, in WGS 84 longitude and latitude."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow
import shapely.geometry
from pyarrow import parquet

from rsretrieve.report.geo import footprint_geometry
from rsretrieve.report.records import hit_json
from rsretrieve.retrieval.search import QueryResult
from rsretrieve.storage import written_aside

GEOPARQUET_VERSION = "1.1.0"
_SCHEMA = pyarrow.schema(
    [
        ("query", pyarrow.string()),
        ("rank", pyarrow.int32()),
        ("tile", pyarrow.string()),
        ("path", pyarrow.string()),
        ("similarity", pyarrow.float64()),
        ("label", pyarrow.string()),
        ("crs", pyarrow.string()),
        ("bounds", pyarrow.list_(pyarrow.float64())),  # left, bottom, right, top, in `crs`
        ("lon", pyarrow.float64()),
        ("lat", pyarrow.float64()),
        ("geometry", pyarrow.binary()),
    ]
)


def write_geoparquet(
    path: Path, results: Sequence[QueryResult], provenance: dict[str, str], *, overwrite: bool
) -> int:
    """Write a row a hit; hits without georeference have a null geometry.

    Args:
        path: the file to write.
        results: the queries and their hits.
        provenance: of the hits, kept under `rsretrieve` in the file's metadata.
        overwrite: replace a file that is there.

    Returns:
        How many hits have a footprint.
    """
    geometries = [
        None if hit.found.place is None else footprint_geometry(hit.found.place.footprint)
        for result in results
        for hit in result.hits
    ]
    rows = [{"query": result.query, **hit_json(hit)} for result in results for hit in result.hits]
    for row, geometry in zip(rows, geometries):
        row["geometry"] = geometry and shapely.geometry.shape(geometry).wkb
    metadata = {
        "geo": json.dumps(_geo_metadata(geometries)),
        "rsretrieve": json.dumps(provenance),
    }
    table = pyarrow.Table.from_pylist(rows, schema=_SCHEMA.with_metadata(metadata))
    with written_aside(path, overwrite=overwrite) as aside:
        parquet.write_table(table, aside)
    return sum(geometry is not None for geometry in geometries)


def _geo_metadata(geometries: Sequence[dict[str, Any] | None]) -> dict[str, Any]:
    """The `geo` metadata; without a `crs` the specification means OGC:CRS84."""
    column = {
        "encoding": "WKB",
        "geometry_types": sorted({geometry["type"] for geometry in geometries if geometry}),
        "orientation": "counterclockwise",
        "edges": "planar",
    }
    return {
        "version": GEOPARQUET_VERSION,
        "primary_column": "geometry",
        "columns": {"geometry": column},
    }
