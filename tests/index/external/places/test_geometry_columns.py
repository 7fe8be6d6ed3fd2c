"""Places that others wrote down, as `--at` and `--bbox` find them."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas
import pyarrow
import pytest
import shapely
from pyarrow import parquet
from pyproj import CRS, Transformer
from shapely.geometry import LineString, MultiPolygon, Point, Polygon, box, shape
from shapely.geometry.base import BaseGeometry

from rsretrieve.data.notes import Note
from rsretrieve.data.run_context import RunContext
from rsretrieve.errors import InputError
from rsretrieve.export.geojson import place_geometry, write_geojson
from rsretrieve.export.geoparquet import write_hits
from rsretrieve.index.external.embeddings_file import read_embeddings
from rsretrieve.index.external.places.geometry_columns import PlaceReader
from rsretrieve.index.store.columns import Footprints
from rsretrieve.index.store.tile_table import TileTable, read_table, write_table
from rsretrieve.search.search import Hit, QueryResult
from rsretrieve.search.search_area import box_area
from rsretrieve.search.spatial import row_at, rows_intersecting, rows_within
from tests.support.indexes.vectors import unit_rows


def table_of(folder: Path, *geometries: BaseGeometry | None, crs: str = "EPSG:4326") -> TileTable:
    columns = {
        "id": [str(i) for i in range(len(geometries))],
        "embedding": unit_rows(len(geometries), 4, 0).tolist(),
    }
    frame = geopandas.GeoDataFrame(columns, geometry=list(geometries), crs=crs)
    frame.to_parquet(folder / "foreign.parquet")
    return TileTable.of(read_embeddings(folder / "foreign.parquet", None, RunContext()).rows)


CUT = MultiPolygon([box(178, -20, 180, -10), box(-180, -20, -176, -10)])
"""A tile across the antimeridian, cut there as GeoParquet wants it."""

# In the north-west of it only; its hull holds more.
BENT = MultiPolygon(
    [
        Polygon([(170, 0), (180, 0), (180, 2), (172, 2), (172, 10), (170, 10)]),
        box(-180, 0, -176, 2),
    ]
)


@pytest.mark.parametrize("lon", [178.0, 179.5, 180.0, -180.0, -179.0, -176.0])
def test_a_tile_that_was_cut_at_the_antimeridian_holds_points_on_both_sides(
    tmp_path: Path, lon: float
) -> None:
    found = Footprints.of(table_of(tmp_path, box(0, 0, 1, 1), CUT, None))
    assert row_at(found, lon, -15) == 1


@pytest.mark.parametrize("lon", [177.9, -175.9, 0.0, 90.0])
def test_and_none_on_the_other_side_of_the_globe(tmp_path: Path, lon: float) -> None:
    with pytest.raises(InputError, match="no tile of the index contains the point"):
        row_at(Footprints.of(table_of(tmp_path, CUT)), lon, -15)


def test_it_is_one_tile_again_with_its_own_extent(tmp_path: Path) -> None:
    place = table_of(tmp_path, CUT)[0].place
    assert place is not None
    assert place.bounds == (178, -20, 184, -10)
    assert set(place.footprint) >= {(178, -20), (-176, -20), (-176, -10), (178, -10)}
    assert place.centre[1] == -15


def test_what_is_no_rectangle_keeps_its_outline(tmp_path: Path) -> None:
    found = Footprints.of(table_of(tmp_path, BENT))
    assert row_at(found, 171, 9) == row_at(found, -177, 1) == 0
    with pytest.raises(InputError):
        row_at(found, 179, 9)


@pytest.mark.parametrize("shape", [box(178, -20, 184, -10), box(-182, -20, -176, -10)])
def test_a_polygon_that_runs_over_180_is_folded_back(tmp_path: Path, shape: Polygon) -> None:
    found = Footprints.of(table_of(tmp_path, shape))
    assert row_at(found, 179, -15) == row_at(found, -177, -15) == 0
    assert rows_within(found, box_area((177, -30, -175, 0))).tolist() == [0]
    assert rows_intersecting(found, box_area((-170, -30, 170, 0))).tolist() == []


def test_points_and_lines_are_places_too(tmp_path: Path) -> None:
    line = LineString([(20, 0), (22, 0)])
    found = Footprints.of(table_of(tmp_path, Point(9, 47), line, box(5, 40, 15, 50)))
    assert row_at(found, 9, 47) == 0  # the smallest that holds it
    assert row_at(found, 21, 0) == 1
    assert rows_intersecting(found, box_area((8, 46, 10, 48))).tolist() == [0, 2]
    assert rows_within(found, box_area((0, -10, 30, 48))).tolist() == [0, 1]


def test_they_are_written_as_what_they_are(tmp_path: Path) -> None:
    shapes = [Point(9, 47), LineString([(20, 0), (22, 0)]), box(5, 40, 15, 50), CUT]
    table = table_of(tmp_path, *shapes)
    hits = tuple(Hit(1, 1.0, row) for row in table)
    for name, write in (("a.geojson", write_geojson), ("a.parquet", write_hits)):
        told = ({},) if write is write_hits else ()
        write(tmp_path / name, [QueryResult("q", None, hits)], *told, overwrite=False)
        read = geopandas.read_parquet if write is write_hits else geopandas.read_file
        frame = read(tmp_path / name)
        assert frame.crs == "OGC:CRS84" or frame.crs == "EPSG:4326"
        assert all(one.equals(other) for one, other in zip(frame.geometry, shapes))


TRUE = box(9.0, 45.0, 9.1, 45.1)
WITH_A_HOLE = Polygon(box(9, 45, 10, 46).exterior, [box(9.4, 45.4, 9.6, 45.6).exterior.coords])
TWO = MultiPolygon([WITH_A_HOLE, box(12, 45, 13, 46)])


def native_table(path: Path, kind: str, value: object, *, separated: bool = True) -> Path:
    """A GeoParquet file with a geometry in GeoArrow's own encoding."""
    pair = pyarrow.struct([("x", pyarrow.float64()), ("y", pyarrow.float64())])
    interleaved = pyarrow.list_(pyarrow.float64(), 2)
    nested = pair if separated else interleaved
    for _ in range({"polygon": 2, "multipolygon": 3, "point": 0}[kind]):
        nested = pyarrow.list_(nested)
    geo = {"version": "1.1.0", "primary_column": "geometry"}
    column = {"encoding": kind, "geometry_types": []}
    metadata = {b"geo": json.dumps(geo | {"columns": {"geometry": column}}).encode()}
    columns = {"id": ["0"], "embedding": unit_rows(1, 4, 0).tolist()}
    table = pyarrow.table(columns | {"geometry": pyarrow.array([value], nested)})
    parquet.write_table(table.replace_schema_metadata(metadata), path)
    return path


