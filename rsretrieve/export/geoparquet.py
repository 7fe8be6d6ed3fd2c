"""Write GeoParquet 1.1: the hits of a query, or the embeddings of a whole index.

The geometries are footprints in longitude and latitude (OGC:CRS84, the default of the format);
they are null for tiles without a georeference. The metadata key `rsretrieve` has the provenance.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow
from numpy.typing import NDArray
from pyarrow import parquet

from rsretrieve import __version__
from rsretrieve._core.atomic_write import write_json, written_aside
from rsretrieve.data.geo.footprints import box_of
from rsretrieve.data.geo.hilbert import hilbert_distances
from rsretrieve.data.geo.place import Place
from rsretrieve.errors import ModelError
from rsretrieve.export.geojson import place_geometry
from rsretrieve.export.results import hit_rows
from rsretrieve.export.stac_collection import collection_of
from rsretrieve.index.external.embedding_tables import METADATA_KEY
from rsretrieve.index.store.columns import taken_rows
from rsretrieve.index.store.date_columns import DATES
from rsretrieve.index.store.folder import IndexStore
from rsretrieve.index.store.tile_schema import SCHEMA
from rsretrieve.index.store.tile_table import TileTable
from rsretrieve.network.metadata import read_description

if TYPE_CHECKING:
    from rsretrieve.search.search import QueryResult

GEOPARQUET_VERSION = "1.1.0"
# As the guide to distributing GeoParquet advises: Zstandard, a column of boxes, an order in
# space, and row groups of this size. Level 15 of the guide is for columns that can be compressed.
GROUP_BYTES, _GROUP_ROWS = 128_000_000, 150_000
ROW_BYTES = 350  # of a row beside its embedding
_COMPRESSION, _LEVEL, _VECTOR_LEVEL = "zstd", 15, 3
_BLOCK = 20_000  # rows whose places are looked at together
_SIDES = ("xmin", "ymin", "xmax", "ymax")
_BOX = pyarrow.struct([(name, pyarrow.float64()) for name in _SIDES])
_PLACE = [("geometry", pyarrow.binary()), ("bbox", _BOX)]
_HIT = [
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
]
Box = tuple[float, float, float, float]


def write_hits(
    path: Path, results: Sequence[QueryResult], provenance: dict[str, Any], *, overwrite: bool
) -> int:
    """Write one row per hit.

    Args:
        path: the file.
        results: the queries and their hits.
        provenance: written to the metadata of the file.
        overwrite: replace an existing file.

    Returns:
        Number of hits with a footprint.
    """
    places = [hit.found.place for result in results for hit in result.hits]
    rows = hit_rows(results)
    return write_placed_rows(path, (_HIT, rows), places, provenance, overwrite=overwrite)


def write_placed_rows(
    path: Path,
    content: tuple[list[tuple[str, Any]], list[dict[str, Any]]],
    places: Sequence[Place | None],
    provenance: dict[str, Any],
    *,
    overwrite: bool,
) -> int:
    """Write one row per tile, with its footprint.

    Args:
        path: the file.
        content: names and Arrow types of the columns, and the rows.
        places: of each row.
        provenance: written to the metadata of the file.
        overwrite: replace an existing file.

    Returns:
        Number of rows with a footprint.
    """
    fields, rows = content
    placed = [
        {**row, "geometry": _binary(place), "bbox": _named(place)}
        for row, place in zip(rows, places)
    ]
    schema = pyarrow.schema([*fields, *_PLACE], _metadata(_Extent.of(places), provenance))
    table = pyarrow.Table.from_pylist(placed, schema=schema)
    with written_aside(path, overwrite=overwrite) as aside, aside.open("wb") as file:
        parquet.write_table(table, file, compression=_COMPRESSION, compression_level=_LEVEL)
    return sum(place is not None for place in places)


def write_embeddings(
    path: Path, store: IndexStore, *, overwrite: bool, stac: Path | None = None
) -> int:
    """Write every tile of an index with its embedding and its footprint.

    Tiles are ordered along a Hilbert curve over the Earth; those without a place come last. The
    metadata names the model of the embeddings, so that an index built from the file can be queried
    with this model. The metadata key `emb` has a STAC collection that describes the file.

    Args:
        path: the file.
        store: the index.
        overwrite: replace an existing file.
        stac: a file to write the STAC collection to as well; None: none.

    Returns:
        Number of tiles with a footprint.
    """
    order = spatial_order(store.rows)
    extent, placed = _extent_of(store.rows)
    collection = collection_of(store, path, extent.sides)
    dimensions = store.manifest.dimensions
    vector = pyarrow.list_(pyarrow.float32(), dimensions)
    metadata = _metadata(extent, provenance_of(store))
    metadata[b"emb"] = json.dumps(collection).encode()
    schema = pyarrow.schema([*_told(store.rows), ("embedding", vector), *_PLACE], metadata)
    rows = max(1, min(_GROUP_ROWS, GROUP_BYTES // (4 * dimensions + ROW_BYTES)))
    with written_aside(path, overwrite=overwrite) as aside:
        with (
            aside.open("wb") as file,  # PyArrow opens no name that is no Unicode
            parquet.ParquetWriter(file, schema, **_settings(schema)) as writer,
        ):
            for start in range(0, len(order), rows):
                part = order[start : start + rows]
                writer.write_table(_group(store, part, schema), row_group_size=rows)
        if stac is not None:
            write_json(stac, collection_of(store, path, extent.sides, stac), overwrite=overwrite)
    return placed


def _told(rows: TileTable) -> list[pyarrow.Field]:
    """The columns about the tiles; those of dates only where a tile has one."""
    dated = rows.columns.column(DATES[0]).null_count < len(rows)
    return [entry for entry in SCHEMA if dated or entry.name not in DATES]


def _settings(schema: pyarrow.Schema) -> dict[str, Any]:
    """How the columns of embeddings are compressed; numbers without a pattern only a little."""
    columns = [".".join(parts) for parts in _leaves(schema)]
    levels = {c: _VECTOR_LEVEL if c.startswith("embedding.") else _LEVEL for c in columns}
    return {"compression": _COMPRESSION, "compression_level": levels}


def _leaves(schema: pyarrow.Schema) -> Iterator[tuple[str, ...]]:
    """The paths of the columns as Parquet has them."""
    sink = pyarrow.BufferOutputStream()
    parquet.write_table(schema.empty_table(), sink)
    found = parquet.ParquetFile(pyarrow.BufferReader(sink.getvalue())).schema
    for i in range(len(found.names)):
        yield tuple(found.column(i).path.split("."))


def spatial_order(rows: TileTable) -> NDArray[np.int64]:
    """(N,) the rows of a table along a Hilbert curve; those without a place come last."""
    footprints = rows.columns.column("footprint").combine_chunks()
    placed = np.asarray(footprints.is_valid())
    there = footprints.drop_null()
    corners = there.flatten().flatten().to_numpy().reshape(-1, 2)
    counts = np.diff(there.offsets.to_numpy())
    starts = np.cumsum(counts) - counts
    distance = np.full(len(rows), np.iinfo(np.int64).max)
    if len(starts):
        centres = np.add.reduceat(corners, starts) / counts[:, None]
        distance[placed] = hilbert_distances(centres)
    return np.argsort(distance, kind="stable")


def _extent_of(rows: TileTable) -> tuple[_Extent, int]:
    """The extent of all tiles, and how many have a place."""
    placed, extents = 0, []
    for start in range(0, len(rows), _BLOCK):
        places = [row.place for row in rows[start : start + _BLOCK]]
        placed += sum(place is not None for place in places)
        extents.append(_Extent.of(places))
    return _Extent.together(extents), placed


def _group(store: IndexStore, part: NDArray[np.int64], schema: pyarrow.Schema) -> pyarrow.Table:
    rows = taken_rows(store.rows, part)
    places = [row.place for row in rows]
    flat = pyarrow.array(np.asarray(store.vectors[part]).reshape(-1))
    arrays = [rows.columns.column(name) for name in SCHEMA.names if name in schema.names]
    arrays += [
        pyarrow.FixedSizeListArray.from_arrays(flat, store.manifest.dimensions),
        pyarrow.array(map(_binary, places), pyarrow.binary()),
        pyarrow.array(map(_named, places), _BOX),
    ]
    return pyarrow.table(dict(zip(schema.names, arrays)), schema=schema)


def _binary(place: Place | None) -> bytes | None:
    from shapely.geometry import shape

    if place is None:
        return None
    binary: bytes = shape(place_geometry(place)).wkb
    return binary


def _type(place: Place) -> str:
    geometry = place_geometry(place)
    return "" if geometry is None else str(geometry["type"])


def _named(place: Place | None) -> dict[str, float] | None:
    return None if place is None else dict(zip(_SIDES, box_of(place.footprint)))


@dataclass(frozen=True)
class _Extent:
    """What the header of a file says about its geometries.

    Attributes:
        sides: the bounding box of all, as in `_SIDES`; None without geometries.
        types: the types of the geometries, sorted.
    """

    sides: Box | None = None
    types: tuple[str, ...] = ()

    @classmethod
    def of(cls, places: Sequence[Place | None]) -> _Extent:
        """The extent of some places."""
        return cls.together([cls(box_of(one.footprint), (_type(one),)) for one in places if one])

    @classmethod
    def together(cls, parts: Sequence[_Extent]) -> _Extent:
        """The union of extents; it spans all longitudes if one crosses the antimeridian."""
        boxes = [part.sides for part in parts if part.sides is not None]
        if not boxes:
            return cls()
        west, south, east, north = zip(*boxes)
        sides = (min(west), min(south), max(east), max(north))
        if any(box[0] > box[2] for box in boxes):
            sides = (-180.0, sides[1], 180.0, sides[3])
        return cls(sides, tuple(sorted({kind for part in parts for kind in part.types})))


def _metadata(extent: _Extent, told: dict[str, Any]) -> dict[bytes, bytes]:
    column: dict[str, Any] = {
        "encoding": "WKB",
        "geometry_types": list(extent.types),
        "orientation": "counterclockwise",
        "edges": "planar",
        "covering": {"bbox": {name: ["bbox", name] for name in _SIDES}},
    }
    if extent.sides is not None:
        column["bbox"] = list(extent.sides)
    geo = {
        "version": GEOPARQUET_VERSION,
        "primary_column": "geometry",
        "columns": {"geometry": column},
    }
    return {b"geo": json.dumps(geo).encode(), METADATA_KEY: json.dumps(told).encode()}


def provenance_of(store: IndexStore) -> dict[str, Any]:
    """The provenance of the vectors of an index: their model, and how the tiles were read."""
    manifest, model = store.manifest, store.manifest.model_path(store.folder)
    told: dict[str, Any] = {
        **{key: value for key, value in manifest.provenance.items() if key != "embeddings"},
        **manifest.reading,
        "written_by": f"rsretrieve {__version__}",
        "model": str(model.absolute()) if model is not None else "",
        "model_fingerprint": manifest.model_fingerprint,
        "metric": manifest.metric,
        "tiles": manifest.tiles,
        "dimensions": manifest.dimensions,
    }
    with suppress(ModelError):  # the model may be missing; its fingerprint is known
        if model is not None:
            told["model_description"] = read_description(model).to_json()
    return told
