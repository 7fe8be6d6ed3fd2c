"""Layouts in which others publish embeddings, written here after their specifications."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
import rasterio
import shapely
from pyarrow import parquet
from rasterio.transform import from_bounds

from rsretrieve.data.run_context import RunContext
from rsretrieve.data.windowing import WindowChoices
from rsretrieve.errors import InvalidArgument, TableError
from rsretrieve.index.external import mapped_rows
from rsretrieve.index.external.choices import EmbeddingChoices
from rsretrieve.index.external.embeddings_file import read_embeddings
from rsretrieve.index.store.folder import IndexContent
from rsretrieve.progress import Noticed
from tests.support.indexes.vectors import unit_rows

GEO = {
    "version": "1.1.0",
    "primary_column": "geometry",
    "columns": {"geometry": {"encoding": "WKB", "geometry_types": ["Polygon"]}},
}
BOXES = [shapely.box(10 + i, 45, 10.03 + i, 45.03) for i in range(4)]
VECTORS = unit_rows(4, 6, 0)


def read(path: Path, **choices: Any) -> tuple[IndexContent, list[str]]:
    said: list[str] = []
    context = RunContext(listener=lambda e: said.append(e.text) if isinstance(e, Noticed) else None)
    content = read_embeddings(path, None, context, EmbeddingChoices(**choices))
    return content, [*said, *context.notices]


def written(path: Path, metadata: dict[str, Any] | None = None, **columns: Any) -> Path:
    table = pyarrow.table(columns)
    if metadata is not None:
        told = {key.encode(): json.dumps(value).encode() for key, value in metadata.items()}
        table = table.replace_schema_metadata(told)
    parquet.write_table(table, path)
    return path


def ids(content: IndexContent) -> list[str]:
    return [row.id for row in content.rows]


def assert_boxes(content: IndexContent) -> None:
    for row, box in zip(content.rows, BOXES):
        assert row.place is not None
        assert shapely.Polygon(row.place.footprint).equals(box)
        assert row.place.bounds == box.bounds


def test_earth_index(tmp_path: Path) -> None:
    path = written(
        tmp_path / "21MNT.parquet",
        {"geo": GEO, "emb": {"version": "0.0.1", "model": {"id": "m", "source": "s"}}},
        id=["a", "b", "c", "d"],
        geometry=[box.wkb for box in BOXES],
        embedding=VECTORS.tolist(),
    )
    content, notices = read(path)
    assert (ids(content), notices) == (list("abcd"), [])
    assert content.vectors == pytest.approx(VECTORS, abs=1e-6)
    assert_boxes(content)


def test_major_tom(tmp_path: Path) -> None:
    path = written(
        tmp_path / "part_00001.parquet",
        {"geo": GEO},
        unique_id=[f"{i:032x}" for i in range(4)],
        embedding=VECTORS.tolist(),
        timestamp=["20180101"] * 4,
        product_id=["S2A"] * 4,
        grid_cell=["10U_5R"] * 4,
        grid_row_u=pyarrow.array([10] * 4, pyarrow.int16()),
        grid_col_r=pyarrow.array([5] * 4, pyarrow.int16()),
        geometry=[box.wkb for box in BOXES],
        centre_lat=[45.0] * 4,
        centre_lon=[10.0] * 4,
        utm_footprint=["POLYGON ((0 0, 1 0, 1 1, 0 0))"] * 4,
        utm_crs=["EPSG:32632"] * 4,
        pixel_bbox=pyarrow.array([[0, 0, 224, 224]] * 4, pyarrow.list_(pyarrow.int64())),
    )
    content, notices = read(path)
    assert (ids(content), notices) == ([f"{i:032x}" for i in range(4)], [])
    assert_boxes(content)


def test_clay(tmp_path: Path) -> None:
    path = written(
        tmp_path / "03WVN_20220610_20220610_v001.gpq",
        {"geo": GEO},
        index=pyarrow.array(range(4), pyarrow.int64()),
        source_url=["s3://tiles/a.tif"] * 4,
        date=pyarrow.array([0] * 4, pyarrow.date32()),
        embeddings=VECTORS.tolist(),
        geometry=[box.wkb for box in BOXES],
    )
    content, notices = read(path)
    assert (ids(content), notices) == (["0", "1", "2", "3"], [])
    assert content.vectors == pytest.approx(VECTORS, abs=1e-6)
    assert_boxes(content)


def test_geovibes(tmp_path: Path) -> None:
    # Rows of arrays: the oldest pyarrow takes no Python floats as float16.
    half = pyarrow.list_(pyarrow.float16())
    listed = pyarrow.array(list(VECTORS.astype(np.float16)), half)
    path = written(
        tmp_path / "a.parquet",
        {"geo": GEO},
        tile_id=["32TPT_0_0", "32TPT_0_1", "32TPT_0_2", "32TPT_0_3"],
        embedding=listed,
        geometry=[box.centroid.wkb for box in BOXES],
    )
    content, _ = read(path)
    assert ids(content)[3] == "32TPT_0_3"
    assert content.vectors == pytest.approx(VECTORS, abs=1e-3)
    place = content.rows[1].place
    assert place is not None
    assert place.footprint == ((BOXES[1].centroid.x, BOXES[1].centroid.y),)


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
@pytest.mark.parametrize("kind", [np.int8, np.float64])
def test_point_samples_of_alphaearth(tmp_path: Path, suffix: str, kind: type) -> None:
    stored = np.random.default_rng(0).integers(-127, 128, (3, 64)).astype(np.int8)
    stored[1, 5] = -128  # masked
    columns = {f"A{i:02d}": stored[:, i].astype(kind) for i in reversed(range(64))}
    table = {"longitude": [10.0, 11.0, -171.5], "latitude": [45.0, 46.0, -9.0], **columns}
    path = tmp_path / f"samples{suffix}"
    if suffix == ".csv":
        lines = zip(*table.values())
        text = [",".join(table), *(",".join(map(str, line)) for line in lines)]
        path.write_text("\n".join(text) + "\n")
    else:
        written(path, **table)
    content, notices = read(path)
    assert ids(content) == ["0", "2"]  # numbered; row 1 is masked
    for row, vector in zip((0, 2), content.vectors):
        v = stored[row].astype(float)
        expected = np.sign(v) * (v / 127.5) ** 2
        assert vector == pytest.approx(expected / np.linalg.norm(expected), abs=1e-6)
    place = content.rows[1].place
    assert place is not None
    assert (place.crs, place.footprint) == ("OGC:CRS84", ((-171.5, -9.0),))
    assert any("numbered" in text for text in notices)
    assert any("127.5" in text for text in notices)


def test_point_samples_of_tessera(tmp_path: Path) -> None:
    columns = {f"embedding_{i}": VECTORS[:, i] for i in range(6)}
    path = written(tmp_path / "a.parquet", lon=[1.0, 2.0, 3.0, None], lat=[4.0, 5, 6, 7], **columns)
    content, _ = read(path)
    assert content.vectors == pytest.approx(VECTORS, abs=1e-6)
    assert [row.place and row.place.footprint for row in content.rows] == [
        ((1.0, 4.0),),
        ((2.0, 5.0),),
        ((3.0, 6.0),),
        None,
    ]
    with pytest.raises(TableError, match="not degrees"):
        read(written(tmp_path / "b.parquet", lon=[500_000.0], lat=[1.0], embedding=[[1.0]]))


def raster(path: Path, values: np.ndarray, crs: str = "EPSG:4326", **profile: Any) -> Path:
    """(D, H, W) as a GeoTIFF over 10…14° E, 44…47° N, or at metres of a UTM zone."""
    names = profile.pop("names", None)
    bounds = (10, 44, 14, 47) if crs == "EPSG:4326" else (500_000, 5_000_000, 500_040, 5_000_030)
    shape = {"count": len(values), "height": values.shape[1], "width": values.shape[2]}
    transform = from_bounds(*bounds, values.shape[2], values.shape[1])
    transform = profile.pop("transform", transform)
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        dtype=values.dtype,
        crs=crs,
        transform=transform,
        **shape,
        **profile,
    ) as dataset:
        dataset.write(values)
        for band, name in enumerate(names or (), 1):
            dataset.set_band_description(band, name)
    return path


def test_a_raster_of_copernicus_embed(tmp_path: Path) -> None:
    """A band a dimension, float32, in degrees; zero where there is no data."""
    values = np.random.default_rng(0).normal(size=(7, 3, 4)).astype(np.float32)
    values[:, 1, 2] = 0
    content, notices = read(raster(tmp_path / "map.tif", values))
    expected = [(row, col) for row in range(3) for col in range(4) if (row, col) != (1, 2)]
    assert ids(content) == [f"map.tif#{col},{row},1,1" for row, col in expected]
    assert notices == [f"{tmp_path}/map.tif: 1 of 12 pixels have no data"]
    for (row, col), vector, tile in zip(expected, content.vectors, content.rows):
        of = values[:, row, col]
        assert vector == pytest.approx(of / np.linalg.norm(of), abs=1e-6)
        assert tile.place is not None
        assert tile.place.bounds == pytest.approx((10 + col, 46 - row, 11 + col, 47 - row))
        assert tile.path == ""


def test_a_raster_of_alphaearth_that_lies_bottom_up(tmp_path: Path) -> None:
    stored = np.random.default_rng(0).integers(-127, 128, (64, 3, 4)).astype(np.int8)
    stored[:, 0, 1] = -128
    up = rasterio.Affine(10, 0, 500_000, 0, 10, 5_000_000)  # the first row is the southernmost
    path = raster(
        tmp_path / "aef.tif",
        stored,
        "EPSG:32632",
        transform=up,
        nodata=-128,
        names=[f"A{i:02d}" for i in range(64)],
    )
    content, notices = read(path)
    assert len(content.rows) == 11
    assert any("127.5" in text for text in notices)
    v = stored[:, 2, 3].astype(float)
    expected = np.sign(v) * (v / 127.5) ** 2
    assert content.vectors[-1] == pytest.approx(expected / np.linalg.norm(expected), abs=1e-6)
    place = content.rows[10].place
    assert place is not None
    assert place.crs == "EPSG:32632"
    assert place.bounds == (500_030, 5_000_020, 500_040, 5_000_030)


def test_windows_of_a_raster_are_means_of_unit_vectors(tmp_path: Path) -> None:
    """Tessera's int8 as they are; a scale of a pixel does not change its direction."""
    stored = np.random.default_rng(0).integers(-127, 128, (5, 24, 20)).astype(np.int8)
    stored[:, 0:8, 0:5] = 0  # five eighths of the first window
    stored[:, 10, 10] = 0
    path = raster(tmp_path / "t.tif", stored, "EPSG:32632")
    content, notices = read(path, windows=WindowChoices(8, 4))
    found = dict(zip(ids(content), content.vectors))
    starts = [(col, row) for row in range(0, 17, 4) for col in range(0, 13, 4)]
    assert set(found) == {f"t.tif#{col},{row},8,8" for col, row in starts} - {"t.tif#0,0,8,8"}
    for col, row in starts[1:]:
        total = np.zeros(5)
        for r in range(row, row + 8):
            for c in range(col, col + 8):
                v = stored[:, r, c].astype(float)
                total += v / np.linalg.norm(v) if v.any() else 0
        expected = total / np.linalg.norm(total)
        assert found[f"t.tif#{col},{row},8,8"] == pytest.approx(expected, abs=1e-5)
    assert any("1 of 20 windows have no data" in text for text in notices)
    assert any("whole numbers" in text for text in notices)


