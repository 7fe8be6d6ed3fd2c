"""The size of tiles on the ground, against geodesic areas by pyproj."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pyproj import Geod, Transformer

from rsretrieve.data.geo.place import Place
from rsretrieve.data.profile.measure_scale import ground_side_m, measure_scale
from rsretrieve.data.tile import TileSet
from rsretrieve.data.window import Window
from tests.support.tiles.made_tiles import UTM, noise, save_picture, save_raster, tile_at

GEOD = Geod(ellps="WGS84")


def place_of(crs: str, left: float, top: float, side: float, points: int = 1) -> Place:
    """A square in a reference system, with so many points per edge."""
    to_degrees = Transformer.from_crs(crs, 4326, always_xy=True)
    edge = np.arange(points) / points
    x = np.concatenate((0 * edge, edge, 1 + 0 * edge, 1 - edge)) * side + left
    y = top - np.concatenate((edge, 1 + 0 * edge, 1 - edge, 0 * edge)) * side
    lon, lat = to_degrees.transform(x, y)
    return Place(crs, (left, top - side, left + side, top), tuple(zip(lon, lat)))


@pytest.mark.parametrize(
    ("crs", "left", "top", "side"),
    [
        ("EPSG:32632", 500_000, 5_000_000, 19.2),
        ("EPSG:32660", 830_000, 6_600_000, 10_000),  # across the antimeridian
        ("EPSG:3857", 1_000_000, 8_400_000, 1280),  # at 60° N half as long on the ground
        ("EPSG:4326", 179.9, 10, 0.2),
        ("EPSG:3031", -2_000_000, -1_000_000, 50_000),
    ],
)
@pytest.mark.parametrize("points", [1, 16])
def test_a_side_is_the_root_of_the_area(
    crs: str, left: float, top: float, side: float, points: int
) -> None:
    place = place_of(crs, left, top, side, points)
    area, _ = GEOD.polygon_area_perimeter(*zip(*place.footprint))
    assert ground_side_m(place) == pytest.approx(abs(area) ** 0.5, rel=0.01)


def test_a_tile_around_a_pole_has_a_side() -> None:
    longitudes = np.linspace(-180, 180, 73)
    ring = [*((lon, -89.0) for lon in longitudes), (180.0, -90.0), (-180.0, -90.0)]
    place = Place("EPSG:3031", (-1, -1, 1, 1), tuple(ring[::-1]))
    cap = 2 * np.pi * 6_371_007.2**2 * (1 - np.sin(np.radians(89)))
    assert ground_side_m(place) == pytest.approx(cap**0.5, rel=0.01)


def test_files_are_read_for_their_size(tmp_path: Path) -> None:
    paths = [save_raster(tmp_path / f"{i}.tif", noise((1, 48, 48)), **UTM) for i in range(3)]
    found = measure_scale(TileSet("", tuple(map(tile_at, paths)), folders=(str(tmp_path),)))
    assert found.side_px == (48, 48)
    assert found.tile_m == pytest.approx((480, 480), rel=0.01)
    assert found.pixel_m == pytest.approx((10, 10), rel=0.01)


def test_pictures_have_a_size_in_pixels_alone(tmp_path: Path) -> None:
    path = save_picture(tmp_path / "a.jpg", noise((3, 90, 40)))
    found = measure_scale(TileSet("", (tile_at(path),), folders=(str(tmp_path),)), [None])
    assert found.side_px == pytest.approx((60, 60))
    assert found.tile_m is None
    assert found.pixel_m is None


def test_windows_are_not_read() -> None:
    windows = [tile_at(Path("nowhere.tif"), window=Window(64 * i, 0, 64, 64, 32)) for i in range(4)]
    place = place_of("EPSG:32632", 500_000, 5_000_000, 640)
    found = measure_scale(TileSet("", tuple(windows)), [place] * 4)
    assert found.side_px == (32, 32)
    assert found.pixel_m == pytest.approx((20, 20), rel=0.01)


def test_files_that_cannot_be_read_have_no_size() -> None:
    found = measure_scale(TileSet("", (tile_at(Path("nowhere.tif")),)))
    assert found.side_px is found.tile_m is None