def native(geometry: BaseGeometry, *, separated: bool) -> object:
    def point(xy):
        return {"x": xy[0], "y": xy[1]} if separated else list(xy)

    def polygon(one):
        return [[point(xy) for xy in ring.coords] for ring in (one.exterior, *one.interiors)]

    if geometry.geom_type == "Point":
        return point(geometry.coords[0])
    if geometry.geom_type == "Polygon":
        return polygon(geometry)
    return [polygon(part) for part in geometry.geoms]


@pytest.mark.parametrize("separated", [True, False])
@pytest.mark.parametrize("geometry", [WITH_A_HOLE, TWO, Point(9, 45)])
def test_native_encodings_keep_parts_and_holes(
    tmp_path: Path, geometry: BaseGeometry, separated: bool
) -> None:
    path = native_table(
        tmp_path / "a.parquet",
        geometry.geom_type.lower(),
        native(geometry, separated=separated),
        separated=separated,
    )
    found = TileTable.of(read_embeddings(path, None, RunContext()).rows)
    assert shape(place_geometry(found[0].place)).equals(geometry)


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:32632", "EPSG:3035"])
def test_parts_and_holes_are_searched_and_written(tmp_path: Path, crs: str) -> None:
    geometry = geopandas.GeoSeries([TWO.segmentize(0.01)], crs="EPSG:4326").to_crs(crs)[0]
    table = table_of(tmp_path, geometry, crs=crs)
    write_table(tmp_path / "tiles.parquet", table)
    found = Footprints.of(read_table(tmp_path / "tiles.parquet"))
    assert row_at(found, 9.2, 45.2) == row_at(found, 12.5, 45.5) == 0
    for lon, lat in ((9.5, 45.5), (11, 45.5)):
        with pytest.raises(InputError, match="no tile"):
            row_at(found, lon, lat)
    written = shape(place_geometry(table[0].place))
    assert written.symmetric_difference(TWO).area < 1e-3 * TWO.area
    content = Hit(1, 1.0, table[0])
    write_hits(tmp_path / "hits.parquet", [QueryResult("q", None, (content,))], {}, overwrite=False)
    back = geopandas.read_parquet(tmp_path / "hits.parquet")
    assert back.geometry[0].equals(written)


