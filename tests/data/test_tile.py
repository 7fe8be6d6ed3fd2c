"""Windows, tiles, places and sets of tiles; and chance that hangs on a tile's id."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from rsretrieve._core.paths import Location
from rsretrieve._core.seeded_random import hash_uniform
from rsretrieve.data.geo.place import Place
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.data.window import Window, split_window, window_text
from rsretrieve.errors import InvalidArgument
from tests.support.tiles.made_tiles import labelled_tiles, unhurried

texts = st.text(st.characters(exclude_categories=["Cs"]))
windows = st.builds(
    Window,
    col=st.integers(0, 10**9 - 1),
    row=st.integers(0, 10**9 - 1),
    width=st.integers(1, 10**9 - 1),
    height=st.integers(1, 10**9 - 1),
)


@unhurried
@given(texts, windows)
def test_a_window_in_an_id_is_read_back(path, window):
    assert split_window(f"{path}{window}") == (path, window)


def test_a_window_is_written_as_column_row_width_height():
    assert str(Window(64, 0, 32, 16)) == "#64,0,32,16"


@pytest.mark.parametrize(
    "name", ["a.tif", "a#1.tif", "a.tif#1,2,3", "a.tif#1,2,3,4.tif", "a#-1,2,3,4", "a#1,2,3,4 "]
)
def test_an_id_without_a_window_is_all_path(name):
    assert split_window(name) == (name, None)


@pytest.mark.parametrize("number", ["9" * 10, "9" * 20, "9" * 5000])
@pytest.mark.parametrize("place", range(4))
def test_a_window_of_too_large_numbers_is_refused_in_a_short_sentence(number, place):
    numbers = ["1"] * 4
    numbers[place] = number
    name = f"a.tif#{','.join(numbers)}"
    with pytest.raises(InvalidArgument, match="invalid window of a scene") as caught:
        split_window(name)
    assert len(str(caught.value)) < 200
    assert window_text(name) == f"#{','.join(numbers)}"


def test_leading_zeros_do_not_count():
    zeros = "0" * 5000
    name = f"a.tif#{zeros},{zeros}7,{zeros}8,9"
    assert split_window(name) == ("a.tif", Window(0, 7, 8, 9))
    assert window_text(name) == "#0,7,8,9"
    assert split_window("a.tif#999999999,0,8,8")[1] == Window(999_999_999, 0, 8, 8)


def test_other_digits_are_no_window():
    assert split_window("a.tif#٣,0,8,8") == ("a.tif#٣,0,8,8", None)
    assert window_text("a.tif#٣,0,8,8") == ""


@pytest.mark.parametrize("numbers", [(-1, 0, 8, 8), (0, -1, 8, 8), (0, 0, 0, 8), (0, 0, 8, 0)])
def test_a_window_outside_every_scene_is_refused(numbers):
    with pytest.raises(InvalidArgument, match=r"^invalid window of a scene: #-?\d,-?\d,\d,\d$"):
        Window(*numbers)


def test_an_id_stands_once_in_a_set_of_tiles():
    twice = (Tile("a.png", "x/a.png"), Tile("a.png", "y/a.png"))
    with pytest.raises(InvalidArgument, match=r"^the list: a tile's id occurs twice$"):
        TileSet("the list", twice)


def test_a_set_of_tiles_is_a_sequence():
    tiles = labelled_tiles(a=2, b=1)
    assert len(tiles) == 3
    assert [tile.id for tile in tiles] == ["a/0.png", "a/1.png", "b/0.png"]
    assert tiles[2].label == "b"


def test_class_names_are_the_labels_that_occur_sorted():
    tiles = labelled_tiles(water=2, Forest=1, beach=1)
    unlabelled = TileSet("", (*tiles.tiles, Tile("c.png", "c.png")))
    assert unlabelled.class_names == ("Forest", "beach", "water")


def test_tiles_are_selected_by_position_in_the_order_asked_for():
    tiles = labelled_tiles(a=4).with_notices("seen")
    chosen = tiles.select([2, 0])
    assert [tile.id for tile in chosen] == ["a/2.png", "a/0.png"]
    assert (chosen.source, chosen.notices) == ("made up", ("seen",))


def test_tiles_without_a_label_can_be_left_out():
    tiles = labelled_tiles(a=1, b=1).relabelled({"a/0.png": None})
    assert [tile.id for tile in tiles.labelled()] == ["b/0.png"]


def test_relabelling_changes_the_named_tiles_and_no_other():
    tiles = labelled_tiles(a=3)
    changed = tiles.relabelled({"a/0.png": "b", "a/1.png": None, "elsewhere": "c"})
    assert [tile.label for tile in changed] == ["b", None, "a"]
    assert [tile.label for tile in tiles] == ["a", "a", "a"]


def test_notices_add_up():
    tiles = labelled_tiles(a=1).with_notices("one").with_notices("two", "three")
    assert tiles.notices == ("one", "two", "three")


def square(west, east):
    return Place("EPSG:4326", (west, 0, east, 2), ((west, 2), (west, 0), (east, 0), (east, 2)))


@pytest.mark.parametrize(
    ("west", "east", "centre"),
    [(10, 12, 11), (-60, -58, -59), (179, -179, 180), (178, -179, 179.5)],
)
def test_the_centre_of_a_place_is_the_mean_of_its_corners(west, east, centre):
    assert square(west, east).centre == (centre, 1)


def test_a_centre_beyond_the_antimeridian_is_west_of_it():
    assert square(179, -178).centre == (-179.5, 1)


def test_two_spellings_of_a_file_share_their_absolute_path(tmp_path, monkeypatch):
    (tmp_path / "a.png").touch()
    (tmp_path / "link.png").symlink_to("a.png")
    monkeypatch.chdir(tmp_path)
    link, file = (Location.parse(path).absolute() for path in ("link.png", "./a.png"))
    assert link == file == str(tmp_path.resolve() / "a.png")


@unhurried
@given(st.integers(), texts, texts)
def test_chance_lies_between_0_and_1_and_is_always_the_same(seed, purpose, name):
    assert 0 <= hash_uniform(seed, purpose, name) < 1
    assert hash_uniform(seed, purpose, name) == hash_uniform(seed, purpose, name)


def test_chance_is_uniform_over_ids():
    chances = [hash_uniform(0, "test", f"tile {i}") for i in range(4000)]
    assert chisquare(np.histogram(chances, bins=20, range=(0, 1))[0]).pvalue > 0.01


def test_chances_of_seeds_and_purposes_have_nothing_to_do_with_each_other():
    ids = [f"tile {i}" for i in range(2000)]
    one, other_seed, other_purpose = (
        [hash_uniform(seed, purpose, name) for name in ids]
        for seed, purpose in [(1, "noise"), (2, "noise"), (1, "split")]
    )
    correlations = np.corrcoef([one, other_seed, other_purpose])[np.triu_indices(3, 1)]
    assert np.abs(correlations).max() < 0.06


def test_a_name_that_is_no_utf8_has_a_chance_too():
    assert hash_uniform(0, "test", "caf\udce9.png") != hash_uniform(0, "test", "cafe.png")


def test_unseen_names_are_whole_names():
    tiles = TileSet("here", (), unseen=("S1", "b/", "2.tif#", "day/item_1"))
    hidden = ["S1", "S1#0,0,8,8", "S1/visual", "S1/a+b#0,0,8,8", "b/x.tif", "b/c/x.tif#0,0,8,8"]
    hidden += ["2.tif#0,0,8,8", "day/item_1/visual"]
    others = ["S10", "S10#0,0,8,8", "S1_B", "bb/x.tif", "b", "2.tif", "22.tif#0,0,8,8"]
    others += ["day/item_10/visual", "day/item", "x/S1"]
    assert [name for name in hidden + others if tiles.may_be_unseen(name)] == hidden
    assert not TileSet("here", ()).may_be_unseen("a")
