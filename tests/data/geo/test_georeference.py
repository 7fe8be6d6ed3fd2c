"""How large a pixel is on the ground."""

from __future__ import annotations

from math import asin, cos, hypot, radians, sin, sqrt

import numpy as np
import pytest
import rasterio

from rsretrieve.data.geo.georeference import pixel_size_m
from rsretrieve.data.geo.window_places import places_of as placings_of
from rsretrieve.data.notes import Note
from rsretrieve.data.window import Window
from tests.support.tiles.made_tiles import UTM, noise, save_raster


def size_of(tmp_path, width=16, height=16, **profile):
    path = save_raster(tmp_path / "a.tif", noise((1, height, width)), **profile)
    with rasterio.open(path) as dataset:
        size = pixel_size_m(dataset)
        return size and (size.width_m, size.height_m)


def places_of(dataset, windows):
    return [place for place, _ in placings_of(dataset, windows)]


def test_a_projected_scenes_pixels_are_as_long_as_its_transform_says(tmp_path):
    transform = rasterio.Affine(10, 0, 500_000, 0, -20, 4_000_000)
    assert size_of(tmp_path, **UTM | {"transform": transform}) == (10, 20)


def test_feet_are_turned_to_metres(tmp_path):
    transform = rasterio.Affine(100, 0, 900_000, 0, -100, 200_000)
    width, height = size_of(tmp_path, crs="EPSG:2263", transform=transform)  # US survey feet
    assert (width, height) == pytest.approx((30.48006, 30.48006), abs=1e-5)


def test_a_turned_scene_keeps_its_pixels_lengths(tmp_path):
    transform = rasterio.Affine.translation(500_000, 4_000_000) @ rasterio.Affine.rotation(30)
    scaled = transform @ rasterio.Affine.scale(10, -5)
    assert size_of(tmp_path, crs="EPSG:32618", transform=scaled) == pytest.approx((10, 5))


@pytest.mark.parametrize("latitude", [-60.0, 0.0, 37.0, 80.0])
def test_degrees_are_as_long_as_they_are_at_the_scenes_centre(tmp_path, latitude):
    step = 0.001
    transform = rasterio.Affine(step, 0, 10, 0, -step, latitude + 8 * step)
    width, height = size_of(tmp_path, crs="EPSG:4326", transform=transform)

    def on_ellipsoid(lon, lat):
        """Earth-centred coordinates, from the definition of WGS 84."""
        a, f = 6_378_137.0, 1 / 298.257223563
        e2, phi, lam = f * (2 - f), radians(lat), radians(lon)
        n = a / sqrt(1 - e2 * sin(phi) ** 2)
        return n * cos(phi) * cos(lam), n * cos(phi) * sin(lam), n * (1 - e2) * sin(phi)

    def apart(one, other):
        (x, y, z), (a, b, c) = on_ellipsoid(*one), on_ellipsoid(*other)
        return hypot(x - a, y - b, z - c)  # a chord; over 100 m as long as the arc

    half = step / 2
    assert width == pytest.approx(apart((10, latitude), (10 + step, latitude)), rel=1e-6)
    assert height == pytest.approx(apart((10, latitude - half), (10, latitude + half)), rel=1e-6)


@pytest.mark.parametrize("profile", [{}, {"crs": "EPSG:32618"}, {"transform": UTM["transform"]}])
def test_without_georeference_nothing_says_how_large_a_pixel_is(tmp_path, profile):
    assert size_of(tmp_path, **profile) is None


def test_places_of_many_windows_are_those_of_each(tmp_path):
    windows = [Window(3 * i, i, 8 + i, 9) for i in range(20)]
    path = save_raster(tmp_path / "a.tif", noise((1, 16, 16)), **UTM)
    with rasterio.open(path) as dataset:
        together = places_of(dataset, windows)
        assert together == [place for w in windows for place in places_of(dataset, [w])]
        for window, place in zip(windows, together):
            part = rasterio.windows.Window(window.col, window.row, window.width, window.height)
            assert place.bounds == pytest.approx(rasterio.windows.bounds(part, dataset.transform))
            assert place.crs == "EPSG:32618"


def test_shared_corners_are_transformed_once(tmp_path, monkeypatch):
    path = save_raster(tmp_path / "a.tif", noise((1, 16, 16)), **UTM)
    real, calls = rasterio.warp.transform, []

    def counted(source, target, xs, ys):
        calls.append(len(xs))
        return real(source, target, xs, ys)

    monkeypatch.setattr(rasterio.warp, "transform", counted)
    with rasterio.open(path) as dataset:
        places = places_of(dataset, [Window(0, 0, 8, 8), Window(0, 8, 8, 8)])
    assert calls[-1] == 6  # two of the corners are the same
    assert all(places)


