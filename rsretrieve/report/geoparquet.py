"""The embeddings of an index as GeoParquet 1.1, with what is known of the model."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
from pyarrow import parquet

from rsretrieve import __version__
from rsretrieve.report.geo import footprint_geometry
from rsretrieve.retrieval.foreign import METADATA_KEY
from rsretrieve.retrieval.index_store import IndexStore
from rsretrieve.retrieval.table import SCHEMA, IndexedTile, TileTable
from rsretrieve.storage import written_aside

_GROUP = 20_000  # rows written at once
_BOX = pyarrow.struct([(name, pyarrow.float64()) for name in ("xmin", "ymin", "xmax", "ymax")])
Extent = list[float]


def write_embeddings(path: Path, store: IndexStore, *, overwrite: bool) -> int:
    """Write every tile of an index with its embedding and its footprint.

    The geometry is the footprint in longitude and latitude (OGC:CRS84, the format's default);
    a tile without a place has none. The key `rsretrieve` of the file's metadata says which
    model made the vectors, so that an index built of the file can be asked by that model.

    Args:
        path: the file.
        store: the index.
        overwrite: replace a file that is there.

    Returns:
        How many tiles have a footprint.
    """
    placed, extents = 0, []
    with written_aside(path, overwrite=overwrite) as aside:
        # The extent of all stands in the file's head: it is found before anything is written.
        for start in range(0, len(store.rows), _GROUP):
            boxes = [_box(geometry) for geometry in map(_geometry, store.rows[start:][:_GROUP])]
            known = [list(box.values()) for box in boxes if box is not None]
            placed += len(known)
            extents += [_extent(known)] if known else []
        schema = _schema(store, _extent(extents) if extents else None)
        with parquet.ParquetWriter(aside, schema) as writer:
            for start in range(0, len(store.rows), _GROUP):
                writer.write_table(_group(store, slice(start, start + _GROUP), schema))
    return placed


def _group(store: IndexStore, part: slice, schema: pyarrow.Schema) -> pyarrow.Table:
    from shapely import to_wkb
    from shapely.geometry import shape

    rows = store.rows[part]
    geometries = [_geometry(row) for row in rows]
    columns = TileTable.of(rows).columns
    flat = pyarrow.array(np.asarray(store.vectors[part]).reshape(-1))
    vectors = pyarrow.FixedSizeListArray.from_arrays(flat, store.manifest.dimensions)
    binary = [None if g is None else to_wkb(shape(g)) for g in geometries]
    arrays = [columns.column(name) for name in SCHEMA.names]
    arrays += [
        vectors,
        pyarrow.array(binary, pyarrow.binary()),
        pyarrow.array([_box(g) for g in geometries], _BOX),
    ]
    return pyarrow.table(dict(zip(schema.names, arrays)), schema=schema)


def _geometry(row: IndexedTile) -> dict[str, Any] | None:
    return None if row.place is None else footprint_geometry(row.place.footprint)


def _box(geometry: dict[str, Any] | None) -> dict[str, float] | None:
    """A footprint's box; one across the antimeridian has its west beyond its east (RFC 7946)."""
    if geometry is None:
        return None
    many = geometry["type"] == "MultiPolygon"
    rings = [p[0] for p in geometry["coordinates"]] if many else [geometry["coordinates"][0]]
    lons = [[lon for lon, _ in ring] for ring in rings]
    lats = [lat for ring in rings for _, lat in ring]
    west, east = min(lons[0]), max(lons[-1])
    return {"xmin": west, "ymin": min(lats), "xmax": east, "ymax": max(lats)}


def _extent(boxes: list[Extent]) -> Extent:
    across = any(box[0] > box[2] for box in boxes)
    west, south, east, north = zip(*boxes)
    return [-180.0 if across else min(west), min(south), 180.0 if across else max(east), max(north)]


def _schema(store: IndexStore, extent: Extent | None) -> pyarrow.Schema:
    vector = pyarrow.list_(pyarrow.float32(), store.manifest.dimensions)
    schema = pyarrow.schema(
        [*SCHEMA, ("embedding", vector), ("geometry", pyarrow.binary()), ("bbox", _BOX)]
    )
    column: dict[str, Any] = {
        "encoding": "WKB",
        "geometry_types": ["MultiPolygon", "Polygon"] if extent else [],
        "orientation": "counterclockwise",
        "covering": {"bbox": {name: ["bbox", name] for name in ("xmin", "ymin", "xmax", "ymax")}},
    }
    if extent is not None:
        column["bbox"] = extent
    geo = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}
    told = {b"geo": json.dumps(geo).encode(), METADATA_KEY: json.dumps(_provenance(store)).encode()}
    return schema.with_metadata(told)


def _provenance(store: IndexStore) -> dict[str, Any]:
    """What is known of what made the vectors, the model's own description included."""
    manifest = store.manifest
    told: dict[str, Any] = {
        **{key: value for key, value in manifest.provenance.items() if key != "embeddings"},
        "written_by": f"rsretrieve {__version__}",
        "model": manifest.model,
        "model_fingerprint": manifest.model_fingerprint,
        "metric": manifest.metric,
        "tiles": manifest.tiles,
        "dimensions": manifest.dimensions,
    }
    with suppress(OSError, ValueError):  # the model may be gone; its fingerprint stays
        description = Path(manifest.model, "model.json").read_text(encoding="utf-8")
        if manifest.model:
            told["model_description"] = json.loads(description)
    return told
