"""GeoParquet and GeoJSON as geopandas reads them: the same rows, CRS and places."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import geopandas
import pytest
from pyarrow import parquet

from rsretrieve.errors import OutputExists
from rsretrieve.export.geojson import footprint_geometry, write_geojson
from rsretrieve.export.geoparquet import write_hits
from rsretrieve.export.results import hit_json
from rsretrieve.search.search import QueryResult

PROVENANCE = {"index": "i", "model": "m", "model_fingerprint": "f"}


def without_place(result: QueryResult) -> QueryResult:
    first, *others = result.hits
    return replace(result, hits=(replace(first, found=replace(first.found, place=None)), *others))


def across_the_antimeridian(result: QueryResult) -> QueryResult:
    first, *others = result.hits
    assert first.found.place is not None
    corners = ((179.0, -17.0), (179.0, -18.0), (-179.0, -18.0), (-179.0, -17.0))
    place = replace(first.found.place, footprint=corners)
    return replace(result, hits=(replace(first, found=replace(first.found, place=place)), *others))


def test_both_files_open_in_geopandas_with_every_hit_where_it_lies(
    tmp_path: Path, result: QueryResult
) -> None:
    results = [result, without_place(result), across_the_antimeridian(result)]
    assert write_hits(tmp_path / "h.parquet", results, PROVENANCE, overwrite=False) == 8
    assert write_geojson(tmp_path / "h.geojson", results, overwrite=False) == 8
    hits = [(r.query, hit) for r in results for hit in r.hits]
    tables = {
        "parquet": geopandas.read_parquet(tmp_path / "h.parquet"),
        "geojson": geopandas.read_file(tmp_path / "h.geojson"),
    }
    assert tables["parquet"].crs.equals("OGC:CRS84")
    assert tables["geojson"].crs.equals("EPSG:4326")
    for table in tables.values():
        assert len(table) == len(hits)
        for (query, hit), (_, row) in zip(hits, table.iterrows()):
            assert (row["query"], row["rank"], row["tile"]) == (query, hit.rank, hit.found.id)
            assert row["similarity"] == hit.similarity
            if hit.found.place is None:
                assert row.geometry is None
                continue
            expected = footprint_geometry(hit.found.place.footprint)
            assert row.geometry.__geo_interface__["type"] == expected["type"]
            assert row.geometry.is_valid
            written = json.loads(json.dumps(row.geometry.__geo_interface__["coordinates"]))
            assert written == expected["coordinates"]
            assert row["lon"] == hit_json(hit)["lon"]


def test_the_metadata_is_that_of_geoparquet_1_1(tmp_path: Path, result: QueryResult) -> None:
    write_hits(
        tmp_path / "h.parquet", [across_the_antimeridian(result)], PROVENANCE, overwrite=False
    )
    metadata = parquet.read_schema(tmp_path / "h.parquet").metadata
    geo = json.loads(metadata[b"geo"])
    sides = geo["columns"]["geometry"].pop("bbox")
    assert (sides[0], sides[2]) == (-180, 180)  # one of the hits crosses the antimeridian
    assert geo == {
        "version": "1.1.0",
        "primary_column": "geometry",
        "columns": {
            "geometry": {
                "encoding": "WKB",
                "geometry_types": ["MultiPolygon", "Polygon"],
                "orientation": "counterclockwise",
                "edges": "planar",
                "covering": {
                    "bbox": {side: ["bbox", side] for side in ("xmin", "ymin", "xmax", "ymax")}
                },
            }
        },
    }
    assert json.loads(metadata[b"rsretrieve"]) == PROVENANCE


def test_no_hits_are_a_table_without_rows(tmp_path: Path, result: QueryResult) -> None:
    empty = replace(result, hits=())
    assert write_hits(tmp_path / "h.parquet", [empty], PROVENANCE, overwrite=False) == 0
    assert len(geopandas.read_parquet(tmp_path / "h.parquet")) == 0


def test_a_file_that_is_there_is_not_overwritten(tmp_path: Path, result: QueryResult) -> None:
    (tmp_path / "h.parquet").write_bytes(b"mine")
    with pytest.raises(OutputExists):
        write_hits(tmp_path / "h.parquet", [result], PROVENANCE, overwrite=False)
    assert (tmp_path / "h.parquet").read_bytes() == b"mine"
