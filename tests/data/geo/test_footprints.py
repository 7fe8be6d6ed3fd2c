"""Footprints across the antimeridian, and those that are as wide as if they crossed it."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio

from rsretrieve.data.geo.footprints import Point, crosses_antimeridian, rings_of
from rsretrieve.data.geo.place import Place
from rsretrieve.data.geo.window_places import places_of
from rsretrieve.data.window import Window
from tests.support.tiles.made_tiles import noise, save_raster

GLOBE: list[Point] = [(-180, 90), (-180, -90), (180, -90), (180, 90)]
ACROSS: list[Point] = [(179, 1), (179, 0), (-179, 0), (-179, 1)]
HALF: list[Point] = [(-100, 1), (-100, 0), (100, 0), (100, 1)]


@pytest.mark.parametrize(("corners", "crosses"), [(GLOBE, False), (HALF, False), (ACROSS, True)])
def test_wide_is_not_across(corners, crosses):
    assert crosses_antimeridian(corners) is crosses
    assert len(rings_of(corners)) == 1 + crosses
    centre = Place("EPSG:4326", (0, 0, 1, 1), tuple(corners)).centre
    assert centre == ((180, 0.5) if crosses else (0, sum(lat for _, lat in corners) / 4))


def scene(tmp_path, west, north, degrees_px, *, south_up=False, width=20):
    """The place of a scene in degrees, ten pixels high."""
    step = degrees_px if south_up else -degrees_px
    top = north - 10 * degrees_px if south_up else north
    transform = rasterio.Affine(degrees_px, 0, west, 0, step, top)
    pixels = noise((1, 10, width))
    path = save_raster(tmp_path / "a.tif", pixels, crs="EPSG:4326", transform=transform)
    with rasterio.open(path) as dataset:
        [(place, _)] = places_of(dataset, [Window(0, 0, width, 10)])
    assert place is not None
    return place


def test_a_scene_of_the_whole_globe_is_one_ring_around_it(tmp_path):
    for west in (-180, 0):
        place = scene(tmp_path, west, 90, 18)
        [ring] = rings_of(place.footprint)
        assert np.ptp(ring, axis=0).tolist() == [360, 180]
        assert place.centre == (0, 0)


@pytest.mark.parametrize("south_up", [False, True])
@pytest.mark.parametrize("width", [12, 20])
def test_scenes_that_count_beyond_180_are_across_the_antimeridian(tmp_path, south_up, width):
    """From 170 on, one degree a pixel: two degrees or ten lie beyond."""
    place = scene(tmp_path, 170, 5, 1, south_up=south_up, width=width)
    west, east = rings_of(place.footprint)
    assert (min(lon for lon, _ in west), max(lon for lon, _ in west)) == (170, 180)
    assert (min(lon for lon, _ in east), max(lon for lon, _ in east)) == (-180, width - 190)
    assert {lat for _, lat in west} == {-5, 5}


def test_a_south_up_scene_wider_than_half_the_globe_does_not_cross(tmp_path):
    place = scene(tmp_path, -150, 5, 15, south_up=True)
    [ring] = rings_of(place.footprint)
    assert {lon for lon, _ in ring} == {-150, 150}