def test_chunks_of_a_large_raster_are_joined(tmp_path: Path, monkeypatch: Any) -> None:
    values = np.random.default_rng(0).normal(size=(3, 30, 20)).astype(np.float32)
    path = raster(tmp_path / "map.tif", values)
    whole, _ = read(path)
    monkeypatch.setattr("rsretrieve.index.external.embedding_raster.CHUNK_VALUES", 300)
    parts, _ = read(path)
    assert ids(whole) != ids(parts)
    one, other = (dict(zip(ids(c), c.vectors.tolist())) for c in (whole, parts))
    assert one == other


def test_a_raster_that_does_not_fit_into_memory_is_refused(
    tmp_path: Path, monkeypatch: Any
) -> None:
    path = raster(tmp_path / "map.tif", np.ones((3, 30, 20), np.float32))
    monkeypatch.setattr("rsretrieve.index.external.embedding_raster.available_bytes", lambda: 9_000)
    with pytest.raises(InvalidArgument, match="free memory"):
        read(path)
    with pytest.raises(TableError, match="single band"):
        read(raster(tmp_path / "grey.tif", np.ones((1, 30, 20), np.float32)))


def test_lists_of_int8_with_a_declared_scale(tmp_path: Path) -> None:
    stored = pyarrow.array([[10, 20], [0, 10]], pyarrow.list_(pyarrow.int8(), 2))
    told = {"emb": {"emb:quantization": {"method": "linear", "scale": [0.1], "offset": [-1]}}}
    content, notices = read(written(tmp_path / "a.parquet", told, id=["a", "b"], embedding=stored))
    assert content.vectors == pytest.approx(np.array([[0.0, 1.0], [-1.0, 0.0]]), abs=1e-6)
    assert notices == []
    content, notices = read(written(tmp_path / "b.parquet", id=["a", "b"], embedding=stored))
    assert content.vectors[1].tolist() == [0.0, 1.0]
    assert any("whole numbers" in text for text in notices)