def plain_table(path: Path, values: list[object], metadata: dict[str, object] | None) -> Path:
    columns = {"id": ["0"], "embedding": unit_rows(1, 4, 0).tolist(), "geometry": values}
    table = pyarrow.table(columns)
    if metadata is not None:
        column = {"encoding": "WKB", "geometry_types": [], **metadata}
        geo = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}
        table = table.replace_schema_metadata({b"geo": json.dumps(geo).encode()})
    parquet.write_table(table, path)
    return path


METRES = box(500_000, 5_000_000, 500_640, 5_000_640)


@pytest.mark.parametrize("geometry", [METRES, box(0, 89, 1, 91), Point(400, 0)])
@pytest.mark.parametrize("metadata", [None, {}, {"crs": None}])
def test_what_is_no_degrees_is_refused(tmp_path: Path, geometry, metadata) -> None:
    path = plain_table(tmp_path / "a.parquet", [geometry.wkb], metadata)
    with pytest.raises(InputError, match="not degrees"):
        read_embeddings(path, None, RunContext())


@pytest.mark.parametrize(("metadata", "noticed"), [(None, 1), ({"crs": None}, 1), ({}, 0)])
def test_degrees_without_a_crs_are_taken_with_a_notice(tmp_path, metadata, noticed) -> None:
    context = RunContext()
    path = plain_table(tmp_path / "a.parquet", [TRUE.wkb], metadata)
    table = TileTable.of(read_embeddings(path, None, context).rows)
    assert shape(place_geometry(table[0].place)).equals(TRUE)
    assert len(context.notices) == noticed


def test_text_and_a_number_of_the_crs_are_read(tmp_path: Path) -> None:
    text = plain_table(tmp_path / "a.parquet", [TRUE.wkt], None)
    assert shape(
        place_geometry(TileTable.of(read_embeddings(text, None, RunContext()).rows)[0].place)
    ).equals(TRUE)
    numbered = shapely.to_wkb(shapely.set_srid(METRES, 32632), include_srid=True)
    path = plain_table(tmp_path / "b.parquet", [numbered], None)
    place = TileTable.of(read_embeddings(path, None, RunContext()).rows)[0].place
    lon, lat = Transformer.from_crs(32632, 4326, always_xy=True).transform(500_320, 5_000_320)
    assert place is not None
    assert place.centre == pytest.approx((lon, lat), abs=1e-6)


@pytest.mark.parametrize("crs", ["srid:32632", "EPSG:32632", CRS(32632).to_json()])
def test_the_crs_of_parquets_own_type(crs: str) -> None:
    schema = pyarrow.schema([("geometry", pyarrow.binary())])
    placing = PlaceReader.of(schema, {"geometry": crs}).place({"geometry": METRES.wkb})
    assert placing.place is not None
    assert placing.place.crs == "EPSG:32632"
    assert placing.remark is None


def test_a_column_that_holds_no_geometries_is_remarked() -> None:
    schema = pyarrow.schema([("geometry", pyarrow.struct([("type", pyarrow.string())]))])
    placing = PlaceReader.of(schema).place({"geometry": {"type": "Polygon"}})
    assert placing.place is None
    assert placing.remark is Note.NO_GEOMETRIES


def test_a_large_polygon_of_a_polar_map_follows_its_parallels(tmp_path: Path) -> None:
    corners = box(-3_000_000, -2_000_000, -1_000_000, 1_000_000)
    found = Footprints.of(table_of(tmp_path, corners, crs="EPSG:3413"))
    back = Transformer.from_crs(3413, 4326, always_xy=True)
    for x, y, inside in ((-1_010_000, 0, 1), (-990_000, 0, 0), (-2_990_000, -500_000, 1)):
        point = shapely.Point(*back.transform(x, y))
        assert len(rows_intersecting(found, point)) == inside
