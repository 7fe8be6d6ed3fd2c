"""From scenes to windows: labels, lists, scenes that cannot be used."""

from __future__ import annotations

from dataclasses import replace

import pytest
import rasterio

from rsretrieve.data.discovery.find_tiles import find_tiles
from rsretrieve.data.discovery.tile_list import write_list
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import Tile, TileSet, Trust
from rsretrieve.data.window import Window
from rsretrieve.data.windowing import SceneChoices, WindowChoices
from rsretrieve.enums import Edges
from rsretrieve.errors import InputError, NoUsableTiles, TableError, TileError, TilesNotFound
from tests.support.tiles.made_tiles import UTM, noise, save_picture, save_raster, save_table


def by(window_px, **choices):
    return SceneChoices(WindowChoices(window_px, **choices))


def ids(tiles):
    return [tile.id for tile in tiles]


@pytest.fixture
def scene(tmp_path):
    return save_raster(tmp_path / "in" / "scene.tif", noise((1, 32, 48)), **UTM)


@pytest.mark.medium
def test_a_scene_is_its_windows(scene):
    tiles = find_tiles(scene, scenes=by(16))
    assert ids(tiles) == [f"scene.tif#{col},{row},16,16" for row in (0, 16) for col in (0, 16, 32)]
    assert tiles[1] == Tile(
        "scene.tif#16,0,16,16", str(scene), None, Window(16, 0, 16, 16), trust=Trust.NAMED
    )
    assert tiles.windows == WindowChoices(16)
    assert tiles.notices == ()


def test_scenes_in_class_folders_give_their_windows_the_label(tmp_path):
    save_raster(tmp_path / "forest" / "a.tif", noise((1, 16, 32)))
    save_picture(tmp_path / "sea" / "b.png", noise((3, 16, 16)))
    tiles = find_tiles(tmp_path, scenes=by(16))
    assert [(tile.id, tile.label) for tile in tiles] == [
        ("forest/a.tif#0,0,16,16", "forest"),
        ("forest/a.tif#16,0,16,16", "forest"),
        ("sea/b.png#0,0,16,16", "sea"),
    ]


def test_labels_of_a_file_are_those_of_windows(scene, tmp_path):
    labels = save_table(tmp_path / "labels.csv", ["tile", "label"], ["scene.tif#0,16,16,16", "sea"])
    tiles = find_tiles(scene, labels, by(16))
    assert [tile.label for tile in tiles] == [None, None, None, "sea", None, None]


def test_windows_named_in_a_list_stay_and_whole_rows_are_cut(scene, tmp_path):
    table = save_table(
        tmp_path / "list.csv",
        ["tile", "path", "label"],
        ["one#5,5,8,8", "in/scene.tif", "a"],
        ["in/scene.tif", "", "b"],
    )
    tiles = find_tiles(table, scenes=by(24))
    assert [(tile.id, tile.label) for tile in tiles] == [
        ("one#5,5,8,8", "a"),
        ("in/scene.tif#0,0,24,24", "b"),
        ("in/scene.tif#24,0,24,24", "b"),
    ]


@pytest.mark.medium
def test_a_scene_that_cannot_be_opened_is_logged_and_the_others_are_cut(tmp_path, scene):
    (scene.parent / "bad.tif").write_bytes(b"nothing")
    context = RunContext()
    assert len(find_tiles(scene.parent, scenes=by(16), context=context)) == 6
    found = [(failure.tile_id, failure.reason) for failure in context.failures]
    assert found == [("bad.tif", "not an image that can be read")]
    for strict in (None, RunContext(strict=True)):
        with pytest.raises(TileError, match=r"^bad\.tif: not an image"):
            find_tiles(scene.parent, scenes=by(16), context=strict)


