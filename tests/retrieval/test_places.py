"""Points, boxes and polygons on the globe; the filters' own test holds many against a loop."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rsretrieve.errors import InputError, InvalidArgument
from rsretrieve.retrieval.columns import Footprints
from rsretrieve.retrieval.places import box_area, read_area, row_at, rows_meeting, rows_within
from rsretrieve.retrieval.table import TileTable
from tests.retrieval.planet import Rectangle, indexed


def footprints(*rectangles: Rectangle | None) -> Footprints:
    return Footprints.of(TileTable.of([indexed(i, r) for i, r in enumerate(rectangles)]))


def area_file(folder: Path, content: Any) -> Path:
    path = folder / "area.geojson"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def polygon(west: float, south: float, east: float, north: float) -> dict[str, Any]:
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Polygon", "coordinates": [ring]}


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
    with pytest.raises(InputError, match="no tile of the index holds the point"):
        row_at(footprints(ACROSS), lon, -17.0)


def test_a_point_in_no_tile_is_told_how_far_the_nearest_is() -> None:
    with pytest.raises(InputError, match=r"the middle of the nearest is 166\.\d km away$"):
        row_at(footprints((-1.0, -1.0, 2.0, 2.0), OTHER), 0.0, 1.5)
    with pytest.raises(InputError, match=r"none of its tiles has a georeference$"):
        row_at(footprints(None), 0.0, 2.0)


@pytest.mark.parametrize(("lon", "lat"), [(181, 0), (0, 91), (float("nan"), 0)])
def test_a_point_that_is_not_on_earth_is_wrong_usage(lon: float, lat: float) -> None:
    with pytest.raises(InvalidArgument, match="is not a longitude and latitude"):
        row_at(footprints(LARGE), lon, lat)


def test_a_box_may_cross_the_antimeridian() -> None:
    found = footprints(LARGE, ACROSS, None, (-176.0, -20.0, 1.0, 6.0), (170.0, -20.0, 1.0, 6.0))
    assert rows_meeting(found, box_area((179, -18, -175, -10))).tolist() == [1, 3]
    assert rows_meeting(found, box_area((-175, -90, 179, 90))).tolist() == [0, 1, 3, 4]
    assert rows_meeting(found, box_area((-180, -90, 180, 90))).tolist() == [0, 1, 3, 4]
    assert rows_meeting(found, box_area((-179, -18, -178.5, -10))).tolist() == [1]


@pytest.mark.parametrize(
    "box", [(0, 2, 1, 1), (-181, 0, 1, 1), (0, 0, 1, 91), (0, float("nan"), 1, 1)]
)
def test_a_box_that_is_none_is_wrong_usage(box: tuple[float, float, float, float]) -> None:
    with pytest.raises(InvalidArgument, match="is not west,south,east,north"):
        box_area(box)


def test_within_is_whole_and_meeting_is_in_part(tmp_path: Path) -> None:
    found = footprints(LARGE, SMALL, OTHER)
    area = read_area(area_file(tmp_path, polygon(-1, -1, 3, 5)))
    assert rows_within(found, area).tolist() == [1]
    assert rows_meeting(found, area).tolist() == [0, 1]


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


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot be read as GeoJSON"),
        ("[]", "cannot be read as GeoJSON"),
        ({"type": "Polygon"}, "cannot be read as GeoJSON"),
        ({"type": "Polygon", "coordinates": [[[0, 0], [1, 1]]]}, "cannot be read as GeoJSON"),
        ({"type": "Sphere"}, "cannot be read as GeoJSON"),
        ({"type": "Point", "coordinates": [0, 0]}, "there is no polygon in it"),
        (polygon(400_000, 5_000_000, 500_000, 5_100_000), "which are no degrees"),
    ],
)
def test_a_file_without_polygons_in_degrees_is_refused(
    tmp_path: Path, content: Any, message: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read_area(area_file(tmp_path, content))
    assert str(tmp_path) in str(caught.value)
    assert caught.value.hint


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_area(tmp_path / "absent.geojson")
