"""Places that others wrote down, as `--at` and `--bbox` find them."""

from __future__ import annotations

from pathlib import Path

import geopandas
import pytest
from shapely.geometry import LineString, MultiPolygon, Point, Polygon, box
from shapely.geometry.base import BaseGeometry

from rsretrieve.data.run_context import RunContext
from rsretrieve.errors import InputError
from rsretrieve.export.geojson import write_geojson
from rsretrieve.export.geoparquet import write_hits
from rsretrieve.index.external.embeddings_file import read_embeddings
from rsretrieve.index.store.columns import Footprints
from rsretrieve.index.store.tile_table import TileTable
from rsretrieve.search.search import Hit, QueryResult
from rsretrieve.search.search_area import box_area
from rsretrieve.search.spatial import row_at, rows_intersecting, rows_within
from tests.support.vectors import unit_rows


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
