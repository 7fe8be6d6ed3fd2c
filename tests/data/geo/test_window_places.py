"""Places of windows, against PROJ point by point."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
import shapely
from rasterio.control import GroundControlPoint
from rasterio.io import MemoryFile

from rsretrieve.data.geo.window_places import places_of
from rsretrieve.data.notes import Note
from rsretrieve.data.window import Window
from rsretrieve.export.geojson import place_geometry
from tests.support.tiles.made_tiles import noise, save_raster
from tests.support.tiles.map_points import KINDS, points_of, random_map


def placed(crs, transform, *windows, side=64, **profile):
    """The placings of windows of an empty scene."""
    scene = {"driver": "GTiff", "width": side, "height": side, "count": 1, "dtype": "uint8"}
    scene |= {"crs": crs, "transform": transform, "sparse_ok": True, **profile}
    with MemoryFile() as memory:
        memory.open(**scene).close()
        with memory.open() as dataset:
            return places_of(dataset, [Window(*window) for window in windows])


def area_of(place):
    return shapely.geometry.shape(place_geometry(place))


def check(kind, seed):
    rng = np.random.default_rng(seed)
    one = random_map(kind, rng)
    [(place, remark)] = placed(one.crs, one.transform, one.window, side=one.side)
    lons, lats, inside = points_of(one, 1000, rng)
    if place is None:
        assert remark is Note.OUTSIDE_DOMAIN or not inside.any(), (kind, seed)
        assert not inside.any(), (kind, seed)
        return 0
    area = area_of(place)
    assert area.is_valid, (kind, seed)
    west, south, east, north = area.bounds
    assert -180 <= west <= east <= 180, (kind, seed)
    assert -90 <= south <= north <= 90, (kind, seed)
    found = shapely.intersects_xy(area, lons, lats)
    wrong = np.count_nonzero(found != inside)
    assert wrong <= 2, (kind, seed, one, wrong, len(lons))  # corners at the edge of a domain
    return len(lons)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.medium
@pytest.mark.parametrize("seed", range(4))
def test_points_lie_in_the_footprint_where_they_lie_in_the_window(kind, seed):
    check(kind, seed)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_points_of_three_hundred_maps(kind):
    assert sum(check(kind, seed) for seed in range(100, 143)) > 0


GEOS = "+proj=geos +h=35786023 +lon_0=-75 +sweep=x +a=6378137 +b=6356752.31414"
DISK = rasterio.Affine(21230, 0, -5_434_880, 0, -21230, 5_434_880)


def test_a_window_with_corners_in_space_keeps_its_part_on_earth():
    [(place, _), (none, why)] = placed(GEOS, DISK, (64, 0, 64, 64), (0, 0, 32, 32), side=512)
    area = area_of(place)
    assert shapely.intersects_xy(area, -122, 47)  # Seattle
    assert not shapely.intersects_xy(area, -90, 30)
    assert none is None
    assert "domain" in why


def test_the_whole_disk_is_one_area():
    [(place, _)] = placed(GEOS, DISK, (0, 0, 512, 512), side=512)
    assert place.parts is None
    assert place.centre == pytest.approx((-75, 0), abs=0.1)


@pytest.mark.parametrize(
    "crs", ["+proj=sinu +R=6371007", "+proj=moll +R=6371007", "+proj=robin +R=6371007"]
)
def test_a_window_at_the_edge_of_the_globe_stays_on_its_side(crs):
    from pyproj import Transformer

    x, y = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(-179.9, 40)
    transform = rasterio.Affine(10_000, 0, x - 320_000, 0, -10_000, y + 320_000)
    [(place, _)] = placed(crs, transform, (0, 0, 64, 64))
    west, south, east, north = area_of(place).bounds
    assert west == pytest.approx(-180, abs=1e-3)
    assert east < -165
    assert place.centre[0] < -170
    assert south < 40 < north


def test_a_window_that_ends_at_a_pole_has_its_quarter_of_the_meridians():
    transform = rasterio.Affine(10_000, 0, -640_000, 0, -10_000, 640_000)
    [(place, _)] = placed("EPSG:3995", transform, (64, 64, 64, 64), side=128)
    area = area_of(place)
    assert area.bounds == pytest.approx((0, 81.7, 90, 90), abs=0.1)
    assert not shapely.intersects_xy(area, -45, 89)


def test_a_grid_centred_on_the_poles_ends_at_them():
    transform = rasterio.Affine(0.25, 0, -0.125, 0, -0.25, 90.125)
    [(north, _), (south, _)] = placed(
        "EPSG:4326", transform, (64, 0, 64, 64), (64, 704, 64, 64), side=1440, height=721
    )
    assert area_of(north).bounds == pytest.approx((15.875, 74.125, 31.875, 90))
    assert area_of(south).bounds == pytest.approx((15.875, -90, 31.875, -85.875))


def test_a_diamond_across_the_antimeridian_is_no_belt_around_the_globe():
    transform = rasterio.Affine.translation(178, 0) @ rasterio.Affine.rotation(45)
    transform = transform @ rasterio.Affine.scale(0.04, -0.04)
    [(place, _)] = placed("EPSG:4326", transform, (0, 0, 64, 64))
    area = area_of(place)
    assert area.area == pytest.approx((64 * 0.04) ** 2, rel=1e-6)
    assert not shapely.intersects_xy(area, 0, 0.5)


def control_points(curve=0.0):
    return [
        GroundControlPoint(r, c, 178 + c * 0.1 - r * 0.02, 50 - r * 0.05 + curve * c**2)
        for r in (0, 32, 64)
        for c in (0, 32, 64)
    ]


@pytest.mark.parametrize(("curve", "remarked"), [(0.0, False), (1e-3, True)])
def test_ground_control_points_place_a_window(tmp_path, curve, remarked):
    path = save_raster(tmp_path / "a.tif", noise((1, 64, 64)))
    points = control_points(curve)
    for point in points:  # as in files: longitudes from −180 to 180
        point.x = (point.x + 180) % 360 - 180
    with rasterio.open(path, "r+") as dataset:
        dataset.gcps = (points, rasterio.crs.CRS.from_epsg(4326))
    with rasterio.open(path) as dataset:
        [(place, remark)] = places_of(dataset, [Window(0, 0, 64, 64)])
    fitted = rasterio.transform.from_gcps(control_points(curve))
    lon, lat = fitted @ (32, 32)
    assert place.centre == pytest.approx(((lon + 180) % 360 - 180, lat), abs=1e-6)
    assert (remark is Note.BY_GCPS) is remarked


def test_points_on_a_line_place_nothing(tmp_path):
    path = save_raster(tmp_path / "a.tif", noise((1, 64, 64)))
    points = [GroundControlPoint(i, i, 10 + i, 20 + i) for i in (0, 20, 40, 60)]
    with rasterio.open(path, "r+") as dataset:
        dataset.gcps = (points, rasterio.crs.CRS.from_epsg(4326))
    with rasterio.open(path) as dataset:
        [(place, remark)] = places_of(dataset, [Window(0, 0, 64, 64)])
    assert place is None
    assert remark is Note.GCPS_ON_A_LINE


def test_polynomials_place_a_window_approximately(tmp_path):
    from rasterio.rpc import RPC

    path = save_raster(tmp_path / "a.tif", noise((1, 64, 64)))
    ones, none = [1.0, *[0.0] * 19], [0.0] * 17
    east, south = [0.0, 1.0, 0.0, *none], [0.0, 0.0, -1.0, *none]
    offsets = {"line_off": 32, "samp_off": 32, "lat_off": 45, "long_off": 7, "height_off": 100}
    scales = {"line_scale": 32, "samp_scale": 32, "lat_scale": 0.1, "long_scale": 0.1}
    rpc = RPC(
        **offsets,
        **scales,
        height_scale=500,
        line_num_coeff=south,
        line_den_coeff=ones,
        samp_num_coeff=east,
        samp_den_coeff=ones,
    )
    with rasterio.open(path, "r+") as dataset:
        dataset.rpcs = rpc
    with rasterio.open(path) as dataset:
        [(place, remark)] = places_of(dataset, [Window(0, 0, 64, 64)])
    assert place.centre == pytest.approx((7, 45), abs=0.01)
    assert remark is Note.BY_RPCS


def test_a_transform_without_a_reference_system_is_remarked():
    transform = rasterio.Affine(10, 0, 500_000, 0, -10, 4_000_000)
    [(place, remark)] = placed(None, transform, (0, 0, 64, 64))
    assert place is None
    assert remark is Note.NO_CRS


def test_a_plain_image_needs_no_remark():
    assert placed(None, rasterio.Affine.identity(), (0, 0, 64, 64)) == [(None, None)]
