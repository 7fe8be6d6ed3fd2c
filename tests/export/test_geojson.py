"""GeoJSON: closed counter-clockwise rings, cut at the antimeridian, null without a place."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsretrieve.data.geo.footprints import Point
from rsretrieve.export.geojson import footprint_geometry, write_geojson
from rsretrieve.export.results import hit_json
from rsretrieve.search.search import QueryResult


def rectangle(west: float, south: float, east: float, north: float) -> list[Point]:
    """Corners as a place has them: upper left, lower left, lower right, upper right."""
    return [(west, north), (west, south), (east, south), (east, north)]


def area(ring: list[list[float]]) -> float:
    """Positive where a closed ring runs counter-clockwise; relative to its first corner."""
    (x0, y0), *_ = ring
    moved = [(x - x0, y - y0) for x, y in ring]
    return sum(x * b - a * y for (x, y), (a, b) in pairwise(moved)) / 2


def rings(geometry: dict[str, Any]) -> list[list[list[float]]]:
    polygons = geometry["coordinates"]
    if geometry["type"] == "Polygon":
        polygons = [polygons]
    assert all(len(polygon) == 1 for polygon in polygons)  # no holes
    return [polygon[0] for polygon in polygons]


def test_a_footprint_is_a_closed_ring() -> None:
    assert footprint_geometry(rectangle(9, 47, 10, 48)) == {
        "type": "Polygon",
        "coordinates": [[[9, 48], [9, 47], [10, 47], [10, 48], [9, 48]]],
    }


def test_a_ring_that_runs_clockwise_is_turned() -> None:
    [ring] = rings(footprint_geometry(rectangle(9, 47, 10, 48)[::-1]))
    assert ring[0] == ring[-1]
    assert area(ring) == 1


def test_a_footprint_across_the_antimeridian_is_cut_in_two() -> None:
    geometry = footprint_geometry(rectangle(179, -18, -179, -17))
    assert geometry["type"] == "MultiPolygon"
    west, east = rings(geometry)
    assert {(lon, lat) for lon, lat in west} == {(179, -18), (180, -18), (180, -17), (179, -17)}
    assert {(x, y) for x, y in east} == {(-180, -18), (-179, -18), (-179, -17), (-180, -17)}
    assert west[0] == west[-1]
    assert east[0] == east[-1]
    assert area(west) == area(east) == 1


def test_a_slanted_edge_is_cut_where_it_crosses() -> None:
    # A square that stands on its corner, a quarter of it beyond the line.
    diamond: list[Point] = [(180, 1), (179, 0), (180, -1), (-179, 0)]
    west, east = rings(footprint_geometry(diamond))
    assert sorted({tuple(point) for point in west}) == [(179, 0), (180, -1), (180, 1)]
    assert sorted({tuple(point) for point in east}) == [(-180, -1), (-180, 1), (-179, 0)]
    tilted: list[Point] = [(179.5, 1), (178.5, 0), (179.5, -1), (-179.5, 0)]
    west, east = rings(footprint_geometry(tilted))
    assert area(west) + area(east) == pytest.approx(2)
    assert area(east) == pytest.approx(0.25)
    assert [180.0, 0.5] in west
    assert [180.0, -0.5] in west


@pytest.mark.parametrize(
    ("corners", "longitudes"),
    [
        (rectangle(179, 0, -180, 1), {179, 180}),
        (rectangle(180, 0, -179, 1), {-180, -179}),
        ([(180, 1), (180, 0), (-179, 0.5)], {-180, -179}),
        ([(-179, 1), (180, 0), (-178, 0)], {-180, -179, -178}),
    ],
)
def test_a_footprint_that_only_touches_the_antimeridian_is_one_polygon(
    corners: list[Point], longitudes: set[float]
) -> None:
    geometry = footprint_geometry(corners)
    assert geometry["type"] == "Polygon"
    [ring] = rings(geometry)
    assert {lon for lon, _ in ring} == longitudes
    assert area(ring) > 0


@settings(deadline=None)
@given(
    st.floats(-180, 180),
    st.floats(-89, 88),
    st.floats(1e-4, 60),
    st.floats(1e-4, 1),
    st.booleans(),
)
def test_the_rings_of_any_rectangle_are_closed_counter_clockwise_and_of_its_area(
    west: float, south: float, width: float, height: float, turned: bool
) -> None:
    east = west + width if west + width <= 180 else west + width - 360
    corners = rectangle(west, south, east, south + height)
    # Over the line, the way around is what tells it from a rectangle around the globe.
    turned = turned and west + width <= 180
    found = rings(footprint_geometry(corners[::-1] if turned else corners))
    assert 1 <= len(found) <= 2
    for ring in found:
        assert ring[0] == ring[-1]
        assert len(ring) >= 4
        assert all(-180 <= lon <= 180 for lon, _ in ring)
        assert area(ring) > -1e-12  # rounding, where the line leaves a part of no width
    assert sum(map(area, found)) == pytest.approx(width * height, rel=1e-6, abs=1e-9)


def test_hits_are_features_with_their_properties(tmp_path: Path, result: QueryResult) -> None:
    assert write_geojson(tmp_path / "hits.geojson", [result], overwrite=False) == 3
    content = json.loads((tmp_path / "hits.geojson").read_text(encoding="utf-8"))
    assert content["type"] == "FeatureCollection"
    assert [feature["type"] for feature in content["features"]] == ["Feature"] * 3
    for feature, hit in zip(content["features"], result.hits):
        expected = {"query": result.query, **json.loads(json.dumps(hit_json(hit)))}
        assert feature["properties"] == expected
        [ring] = rings(feature["geometry"])
        assert area(ring) > 0
        assert all(8 < lon < 12 and 46 < lat < 50 for lon, lat in ring)


def test_hits_without_a_place_have_a_null_geometry_and_do_not_count(
    tmp_path: Path, result: QueryResult
) -> None:
    first, *others = result.hits
    bare = replace(first, found=replace(first.found, place=None))
    mixed = replace(result, hits=(bare, *others))
    assert write_geojson(tmp_path / "hits.geojson", [mixed, result], overwrite=False) == 5
    features = json.loads((tmp_path / "hits.geojson").read_text(encoding="utf-8"))["features"]
    assert features[0]["geometry"] is None
    assert features[0]["properties"]["lon"] is None
    assert len(features) == 6
