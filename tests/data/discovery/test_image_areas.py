"""Windows that cover their whole file, and windows that do not."""

from __future__ import annotations

import pytest

from rsretrieve.data.discovery import image_areas
from rsretrieve.data.discovery.image_areas import areas_of
from rsretrieve.data.tile import Tile
from tests.support.tiles.made_tiles import noise, save_picture, save_raster


@pytest.fixture
def files(tmp_path):
    """The tile of each file: 24 columns, 16 rows."""
    save_raster(tmp_path / "a.tif", noise((1, 16, 24)))
    save_picture(tmp_path / "b.png", noise((3, 16, 24)))
    (tmp_path / "bad.tif").write_bytes(b"II*\0")
    return {name: Tile(name, str(tmp_path / name)) for name in ("a.tif", "b.png", "bad.tif")}


@pytest.mark.parametrize("name", ["a.tif", "b.png"])
def test_a_window_that_covers_the_file_is_the_file(files, name):
    covering = ["", "#0,0,24,16", "#0,0,32,32", "#0,0,24,99"]
    parts = ["#0,0,23,16", "#0,0,24,15", "#0,0,16,16", "#1,0,24,16", "#0,8,24,16"]
    others = ["#0,0,9999999999,16", "#8,8,16,16"]
    windows = [*covering, *parts, *others]
    areas = areas_of([(name, window) for window in windows], files.__getitem__)
    assert areas == ["", "", "", "", *parts, *others]


def test_what_cannot_be_opened_keeps_its_windows(files):
    keys = [("bad.tif", ""), ("bad.tif", "#0,0,8,8"), ("", ""), ("", "#0,0,8,8")]
    assert areas_of(keys, files.__getitem__) == ["", "#0,0,8,8", "", "#0,0,8,8"]


def test_no_file_is_opened_of_which_only_one_tile_may_be_the_whole(files, monkeypatch):
    monkeypatch.setattr(image_areas, "facts_of_images", None)
    keys = [("a.tif", "#0,0,24,16"), ("a.tif", "#24,0,24,16"), ("b.png", ""), ("b.png", "")]
    assert areas_of(keys, files.__getitem__) == [window for _, window in keys]
