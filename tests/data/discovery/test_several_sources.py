"""Several folders, lists and scenes as one set of tiles."""

from __future__ import annotations

import pytest

from rsretrieve.data.discovery.find_tiles import find_tiles
from rsretrieve.data.discovery.several_sources import joined
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.data.windowing import SceneChoices, WindowChoices
from rsretrieve.errors import TilesNotFound
from tests.support.tiles.made_tiles import UTM, noise, save_picture, save_raster, save_table


def picture(path, seed=0):
    return save_picture(path, noise((3, 9, 9), seed=seed))


def test_ids_are_those_of_each_place_alone(tmp_path):
    picture(tmp_path / "a" / "forest" / "1.png")
    picture(tmp_path / "b" / "sea" / "2.png")
    listed = save_table(tmp_path / "l.csv", ["tile", "path", "label"], ("x", "c/3.png", "forest"))
    picture(tmp_path / "c" / "3.png")
    tiles = find_tiles([tmp_path / "a", tmp_path / "b", listed])
    assert [(tile.id, tile.label) for tile in tiles] == [
        ("forest/1.png", "forest"),
        ("sea/2.png", "sea"),
        ("x", "forest"),
    ]
    assert tiles.notices == ()
    assert str(tmp_path / "a") in tiles.folders
    assert str(tmp_path) in tiles.folders  # of the list


def test_different_tiles_with_one_id_are_told_apart_by_their_places(tmp_path):
    for place in ("2019/tiles", "2020/tiles", "2021/other"):
        picture(tmp_path / place / "sea" / ("1.png" if "tiles" in place else "2.png"))
    roots = [tmp_path / "2019/tiles", tmp_path / "2020/tiles", tmp_path / "2021/other"]
    tiles = find_tiles(roots)
    assert [tile.id for tile in tiles] == [
        "2019/tiles/sea/1.png",
        "2020/tiles/sea/1.png",
        "sea/2.png",
    ]
    assert tiles.class_names == ("sea",)
    assert "2019/tiles/, 2020/tiles/" in tiles.notices[0]


@pytest.mark.parametrize(
    ("names", "begin"),
    [
        (("train.csv", "val.csv"), ("train", "val")),
        (("all.csv", "all.parquet"), ("all.csv", "all.parquet")),
        (("a.csv", "a.parquet", "b.csv"), ("a.csv", "a.parquet", "b.csv")),
    ],
)
def test_lists_in_one_folder_are_told_apart_by_their_names(tmp_path, names, begin):
    for name in names:
        rows = [(f"{i}", f"{name}/{i}.png", "a") for i in (1, 2)]
        save_table(tmp_path / name, ["tile", "path", "label"], *rows)
    tiles = find_tiles([tmp_path / name for name in names])
    assert [tile.id for tile in tiles] == [f"{name}/{i}" for name in begin for i in (1, 2)]
    assert f"{begin[0]}/" in tiles.notices[0]


def test_a_folder_and_a_list_in_it_are_told_apart(tmp_path):
    picture(tmp_path / "t" / "1.png")
    picture(tmp_path / "other" / "1.png", seed=1)
    listed = save_table(tmp_path / "t" / "list.csv", ["tile", "path"], ("1.png", "../other/1.png"))
    tiles = find_tiles([tmp_path / "t", listed])
    assert [tile.id for tile in tiles] == ["t/1.png", "list/1.png"]


def test_an_id_with_a_prefix_is_not_that_of_a_third_tile(tmp_path):
    for path in ("p/a/1.png", "q/b/1.png", "c/a/1.png"):
        picture(tmp_path / path)
    tiles = find_tiles([tmp_path / "p" / "a", tmp_path / "q" / "b", tmp_path / "c"])
    assert [tile.id for tile in tiles] == ["p/a/1.png", "q/b/1.png", "a/1.png"]


def test_addresses_of_one_name_are_told_apart_by_numbers():
    sources = [f"https://example.org/a.tif?band={i}" for i in (1, 2)]
    sets = [TileSet(one, (Tile("a.tif", one),)) for one in sources]
    tiles = joined(sets)
    assert [tile.id for tile in tiles] == ["1/a.tif", "2/a.tif"]


def test_a_tile_that_two_places_name_is_taken_once(tmp_path):
    picture(tmp_path / "t" / "sea" / "1.png")
    picture(tmp_path / "t" / "forest" / "1.png")
    (tmp_path / "link").symlink_to("t")
    tiles = find_tiles([tmp_path / "t", tmp_path / "t" / "sea", tmp_path / "link", tmp_path / "t"])
    assert [tile.id for tile in tiles] == ["forest/1.png", "sea/1.png"]
    assert "3 tiles are named by several" in tiles.notices[0]


def test_scenes_of_one_name_are_cut_apart(tmp_path):
    paths = [
        save_raster(tmp_path / folder / "scene.tif", noise((1, 20, 20), seed=seed), **UTM)
        for seed, folder in enumerate(("a", "b"))
    ]
    tiles = find_tiles(paths, scenes=SceneChoices(WindowChoices(16)))
    assert [tile.id for tile in tiles] == ["a/scene.tif#0,0,16,16", "b/scene.tif#0,0,16,16"]


def test_class_folders_given_one_by_one_are_told(tmp_path):
    for name in ("forest", "sea"):
        picture(tmp_path / name / f"{name}.png")
    tiles = find_tiles([tmp_path / "forest", tmp_path / "sea"])
    assert tiles.class_names == ()
    assert f"give {tmp_path} to take them as classes" in tiles.notices[0]


def test_each_place_must_hold_tiles(tmp_path):
    picture(tmp_path / "a" / "1.png")
    (tmp_path / "b").mkdir()
    with pytest.raises(TilesNotFound, match=r"/b: no tiles in it"):
        find_tiles([tmp_path / "a", tmp_path / "b"])


def test_labels_apply_to_the_tiles_of_all_places(tmp_path):
    for name in ("a", "b"):
        picture(tmp_path / name / f"{name}.png")
    labels = save_table(tmp_path / "l.csv", ["tile", "label"], ("a.png", "x"), ("b.png", "y"))
    tiles = find_tiles([tmp_path / "a", tmp_path / "b"], labels)
    assert [tile.label for tile in tiles] == ["x", "y"]
