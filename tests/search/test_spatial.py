"""Points, boxes and polygons on the globe; the filters' own test holds many against a loop."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rsretrieve.errors import InputError, InvalidArgument
from rsretrieve.index.store.columns import Footprints
from rsretrieve.index.store.tile_table import TileTable
from rsretrieve.search.spatial import box_area, read_area, row_at, rows_meeting, rows_within
from tests.support.planet import Rectangle, indexed


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
        ('{"type": "Polygon", "coordinates": [[[0,0],[1e999,0],[1,1],[0,0]]]}', "is not finite"),
        ('{"type": "Polygon", "coordinates": [[[0,0],[NaN,0],[1,1],[0,0]]]}', "is not finite"),
        ('{"type": "Polygon", "coordinates": [[[0,0],[-Infinity,0],[1,1],[0,0]]]}', "not finite"),
        ({"type": "Polygon", "coordinates": [[[0, 0], [10**400, 0], [1, 1]]]}, "cannot be read"),
        ({"type": "Polygon", "coordinates": []}, "there is no polygon in it"),
        (
            {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [2, 2], [0, 0]]]},
            "no polygon in it that has an area",
        ),
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


def ring(count: int, noise: float = 0.0, seed: int = 0) -> list[list[float]]:
    """A star of `count` corners around 0, 0."""
    angles = np.linspace(0, 2 * np.pi, count, endpoint=False)
    radii = 1 + noise * np.random.default_rng(seed).random(count)
    corners = np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1).tolist()
    return [*corners, corners[0]]


def parts_of(count: int) -> list[Any]:
    """Little squares, side by side."""
    return [polygon(i % 300, i // 300 - 80, i % 300 + 0.5, i // 300 - 79.5) for i in range(count)]


def tangled(count: int, seed: int = 1) -> list[list[float]]:
    corners = np.random.default_rng(seed).random((count, 2)).tolist()
    return [*corners, corners[0]]


@pytest.mark.parametrize("count", [500, 2000, 20_000])
def test_polygons_that_cross_themselves_thousands_of_times_are_refused_soon(
    tmp_path: Path, count: int
) -> None:
    path = area_file(tmp_path, {"type": "Polygon", "coordinates": [tangled(count)]})
    started = time.process_time()
    with pytest.raises(InputError, match="cross themselves more than 2000 times") as caught:
        read_area(path)
    assert time.process_time() - started < 10
    assert caught.value.hint


def test_many_polygons_that_each_cross_themselves_a_little_are_refused_too(tmp_path: Path) -> None:
    polygons = [{"type": "Polygon", "coordinates": [tangled(60, i)]} for i in range(100)]
    path = area_file(tmp_path, {"type": "GeometryCollection", "geometries": polygons})
    with pytest.raises(InputError, match="cross themselves more than 2000 times"):
        read_area(path)


def test_a_polygon_that_crosses_itself_is_mended_and_what_is_inside_twice_is_outside(
    tmp_path: Path,
) -> None:
    bow = {"type": "Polygon", "coordinates": [[[0, 0], [4, 4], [4, 0], [0, 4], [0, 0]]]}
    assert read_area(area_file(tmp_path, bow)).area == pytest.approx(8)
    # A ring that goes out and back along a line leaves a collection of a line and polygons.
    tail = [[0, 0], [4, 4], [4, 0], [0, 4], [0, 0], [-3, 0], [0, 0]]
    spiked = {"type": "Polygon", "coordinates": [tail]}
    assert read_area(area_file(tmp_path, spiked)).area == pytest.approx(8)
    some = {"type": "Polygon", "coordinates": [tangled(60)]}
    assert read_area(area_file(tmp_path, some)).is_valid


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


def test_an_area_of_many_parts_holds_what_each_of_them_holds(tmp_path: Path) -> None:
    parts = parts_of(1200)
    places = [(-60.25 + i * 0.25, -79.9, 0.2, 0.2) for i in range(600)]
    found = footprints(*places, ACROSS)
    one = {"type": "GeometryCollection"}
    many = set(rows_within(found, read_area(area_file(tmp_path, {**one, "geometries": parts}))))
    meeting = rows_meeting(found, read_area(tmp_path / "area.geojson")).tolist()
    slow: set[int] = set()
    slow_meeting: set[int] = set()
    for start in range(0, 1200, 50):
        some = {**one, "geometries": parts[start : start + 50]}
        area = read_area(area_file(tmp_path, some))
        slow |= set(rows_within(found, area).tolist())
        slow_meeting |= set(rows_meeting(found, area).tolist())
    assert many == slow != set()
    assert meeting == sorted(slow_meeting) != []