def test_one_window_off_the_map_takes_no_place_from_the_others(tmp_path):
    crs = "+proj=geos +h=35786023 +lon_0=0 +sweep=y +a=6378137 +b=6356752.3"
    transform = rasterio.Affine(100_000, 0, -5_500_000, 0, -100_000, 5_500_000)
    path = save_raster(tmp_path / "a.tif", noise((1, 110, 110)), crs=crs, transform=transform)
    with rasterio.open(path) as dataset:
        (none, why), (place, remark) = placings_of(
            dataset, [Window(0, 0, 8, 8), Window(51, 51, 8, 8)]
        )
    assert none is None
    assert why is Note.OUTSIDE_DOMAIN
    assert remark is None
    assert place.centre == pytest.approx((0, 0), abs=1)


def test_great_circles_agree_within_the_flattening(tmp_path):
    """A second opinion on the lengths: on a sphere they differ by less than a percent."""
    transform = rasterio.Affine(0.01, 0, 0, 0, -0.01, 45.08)
    width, _ = size_of(tmp_path, crs="EPSG:4326", transform=transform)
    arc = 2 * asin(cos(radians(45)) * sin(radians(0.005)))
    assert np.isclose(width, 6_371_000 * arc, rtol=0.01)


@pytest.mark.parametrize(
    ("crs", "pole"), [("EPSG:3413", 90), ("EPSG:3976", -90), ("EPSG:3995", 90), ("EPSG:3031", -90)]
)
@pytest.mark.parametrize("mirrored", [False, True])
def test_a_window_with_a_pole_inside_goes_around_it(tmp_path, crs, pole, mirrored):
    import shapely

    step = -1000 if mirrored else 1000
    transform = rasterio.Affine(step, 0, -20 * step, 0, -1000, 25_000)
    path = save_raster(tmp_path / "a.tif", noise((1, 64, 64)), crs=crs, transform=transform)
    windows = [Window(0, 0, 64, 64), Window(40, 40, 24, 24), Window(8, 8, 30, 30)]
    with rasterio.open(path) as dataset:
        places = places_of(dataset, windows)
        back = rasterio.warp.transform
        for window, place, inside in zip(windows, places, (True, False, True)):
            ring = shapely.Polygon(place.footprint)
            assert ring.is_valid
            assert shapely.is_ccw(ring.exterior) or mirrored
            assert (abs(place.centre[1]) == 90) is inside
            # Points of the scene lie in the ring where they lie in the window.
            rng = np.random.default_rng(0)
            cols, rows = rng.uniform(-10, 74, (2, 800))
            xs, ys = dataset.transform @ (cols, rows)
            lons, lats = back(dataset.crs, "EPSG:4326", xs, ys)
            found = shapely.contains_xy(ring, lons, lats)
            wide = _within(window, cols, rows, 0.5)
            close = _within(window, cols, rows, -0.5)
            if inside:  # beside a pole the four corners that other windows have say little
                assert found[close].all()
                assert not found[~wide].any()
            assert shapely.intersects(ring, shapely.Point(12, pole)) == inside


def _within(window, cols, rows, slack):
    across = (cols > window.col - slack) & (cols < window.col + window.width + slack)
    down = (rows > window.row - slack) & (rows < window.row + window.height + slack)
    return across & down


@pytest.mark.parametrize("latitude", [0.0, 45.0, 60.2, -70.0])
def test_mercators_metres_are_shorter_on_the_ground(tmp_path, latitude):
    """Against PROJ's geodesics."""
    from pyproj import Geod, Transformer

    there = Transformer.from_crs("EPSG:4326", "EPSG:3857", always_xy=True)
    x, y = there.transform(10, latitude)
    transform = rasterio.Affine(10, 0, x - 80, 0, -10, y + 80)
    width, height = size_of(tmp_path, crs="EPSG:3857", transform=transform)
    lons, lats = there.transform([x - 5, x + 5, x, x], [y, y, y + 5, y - 5], direction="INVERSE")
    geod = Geod(ellps="WGS84")
    true_width = geod.inv(lons[0], lats[0], lons[1], lats[1])[2]
    true_height = geod.inv(lons[2], lats[2], lons[3], lats[3])[2]
    assert (width, height) == pytest.approx((true_width, true_height), rel=0.01)
    if latitude != 0:
        assert (width, height) == pytest.approx((true_width, true_height), rel=1e-6)


@pytest.mark.parametrize(("pixels", "varies"), [(64, False), (600, True)])
def test_a_tall_scene_has_pixels_of_several_sizes(tmp_path, pixels, varies):
    transform = rasterio.Affine(10_000, 0, 0, 0, -10_000, 9_000_000)
    path = save_raster(
        tmp_path / "a.tif", noise((1, pixels, 16)), crs="EPSG:3857", transform=transform
    )
    with rasterio.open(path) as dataset:
        assert pixel_size_m(dataset).varies is varies