@pytest.mark.medium
def test_not_one_scene_that_can_be_opened_is_an_error(tmp_path):
    for name in ("a.tif", "b.tif"):
        (tmp_path / name).write_bytes(b"nothing")
    with pytest.raises(NoUsableTiles) as caught:
        find_tiles(tmp_path, scenes=by(16), context=RunContext())
    assert caught.value.message == (
        f"{tmp_path}: none of 2 scenes can be used (the first, a.tif: not an image that can be "
        "read)"
    )
    with pytest.raises(NoUsableTiles) as caught:
        find_tiles(tmp_path / "a.tif", scenes=by(16), context=RunContext())
    assert caught.value.message == f"{tmp_path / 'a.tif'}: not an image that can be read"


def test_scenes_smaller_than_a_window_are_left_out_with_a_notice_or_padded(scene):
    save_raster(scene.parent / "small.tif", noise((1, 20, 20)))
    tiles = find_tiles(scene.parent, scenes=by(32))
    assert ids(tiles) == ["scene.tif#0,0,32,32"]
    assert tiles.notices == (
        "scenes left out as smaller than a window: 1 (--edges pad keeps them)",
    )
    padded = find_tiles(scene.parent, scenes=by(32, edges=Edges.PAD))
    assert ids(padded) == ["scene.tif#0,0,32,32", "scene.tif#32,0,32,32", "small.tif#0,0,32,32"]
    assert padded.notices == ()


def test_no_scene_as_large_as_a_window_is_an_error(scene):
    with pytest.raises(
        TilesNotFound, match=r"no scene is as large as a window of 64 px$"
    ) as caught:
        find_tiles(scene, scenes=by(64))
    assert "--edges pad" in caught.value.hint
    with pytest.raises(TilesNotFound, match=r"as a window of 32 px at 20 m$"):
        find_tiles(scene, scenes=by(32, resolution_m=20.0))


def test_a_resolution_needs_a_georeference(tmp_path):
    path = save_raster(tmp_path / "a.tif", noise((1, 32, 32)))
    with pytest.raises(NoUsableTiles, match=r"has no georeference, which --resolution needs$"):
        find_tiles(path, scenes=by(16, resolution_m=20.0), context=RunContext())


def test_a_resolution_that_leaves_too_few_pixels_is_an_error_of_the_scene(scene):
    with pytest.raises(NoUsableTiles, match=r"4×4 px is too small: a side has at least 8 px$"):
        find_tiles(scene, scenes=by(16, resolution_m=2.5), context=RunContext())


def test_in_degrees_windows_are_square_on_the_ground(tmp_path):
    """At 60 degrees a degree of longitude is half as long as one of latitude."""
    transform = rasterio.Affine(1e-4, 0, 10, 0, -1e-4, 60.02)
    degrees = {"crs": "EPSG:4326", "transform": transform}
    path = save_raster(tmp_path / "a.tif", noise((1, 400, 400)), **degrees)
    (tile, *_) = find_tiles(path, scenes=by(16, resolution_m=100.0))
    # A ten-thousandth of a degree is 5.58 m by 11.14 m there.
    assert (tile.window.width, tile.window.height) == (287, 144)
    assert tile.window.read_px == 16


def test_a_list_keeps_the_side_that_windows_are_read_at(scene, tmp_path):
    tiles = find_tiles(scene, scenes=by(16, resolution_m=20.0))
    assert ids(tiles) == ["scene.tif#0,0,32,32"]
    write_list(tmp_path / "list.csv", tiles, overwrite=False)
    found = find_tiles(tmp_path / "list.csv")
    assert found[0].window == Window(0, 0, 32, 32, read_px=16)
    assert found.windows is None


@pytest.mark.parametrize("side", ["many", "0"])
def test_a_side_that_is_no_number_is_refused_with_its_line(tmp_path, side):
    table = save_table(tmp_path / "list.csv", ["tile", "read_px"], ["a.tif#0,0,32,32", side])
    with pytest.raises(TableError, match=f"line 2: read_px is not a number of pixels: '{side}'$"):
        find_tiles(table)


