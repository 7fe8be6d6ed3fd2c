"""The transform of a scene from the places of its windows, against the scene's own."""

from __future__ import annotations

import numpy as np
import pytest
from rasterio import Affine

from rsretrieve.data.geo.fitted_transform import Transform, corners_of, fitted_transform
from rsretrieve.data.window import Window
from tests.support.indexes.scene_indexes import rows_of_scene

NORTH_UP = Affine(20, 0, 435_720, 0, -20, 4_179_460)
TRANSFORMS = {
    "north up": NORTH_UP,
    "south up": Affine(20, 0, 435_720, 0, 20, 4_170_000),
    "turned": Affine.translation(435_720, 4_179_460) @ Affine.rotation(30) @ Affine.scale(20, -20),
    "sheared": Affine(20, 3, 435_720, -4, -25, 4_179_460),
    "a third of a metre": Affine(1 / 3, 0, 435_720.1, 0, -1 / 3, 4_179_460.7),
}
SPREAD = [Window(0, 0, 64, 64), Window(64, 0, 64, 32), Window(0, 128, 64, 64)]
ONE_ROW = [Window(64, 32, 64, 64), Window(128, 32, 64, 64)]
ALONE = [Window(64, 32, 64, 40)]


def fitted(windows: list[Window], crs: str, transform: Affine) -> Transform | None:
    rows = rows_of_scene("/s.tif", windows, crs=crs, transform=transform)
    places = [row.place for row in rows if row.place is not None]
    edges = [(w.col, w.row, w.col + w.width, w.row + w.height) for w in windows]
    footprint, name = places[0].footprint, places[0].crs
    bounds = np.array([place.bounds for place in places])
    return fitted_transform(np.array(edges), bounds, lambda: corners_of(footprint, name))


@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.parametrize("windows", [SPREAD, ONE_ROW, ALONE], ids=["spread", "one row", "alone"])
def test_it_is_the_transform_of_the_scene(name: str, windows: list[Window]) -> None:
    transform = TRANSFORMS[name]
    found = fitted(windows, "EPSG:32618", transform)
    assert found is not None
    for pixel in ((0, 0), (1000, 0), (0, 1000), (517, 311)):
        x, y = Affine(*found) @ pixel
        off = np.subtract((x, y), transform @ pixel)
        assert np.abs(off).max() < 1e-3 * abs(transform.a)


def test_a_scene_in_degrees_is_exact() -> None:
    transform = Affine(1e-4, 0, 11.35, 0, -1e-4, 47.27)
    found = fitted(SPREAD, "EPSG:4326", transform)
    assert found == pytest.approx(tuple(transform)[:6], abs=1e-12)
    assert fitted(SPREAD, "EPSG:32618", NORTH_UP) == tuple(NORTH_UP)[:6]


def test_windows_that_contradict_each_other_have_none() -> None:
    edges = np.array([(0, 0, 10, 10), (10, 0, 20, 10), (0, 10, 10, 20)])
    bounds = np.array([(0, 90, 10, 100), (10, 90, 20, 100), (0, 70, 10, 80)], float)
    assert fitted_transform(edges, bounds, lambda: None) is None
    assert fitted_transform(edges[:1], bounds[:1], lambda: None) is None
    assert fitted_transform(edges, np.zeros((3, 4)), lambda: None) is None


def test_a_grid_of_larger_cells_lies_on_the_same_map() -> None:
    grid = Transform(*tuple(TRANSFORMS["sheared"])[:6]).on_grid((16, 8), (32, 64))
    assert Affine(*grid) @ (2, 3) == pytest.approx(TRANSFORMS["sheared"] @ (80, 200))