@pytest.mark.parametrize("kind", ["point", "wkb", "box"])
def test_geoarrow_types_name_the_column_of_geometries(tmp_path: Path, kind: str) -> None:
    pair = pyarrow.struct([("x", pyarrow.float64()), ("y", pyarrow.float64())])
    sides = pyarrow.struct([(n, pyarrow.float64()) for n in ("xmin", "ymin", "xmax", "ymax")])
    types = {"point": pair, "wkb": pyarrow.binary(), "box": sides}
    values: dict[str, Any] = {
        "point": {"x": 10.0, "y": 45.0},
        "wkb": shapely.Point(10, 45).wkb,
        "box": {"xmin": 9.0, "ymin": 44.0, "xmax": 11.0, "ymax": 46.0},
    }
    told = {
        b"ARROW:extension:name": f"geoarrow.{kind}".encode(),
        b"ARROW:extension:metadata": b'{"crs": "OGC:CRS84"}',
    }
    schema = pyarrow.schema(
        [
            pyarrow.field("id", pyarrow.string()),
            pyarrow.field("embedding", pyarrow.list_(pyarrow.float32())),
            pyarrow.field("location", types[kind], metadata=told),
        ]
    )
    row = {"id": "a", "embedding": [1.0, 0.0], "location": values[kind]}
    parquet.write_table(pyarrow.Table.from_pylist([row], schema), tmp_path / "a.parquet")
    content, _ = read(tmp_path / "a.parquet")
    place = content.rows[0].place
    assert place is not None
    assert place.centre == pytest.approx((10, 45))


