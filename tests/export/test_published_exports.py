"""Exports for other programs: they open, and follow the guides of their formats."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import geopandas
import numpy as np
import pyogrio
import pytest
import shapely
from pyarrow import parquet

from rsretrieve.data.geo.hilbert import hilbert_distances
from rsretrieve.data.geo.place import Place
from rsretrieve.data.run_context import RunContext
from rsretrieve.errors import InvalidArgument
from rsretrieve.export import geoparquet, vector_files
from rsretrieve.index.store.folder import IndexContent, IndexStore, open_index, write_index_folder
from rsretrieve.index.store.tile_table import IndexedTile
from rsretrieve.index.vectors.vector_index import VectorIndex
from rsretrieve.search.search import Hit, QueryResult
from tests.support.indexes.vectors import unit_rows

COUNT = 40


def place_at(lon: float, lat: float) -> Place:
    box = (lon, lat, lon + 0.5, lat + 0.5)
    west, south, east, north = box
    return Place("OGC:CRS84", box, ((west, north), (west, south), (east, south), (east, north)))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> IndexStore:
    """Tiles all over the Earth; the last one has no place."""
    folder = tmp_path_factory.mktemp("index") / "tiles"
    rng = np.random.default_rng(0)
    points = rng.uniform((-170, -80), (170, 80), (COUNT - 1, 2))
    places = [*(place_at(*point) for point in points.tolist()), None]
    rows = [
        IndexedTile(f"t{i}", f"/data/t{i}.tif", "ab"[i % 2], -1, 0, place)
        for i, place in enumerate(places)
    ]
    vectors = unit_rows(COUNT, 8, 0)
    index = VectorIndex.build(vectors, "Flat")
    facts: dict[str, Any] = {"model": "", "model_fingerprint": "", "faiss_key": "Flat"}
    facts |= {"recall_at_10": 1.0, "search": {}, "provenance": {"embeddings": "/x.parquet"}}
    facts["windows"] = {"window_px": 64, "stride_px": 32, "edges": "drop", "max_nodata": 0.5}
    write_index_folder(folder, IndexContent(rows, vectors, facts), index, overwrite=False)
    return open_index(folder)


@pytest.fixture(scope="module")
def exported(store: IndexStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exports")
    path, stac = folder / "tiles.parquet", folder / "tiles.json"
    assert geoparquet.write_embeddings(path, store, overwrite=False, stac=stac) == COUNT - 1
    return path


def test_rows_lie_along_a_hilbert_curve_and_are_compressed(
    exported: Path, store: IndexStore
) -> None:
    frame = geopandas.read_parquet(exported)
    assert set(frame["id"]) == set(store.rows.column("id"))
    assert frame["id"].iloc[-1] == f"t{COUNT - 1}"
    assert frame.geometry.iloc[-1] is None
    centres = shapely.get_coordinates(shapely.centroid(np.array(frame.geometry[:-1])))
    distances = hilbert_distances(centres)
    assert (np.diff(distances) >= 0).all()
    vectors = dict(zip(frame["id"], frame["embedding"]))
    for tile_id, expected in zip(store.rows.column("id"), store.vectors):
        assert np.array_equal(vectors[tile_id], expected)
    group = parquet.ParquetFile(exported).metadata.row_group(0)
    columns = [group.column(i) for i in range(group.num_columns)]
    assert {column.compression for column in columns} == {"ZSTD"}
    sides = [c for c in columns if c.path_in_schema.startswith("bbox.")]
    assert len(sides) == 4
    assert all(side.is_stats_set for side in sides)


def test_row_groups_hold_about_128_megabytes(
    store: IndexStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(geoparquet, "GROUP_BYTES", 10 * (4 * 8 + geoparquet.ROW_BYTES))
    geoparquet.write_embeddings(tmp_path / "e.parquet", store, overwrite=False)
    metadata = parquet.ParquetFile(tmp_path / "e.parquet").metadata
    assert [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)] == [10] * 4


def test_the_collection_has_what_the_extension_requires(exported: Path, store: IndexStore) -> None:
    """The required fields of STAC 1.0.0 and of its embedding extension, from their texts."""
    beside = json.loads(exported.with_suffix(".json").read_text())
    metadata = parquet.read_schema(exported).metadata
    assert json.loads(metadata[b"emb"]) == beside
    for name in ("id", "description", "license", "extent", "links", "stac_extensions"):
        assert beside[name]
    assert (beside["type"], beside["stac_version"]) == ("Collection", "1.0.0")
    assert (beside["emb:type"], beside["emb:dimensions"], beside["data_type"]) == (
        *("chip", 8, "float32"),
    )
    known = {"emb:type", "emb:dimensions", "emb:chip_layout", "emb:fit_for_use"}
    assert {name for name in beside if name.startswith("emb:")} <= known
    layout = {"layout_type": "regular_grid", "chip_size": [64, 64], "stride": [32, 32]}
    assert beside["emb:chip_layout"] == layout
    assert {"emb:model", "emb:source-data"} <= {link["rel"] for link in beside["links"]}
    assert all(link["href"] for link in beside["links"])
    assert beside["links"][1]["href"] == "file:///data"
    bounds = geopandas.read_parquet(exported).total_bounds
    np.testing.assert_allclose(beside["extent"]["spatial"]["bbox"][0], bounds)
    assert beside["assets"]["embeddings"]["href"] == "./tiles.parquet"


def test_a_validator_accepts_the_export(exported: Path) -> None:
    validator = pytest.importorskip("geoparquet_validator", reason="it is not installed")
    report = validator.check(str(exported))
    assert validator.conformant(report, "core")
    assert validator.conformant(report, "covering")
    assert validator.failed(report) == []


def test_duckdb_opens_the_export(exported: Path) -> None:
    duckdb = pytest.importorskip("duckdb", reason="DuckDB is not installed")
    query = f"SELECT count(*), max(len(embedding)), min(bbox.xmin) FROM '{exported}'"
    count, dimensions, west = duckdb.sql(query).fetchone()
    assert (count, dimensions) == (COUNT, 8)
    assert west == pytest.approx(geopandas.read_parquet(exported).total_bounds[0])


@pytest.mark.parametrize("suffix", [".gpkg", ".fgb"])
def test_gdal_opens_footprints(store: IndexStore, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"tiles{suffix}"
    assert vector_files.write_tiles(path, store, overwrite=False) == COUNT - 1
    frame = pyogrio.read_dataframe(path)
    expected = COUNT if suffix == ".gpkg" else COUNT - 1
    assert (len(frame), frame.crs.to_epsg()) == (expected, 4326)
    by_id = frame.set_index("id")
    for row in store.rows:
        if row.place is None:
            assert row.id not in by_id.index or by_id.geometry[row.id] is None
            continue
        assert by_id.geometry[row.id].equals(shapely.Polygon(row.place.footprint))
        assert (by_id.label[row.id], by_id.path[row.id]) == (row.label, row.path)
        centre = by_id.loc[row.id, ["lon", "lat"]].tolist()
        assert centre == pytest.approx(row.place.centre)


@pytest.mark.parametrize("suffix", [".gpkg", ".fgb"])
def test_the_gdal_of_the_system_opens_footprints(
    store: IndexStore, tmp_path: Path, suffix: str
) -> None:
    program = shutil.which("ogrinfo")
    if program is None:
        pytest.skip("GDAL's programs are not installed")
    path = tmp_path / f"tiles{suffix}"
    vector_files.write_tiles(path, store, overwrite=False)
    ran = subprocess.run(
        [program, "-so", "-al", str(path)], capture_output=True, text=True, check=True
    )
    expected = COUNT if suffix == ".gpkg" else COUNT - 1
    assert f"Feature Count: {expected}" in ran.stdout
    assert "WARNING" not in (ran.stdout + ran.stderr).upper()


@pytest.mark.parametrize("suffix", [".gpkg", ".fgb"])
def test_hits_are_features(store: IndexStore, tmp_path: Path, suffix: str) -> None:
    rows = [store.rows[0], store.rows[COUNT - 1], store.rows[2]]
    hits = tuple(Hit(i + 1, 1 - i / 10, row) for i, row in enumerate(rows))
    path = tmp_path / f"hits{suffix}"
    assert vector_files.write_hits(path, [QueryResult("q.tif", None, hits)], overwrite=False) == 2
    frame = pyogrio.read_dataframe(path).sort_values("rank")
    expected = [0, 1, 2] if suffix == ".gpkg" else [0, 2]
    assert frame["rank"].tolist() == [i + 1 for i in expected]
    assert frame["tile"].tolist() == [rows[i].id for i in expected]
    assert frame["similarity"].tolist() == pytest.approx([1 - i / 10 for i in expected])
    assert set(frame["query"]) == {"q.tif"}


def test_no_hits_and_other_suffixes(store: IndexStore, tmp_path: Path) -> None:
    result = QueryResult("q", None, ())
    assert vector_files.write_hits(tmp_path / "h.gpkg", [result], overwrite=False) == 0
    assert len(pyogrio.read_dataframe(tmp_path / "h.gpkg")) == 0
    with pytest.raises(InvalidArgument, match=r"\.gpkg"):
        vector_files.write_hits(tmp_path / "h.shp", [result], overwrite=False)
    assert not (tmp_path / "h.shp").exists()


def test_an_export_is_read_back(exported: Path, store: IndexStore) -> None:
    from rsretrieve.index.external.embeddings_file import read_embeddings

    content = read_embeddings(exported, None, RunContext())
    found = {row.id: (row, vector) for row, vector in zip(content.rows, content.vectors)}
    for row, vector in zip(store.rows, store.vectors):
        again, copied = found[row.id]
        assert again == row
        assert np.array_equal(copied, vector)


@pytest.mark.parametrize(
    ("file", "stac", "address"),
    [
        ("b/e.parquet", "b/e.json", "./e.parquet"),
        ("a/e 1.parquet", "b/e.json", "../a/e%201.parquet"),
        ("e.parquet", "b/c/e.json", "../../e.parquet"),
        ("b/c/e.parquet", "b/e.json", "./c/e.parquet"),
        ("b/e.parquet", "link/e.json", "../e.parquet"),
        ("b/\udcfc.parquet", "b/e.json", "./%FC.parquet"),
    ],
)
def test_the_collection_names_the_file_from_where_it_lies(
    store: IndexStore, tmp_path: Path, file: str, stac: str, address: str
) -> None:
    for name in ("a", "b/c"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "b" / "c")
    geoparquet.write_embeddings(tmp_path / file, store, overwrite=False, stac=tmp_path / stac)
    collection = json.loads((tmp_path / stac).read_text(encoding="utf-8"))
    assert collection["assets"]["embeddings"]["href"] == address
    assert (tmp_path / stac).parent.joinpath(os.fsdecode(unquote_to_bytes(address))).is_file()
    with (tmp_path / file).open("rb") as stream:
        metadata = parquet.read_schema(stream).metadata
    inside = json.loads(metadata[b"emb"])["assets"]["embeddings"]["href"]
    assert inside == f"./{address.rpartition('/')[2]}"


def test_the_collection_of_an_index_whose_name_is_no_unicode_is_utf8(
    store: IndexStore, tmp_path: Path
) -> None:
    odd = open_index(shutil.copytree(store.folder, tmp_path / "\udcfc"))
    stac = tmp_path / "e.json"
    geoparquet.write_embeddings(tmp_path / "e.parquet", odd, overwrite=False, stac=stac)
    assert json.loads(stac.read_bytes().decode())["id"] == "\udcfc"
