"""Areas: boxes, and the polygons of GeoJSON files."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rsretrieve.errors import InputError, InvalidArgument
from rsretrieve.search.search_area import box_area, read_area
from tests.support.tiles.areas import area_file, polygon


@pytest.mark.parametrize(
    "box", [(0, 2, 1, 1), (-181, 0, 1, 1), (0, 0, 1, 91), (0, float("nan"), 1, 1)]
)
def test_a_box_that_is_none_is_wrong_usage(box: tuple[float, float, float, float]) -> None:
    with pytest.raises(InvalidArgument, match="is not west,south,east,north"):
        box_area(box)


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
        ({"type": "Polygon", "coordinates": []}, "contains no polygon"),
        (
            {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [2, 2], [0, 0]]]},
            "no polygon in it has an area",
        ),
        ({"type": "Sphere"}, "cannot be read as GeoJSON"),
        ({"type": "Point", "coordinates": [0, 0]}, "contains no polygon"),
        (polygon(400_000, 5_000_000, 500_000, 5_100_000), "which are not degrees"),
    ],
)
def test_a_file_without_polygons_in_degrees_is_refused(
    tmp_path: Path, content: Any, message: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read_area(area_file(tmp_path, content))
    assert str(tmp_path) in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("crs", "is_read"),
    [
        *((f"urn:ogc:def:crs:{name}", True) for name in ("OGC:1.3:CRS84", "EPSG::4326")),
        *(("EPSG:4258", True), ("EPSG:32632", False), ("urn:ogc:def:crs:EPSG::3857", False)),
        *(("nonsense", False), (None, True)),
    ],
)
def test_the_crs_that_earlier_geojson_names_must_be_in_degrees(
    tmp_path: Path, crs: str | None, is_read: bool
) -> None:
    named = None if crs is None else {"type": "name", "properties": {"name": crs}}
    square = {"type": "Polygon", "coordinates": [[[0, 0], [20, 0], [20, 10], [0, 10], [0, 0]]]}
    (tmp_path / "a.geojson").write_text(json.dumps({**square, "crs": named}))
    if is_read:
        assert read_area(tmp_path / "a.geojson").area == pytest.approx(200)
    else:
        with pytest.raises(InputError, match="not in degrees") as caught:
            read_area(tmp_path / "a.geojson")
        assert "ogr2ogr" in caught.value.hint


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_area(tmp_path / "absent.geojson")


def tangled(count: int, seed: int = 1) -> list[list[float]]:
    corners = np.random.default_rng(seed).random((count, 2)).tolist()
    return [*corners, corners[0]]


@pytest.mark.medium
@pytest.mark.parametrize("count", [500, 2000, 20_000])
def test_polygons_that_cross_themselves_thousands_of_times_are_refused_soon(
    tmp_path: Path, count: int
) -> None:
    path = area_file(tmp_path, {"type": "Polygon", "coordinates": [tangled(count)]})
    started = time.process_time()
    with pytest.raises(InputError, match="cross themselves or each other more than 2000") as caught:
        read_area(path)
    assert time.process_time() - started < 10
    assert caught.value.hint


def test_many_polygons_that_each_cross_themselves_a_little_are_refused_too(tmp_path: Path) -> None:
    polygons = [{"type": "Polygon", "coordinates": [tangled(60, i)]} for i in range(100)]
    path = area_file(tmp_path, {"type": "GeometryCollection", "geometries": polygons})
    with pytest.raises(InputError, match="cross themselves or each other more than 2000"):
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
