"""The part of a scene around a window."""

from __future__ import annotations

import pytest

from rsretrieve.data.tile import Tile
from rsretrieve.data.window import Window
from rsretrieve.export.html.scene_context import tile_around


@pytest.mark.parametrize(
    ("window", "wider", "box"),
    [
        ((100, 60, 20, 10), (80, 50, 60, 30), (1 / 3, 1 / 3, 1 / 3, 1 / 3)),
        ((0, 0, 20, 10), (0, 0, 40, 20), (0, 0, 0.5, 0.5)),
        ((5, 30, 20, 10), (0, 20, 45, 30), (5 / 45, 1 / 3, 20 / 45, 1 / 3)),
    ],
)
def test_a_side_is_added_on_each_side_but_not_before_the_scene_begins(window, wider, box):
    tile = Tile("a", "a.tif", "road", Window(*window, read_px=64))
    around, found = tile_around(tile)
    assert around.window == Window(*wider, read_px=64)
    assert (around.id, around.path) == ("a", "a.tif")
    assert found == pytest.approx(box)


def test_whole_files_and_huge_windows_have_no_surroundings():
    assert tile_around(Tile("a", "a.tif")) is None
    assert tile_around(Tile("a", "a.tif", None, Window(0, 0, 8192, 8192))) is None
