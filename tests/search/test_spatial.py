"""Points, boxes and polygons on the globe; the filters' own test holds many against a loop."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rsretrieve.errors import InputError, InvalidArgument
from rsretrieve.index.store.columns import Footprints
from rsretrieve.index.store.tile_table import TileTable
from rsretrieve.search.search_area import box_area, read_area
from rsretrieve.search.spatial import row_at, rows_intersecting, rows_within
from tests.support.indexes.planet import Rectangle, indexed
from tests.support.tiles.areas import area_file, parts_of, polygon, ring


def footprints(*rectangles: Rectangle | None) -> Footprints:
    return Footprints.of(TileTable.of([indexed(i, r) for i, r in enumerate(rectangles)]))


LARGE, SMALL, OTHER = (0.0, 0.0, 4.0, 4.0), (1.0, 1.0, 1.0, 1.0), (10.0, 0.0, 4.0, 4.0)
ACROSS = (178.0, -20.0, 4.0, 6.0)


def test_of_several_tiles_that_hold_a_point_the_smallest_is_it() -> None:
    found = footprints(None, LARGE, SMALL, OTHER, SMALL)
    assert row_at(found, 1.5, 1.5) == 2  # of equals the first
    assert row_at(found, 3.5, 3.5) == 1
    assert row_at(found, 4.0, 4.0) == 1  # its corner
    assert row_at(found, 12.0, 3.0) == 3


@pytest.mark.parametrize("lon", [179.0, 180.0, -180.0, -179.0, 178.0, -178.0])
def test_a_tile_across_the_antimeridian_holds_points_on_both_sides(lon: float) -> None:
    assert row_at(footprints(LARGE, ACROSS), lon, -17.0) == 1


@pytest.mark.parametrize("lon", [177.9, -177.9, 0.0])
def test_and_none_elsewhere(lon: float) -> None:
    with pytest.raises(InputError, match="no tile of the index contains the point"):
        row_at(footprints(ACROSS), lon, -17.0)


def test_a_point_in_no_tile_is_told_how_far_the_nearest_is() -> None:
    with pytest.raises(InputError, match=r"the centre of the nearest tile is 166\.\d km away$"):
        row_at(footprints((-1.0, -1.0, 2.0, 2.0), OTHER), 0.0, 1.5)
    with pytest.raises(InputError, match=r"no tile of the index has a georeference$"):
        row_at(footprints(None), 0.0, 2.0)


@pytest.mark.parametrize(("lon", "lat"), [(181, 0), (0, 91), (float("nan"), 0)])
def test_a_point_that_is_not_on_earth_is_wrong_usage(lon: float, lat: float) -> None:
    with pytest.raises(InvalidArgument, match="is not a longitude and latitude"):
        row_at(footprints(LARGE), lon, lat)


def test_a_box_may_cross_the_antimeridian() -> None:
    found = footprints(LARGE, ACROSS, None, (-176.0, -20.0, 1.0, 6.0), (170.0, -20.0, 1.0, 6.0))
    assert rows_intersecting(found, box_area((179, -18, -175, -10))).tolist() == [1, 3]
    assert rows_intersecting(found, box_area((-175, -90, 179, 90))).tolist() == [0, 1, 3, 4]
    assert rows_intersecting(found, box_area((-180, -90, 180, 90))).tolist() == [0, 1, 3, 4]
    assert rows_intersecting(found, box_area((-179, -18, -178.5, -10))).tolist() == [1]


def test_within_is_whole_and_meeting_is_in_part(tmp_path: Path) -> None:
    found = footprints(LARGE, SMALL, OTHER)
    area = read_area(area_file(tmp_path, polygon(-1, -1, 3, 5)))
    assert rows_within(found, area).tolist() == [1]
    assert rows_intersecting(found, area).tolist() == [0, 1]


def test_all_polygons_of_a_file_count_and_other_shapes_do_not(tmp_path: Path) -> None:
    west, east = polygon(-1, -1, 2, 5), polygon(2, -1, 5, 5)
    features = [
        {"type": "Feature", "geometry": west, "properties": {}},
        {"type": "Feature", "geometry": None, "properties": {}},
        {"type": "Feature", "geometry": {"type": "GeometryCollection", "geometries": [east]}},
        {"type": "Feature", "geometry": {"type": "Point", "coordinates": [12, 2]}},
    ]
    path = area_file(tmp_path, {"type": "FeatureCollection", "features": features})
    assert rows_within(footprints(LARGE, SMALL, OTHER), read_area(path)).tolist() == [0, 1]


def test_a_polygon_that_runs_over_180_is_folded_back(tmp_path: Path) -> None:
    area = read_area(area_file(tmp_path, polygon(170, -30, 190, 0)))
    found = footprints(ACROSS, (-175.0, -20.0, 2.0, 6.0), (-169.0, -20.0, 2.0, 6.0))
    assert rows_within(found, area).tolist() == [0, 1]


@pytest.mark.medium
@pytest.mark.parametrize(
    ("content", "area"),
    [
        ({"type": "Polygon", "coordinates": [ring(100_000)]}, np.pi),
        (
            {
                "type": "MultiPolygon",
                "coordinates": [part["coordinates"] for part in parts_of(30_000)],
            },
            7500,
        ),
        ({"type": "GeometryCollection", "geometries": parts_of(30_000)}, 7500),
    ],
    ids=["many corners", "many parts", "many polygons"],
)
def test_large_valid_polygons_are_read_soon(tmp_path: Path, content: Any, area: float) -> None:
    path = area_file(tmp_path, content)
    started = time.process_time()
    found = read_area(path)
    places = [(float(i % 350 - 175), i // 350 * 0.4 - 80, 0.3, 0.3) for i in range(20_000)]
    rows_within(footprints(*places[::20]), found)
    assert time.process_time() - started < 20
    assert found.area == pytest.approx(area, rel=1e-3)


@pytest.mark.medium
def test_an_area_of_many_parts_holds_what_each_of_them_holds(tmp_path: Path) -> None:
    parts = parts_of(1200)
    places = [(-60.25 + i * 0.25, -79.9, 0.2, 0.2) for i in range(600)]
    found = footprints(*places, ACROSS)
    one = {"type": "GeometryCollection"}
    many = set(rows_within(found, read_area(area_file(tmp_path, {**one, "geometries": parts}))))
    meeting = rows_intersecting(found, read_area(tmp_path / "area.geojson")).tolist()
    slow: set[int] = set()
    slow_meeting: set[int] = set()
    for start in range(0, 1200, 50):
        some = {**one, "geometries": parts[start : start + 50]}
        area = read_area(area_file(tmp_path, some))
        slow |= set(rows_within(found, area).tolist())
        slow_meeting |= set(rows_intersecting(found, area).tolist())
    assert many == slow != set()
    assert meeting == sorted(slow_meeting) != []


def test_a_point_on_the_curved_edge_between_two_tiles_lies_in_one_of_them():
    from pyproj import Transformer
    from rasterio import Affine

    from rsretrieve.index.store.tile_table import IndexedTile, TileTable
    from tests.data.geo.test_window_places import placed

    transform = Affine(5000, 0, -3_850_000, 0, -5000, 5_850_000)
    windows = [(64 * i, 640, 64, 64) for i in range(4)]
    placings = placed("EPSG:3413", transform, *windows, side=1000)
    rows = [IndexedTile(str(i), "", None, 1, 1, place) for i, (place, _) in enumerate(placings)]
    found = Footprints.of(TileTable.of(rows))
    back = Transformer.from_crs(3413, 4326, always_xy=True)
    for row in range(641, 703, 3):
        assert row_at(found, *back.transform(*(transform @ (128, row)))) in (1, 2)
    with pytest.raises(InputError, match="no tile"):
        row_at(found, *back.transform(*(transform @ (256.2, 660))))
