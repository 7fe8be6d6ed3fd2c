"""Which sub-folders are classes: not those of a split, and what is told of the others."""

from __future__ import annotations

import pytest

from rsretrieve.data.discovery.find_tiles import find_tiles
from rsretrieve.data.failures import Failure
from rsretrieve.data.reading.read_tiles import read_in_order
from rsretrieve.data.run_context import RunContext
from tests.support.processes.worker_functions import made_into_0
from tests.support.tiles.made_tiles import noise, save_picture


def picture(root, path):
    return save_picture(root / path, noise((3, 9, 9)))


@pytest.mark.parametrize(
    "parts", [("train", "val", "test"), ("Training", "Validation"), ("TEST", "dev"), ("train",)]
)
def test_parts_of_a_split_are_no_classes(tmp_path, parts):
    for part in parts:
        for label in ("forest", "sea"):
            picture(tmp_path, f"{part}/{label}/deep/1.png")
    tiles = find_tiles(tmp_path)
    assert tiles.class_names == ("forest", "sea")
    assert sum(tile.label == "sea" for tile in tiles) == len(parts)
    assert {tile.id.split("/")[0] for tile in tiles} == set(parts)
    (notice,) = tiles.notices
    assert "parts of a split, not classes" in notice
    first = next((part for part in parts if part.lower().startswith("train")), sorted(parts)[0])
    assert f"{tmp_path}/{first}" in notice


def test_parts_of_a_split_without_folders_below_give_no_labels(tmp_path):
    picture(tmp_path, "train/1.png")
    picture(tmp_path, "test/2.png")
    tiles = find_tiles(tmp_path)
    assert [tile.label for tile in tiles] == [None, None]
    assert "no labels" in tiles.notices[0]


@pytest.mark.parametrize("names", [("train/1.png", "ship/1.png"), ("train/1.png",)])
def test_a_class_may_be_called_train(tmp_path, names):
    for name in names:
        picture(tmp_path, name)
    tiles = find_tiles(tmp_path)
    assert tiles.class_names == tuple(sorted(name.split("/")[0] for name in names))
    assert tiles.notices == ()


def test_one_level_too_high_is_told_with_the_path_to_give(tmp_path):
    for name in ("Images/forest/1.png", "Images/sea/1.png"):
        picture(tmp_path, name)
    tiles = find_tiles(tmp_path)
    assert tiles.class_names == ("Images",)
    assert f"give {tmp_path}/Images" in tiles.notices[0]
    assert find_tiles(tmp_path / "Images").notices == ()


def test_a_folder_of_one_class_is_not_questioned(tmp_path):
    for name in ("forest/2019/1.png", "forest/2.png"):
        picture(tmp_path, name)
    assert find_tiles(tmp_path).notices == ()


def test_classes_without_a_tile_are_told(tmp_path):
    for name in ("forest/1.png", "sea/1.png"):
        picture(tmp_path, name)
    (tmp_path / "empty" / "deep").mkdir(parents=True)
    (tmp_path / "numpy").mkdir()
    (tmp_path / "numpy" / "a.npy").write_bytes(b"\x93NUMPY")
    (tmp_path / ".git").mkdir()
    (notice,) = find_tiles(tmp_path).notices
    assert "class folders without a tile: 2 ('empty', 'numpy')" in notice


def test_below_a_split_a_class_is_missing_only_if_no_part_has_it(tmp_path):
    for name in ("train/forest/1.png", "train/sea/1.png", "test/sea/1.png"):
        picture(tmp_path, name)
    for name in ("test/forest", "test/river"):
        (tmp_path / name).mkdir()
    assert any("without a tile: 1 ('river')" in text for text in find_tiles(tmp_path).notices)


def test_a_folder_without_classes_misses_none(tmp_path):
    picture(tmp_path, "1.png")
    (tmp_path / "notes").mkdir()
    assert find_tiles(tmp_path).notices == ()


def test_a_class_of_which_no_tile_can_be_read_is_told(tmp_path):
    for name in ("forest/1.png", "sea/1.png"):
        picture(tmp_path, name)
    for name in ("sea/2.png", "river/1.png", "river/2.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"no image")
    context = RunContext()
    for read in read_in_order(find_tiles(tmp_path, context=context), made_into_0):
        if isinstance(read, Failure):
            context.add_failure(read)
    assert context.notices == ("classes without a readable tile: 1 ('river')",)