def test_a_list_may_name_files_behind_urls_and_is_written_with_them(tmp_path):
    url = "https://example.org/a.tif?token=1"
    table = save_table(
        tmp_path / "list.csv", ["tile", "path"], ["a", url], ["b", "/vsizip/b.zip/b"]
    )
    tiles = find_tiles(table)
    assert [tile.path for tile in tiles] == [url, "/vsizip/b.zip/b"]
    write_list(tmp_path / "again.csv", tiles, overwrite=False)
    assert find_tiles(tmp_path / "again.csv").tiles == tiles.tiles


def test_a_url_is_a_scene_that_needs_a_window():
    with pytest.raises(TilesNotFound, match=r"is neither a folder nor a list of tiles$"):
        find_tiles("https://example.org/a.tif")


def test_assets_are_of_stac_items_alone(scene):
    choices = SceneChoices(WindowChoices(16), assets=("visual",))
    with pytest.raises(InputError, match="is not a STAC item"):
        find_tiles(scene, scenes=choices)


def test_how_tiles_were_cut_stays_with_a_selection(scene):
    tiles = find_tiles(scene, scenes=by(16))
    assert tiles.select([0, 2]).windows == tiles.windows == tiles.labelled().windows
    assert TileSet("", ()).windows is None


def test_a_resolution_is_in_metres_on_the_ground(tmp_path):
    """Mercator's metres are half as long at 60 degrees north."""
    from pyproj import Transformer

    x, y = Transformer.from_crs(4326, 3857, always_xy=True).transform(10, 60)
    transform = rasterio.Affine(10, 0, x, 0, -10, y)
    path = save_raster(
        tmp_path / "a.tif", noise((1, 256, 256)), crs="EPSG:3857", transform=transform
    )
    tiles = find_tiles(path, scenes=by(64, resolution_m=10), context=RunContext())
    assert len(tiles) == 4
    assert all(127 <= tile.window.width <= 129 for tile in tiles)
    assert tiles.notices == ()


def test_pixels_of_several_sizes_are_noticed_with_a_resolution(tmp_path):
    transform = rasterio.Affine(50_000, 0, 0, 0, -50_000, 9_000_000)
    path = save_raster(
        tmp_path / "a.tif", noise((1, 160, 64)), crs="EPSG:3857", transform=transform
    )
    uneven = find_tiles(path, scenes=by(16, resolution_m=50_000), context=RunContext())
    assert any("--resolution" in text and text.endswith(": 1") for text in uneven.notices)
    assert find_tiles(path, scenes=by(16), context=RunContext()).notices == ()


def test_windows_keep_the_decision_and_the_date_of_their_scene(scene, tmp_path):
    columns = ["tile", "label", "decision", "given_label", "datetime"]
    row = ["in/scene.tif", "sea", "reject", "sea", "2024-05-01"]
    listed = save_table(tmp_path / "list.csv", columns, row)
    [whole], windows = find_tiles(listed), find_tiles(listed, scenes=by(16))
    assert whole.confirmed is not None
    assert whole.taken is not None
    assert len(windows) == 6
    for window in windows:
        assert replace(window, id=whole.id, window=None) == whole


def test_a_list_names_a_part_of_a_file_relative_to_its_folder(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    save_raster(tmp_path / "here" / "m.tif", noise((1, 8, 8)))
    monkeypatch.chdir(tmp_path / "here")
    tiles = TileSet("t", (Tile("a", "GTIFF_DIR:1:m.tif"), Tile("b", 'netcdf:"m.tif":day')))
    write_list(tmp_path / "list.csv", tiles, overwrite=False)
    monkeypatch.chdir(tmp_path)
    found = find_tiles("list.csv")
    assert [tile.path for tile in found] == [
        "GTIFF_DIR:1:./here/m.tif",
        'netcdf:"./here/m.tif":day',
    ]
    (tmp_path / "there").mkdir()
    table = save_table(tmp_path / "there" / "list.csv", ["tile"], ["GTIFF_DIR:1:../here/m.tif"])
    assert find_tiles(table)[0].location.absolute() == f"GTIFF_DIR:1:{tmp_path}/here/m.tif"