def test_named_columns_and_cut_dimensions(tmp_path: Path) -> None:
    path = written(
        tmp_path / "a.parquet",
        id=["same", "same", "same", "same"],
        name=list("abcd"),
        x=VECTORS.tolist(),
        y=VECTORS[:, ::-1].tolist(),
        **{f"B{i}": VECTORS[:, i] for i in range(6)},
    )
    content, _ = read(path, id_column="name", vector_column="y", dimensions=2)
    cut = VECTORS[:, ::-1][:, :2]
    expected = cut / np.linalg.norm(cut, axis=1, keepdims=True)
    assert ids(content) == list("abcd")
    assert content.vectors == pytest.approx(expected, abs=1e-6)
    content, _ = read(path, id_column="name", vector_column="B")
    assert content.vectors == pytest.approx(VECTORS, abs=1e-6)
    for choices, message in (
        ({"id_column": "none", "vector_column": "x"}, "no column 'none'"),
        ({"vector_column": "name"}, "holds no lists"),
        ({}, "several columns may hold the vectors"),
    ):
        with pytest.raises(TableError, match=message):
            read(path, **choices)
    with pytest.raises(TableError, match="twice"):
        read(path, vector_column="x")
    with pytest.raises(InvalidArgument, match="6 dimensions"):
        read(path, id_column="name", vector_column="x", dimensions=7)


def test_an_array_is_cut(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", VECTORS)
    content, _ = read(tmp_path / "v.npy", dimensions=3)
    cut = VECTORS[:, :3]
    expected = cut / np.linalg.norm(cut, axis=1, keepdims=True)
    assert content.vectors == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("block", [1, 2, 100_000])
def test_windows_get_their_places_from_scenes_beside_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(mapped_rows, "BLOCK_ROWS", block)
    monkeypatch.setattr(mapped_rows, "FEW_ROWS", block)
    (tmp_path / "s").mkdir()
    scene = raster(tmp_path / "s" / "scene.tif", np.ones((3, 30, 40), np.uint8), "EPSG:32632")
    names = [
        *("s/scene.tif#0,0,16,16", "s/scene.tif#16,8,16,16"),
        *("s/scene.tif#400,0,16,16", "none.tif#0,0,8,8"),
    ]
    path = written(tmp_path / "a.parquet", id=names, embedding=VECTORS.tolist())
    content, notices = read(path)
    places = [row.place for row in content.rows]
    assert places[0] is not None
    assert places[1] is not None
    assert places[0].bounds == pytest.approx((500_000, 5_000_014, 500_016, 5_000_030))
    assert places[1].bounds == pytest.approx((500_016, 5_000_006, 500_032, 5_000_022))
    assert places[2:] == [None, None]
    assert [row.path for row in content.rows] == [str(scene)] * 3 + [""]
    assert any("window does not lie in their scene" in text for text in notices)
    assert any("beside" in text for text in notices)
