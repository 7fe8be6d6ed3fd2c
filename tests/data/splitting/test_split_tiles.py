"""Splits by scene and by place: nothing close is in two lists, by comparing all pairs."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import numpy as np
import pytest
import rasterio
import shapely

from rsretrieve.data.discovery.find_tiles import find_tiles
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.splitting.split_tiles import Split, SplitChoices, split_tiles
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.data.windowing import SceneChoices, WindowChoices
from rsretrieve.errors import InputError, InvalidArgument
from rsretrieve.progress import Noticed
from tests.support.tiles.made_tiles import noise, save_raster, tiles_at

SHARES = (0.7, 0.1, 0.2)


def scene(path, left=500_000, side=200, pixel=10, **profile):
    transform = rasterio.Affine(pixel, 0, left, 0, -pixel, 4_000_000)
    return save_raster(
        path, noise((1, side, side)), crs="EPSG:32633", transform=transform, **profile
    )


def windows_in(source, window=32, stride=8):
    return find_tiles(source, None, SceneChoices(WindowChoices(window, stride)), RunContext())


def split(tiles, **choices) -> tuple[Split, str]:
    """A split, and what is said about it."""
    said = []
    context = RunContext(listener=said.append)
    found = split_tiles(tiles, SplitChoices(SHARES, **choices), context)
    return found, "\n".join(event.text for event in said if isinstance(event, Noticed))


def box_of(tile, pixel=10):
    """The rectangle of a window, in metres of the map."""
    with rasterio.open(tile.path) as dataset:
        left, top = dataset.transform.c, dataset.transform.f
    w = tile.window
    return shapely.box(
        left + w.col * pixel,
        top - (w.row + w.height) * pixel,
        left + (w.col + w.width) * pixel,
        top - w.row * pixel,
    )


def closest_m(parts):
    """The least distance of tiles of two lists; −1 if two overlap. Compares all pairs."""
    boxes = [[box_of(tile) for tile in part] for part in parts]
    least = np.inf
    for one, other in combinations(boxes, 2):
        for box in one:
            distances = shapely.distance(box, other)
            overlaps = shapely.area(shapely.intersection(box, other)) > 0
            least = min(
                least, distances.min(initial=np.inf), *(-1.0 for _ in overlaps.nonzero()[0][:1])
            )
    return least


def everyone(found):
    return sorted(tile.id for part in (*found.parts, found.left_out) for tile in part)


@pytest.mark.medium
@pytest.mark.parametrize("per_class", [2, 3, 5, 7])
def test_small_classes_together_come_near_the_fractions(per_class):
    """Each is cut at a whole tile; the same rounding for all would leave a list empty."""
    names = [f"{label:03}/{number}" for label in range(200) for number in range(per_class)]
    tiles = TileSet("t", tuple(Tile(name, name, name[:3]) for name in names))
    found, said = split(tiles)
    wanted = [0.7, 0.1, 0.2] if per_class > 3 else [max(0.7, 1 / per_class), 0.1, 0.2]
    assert np.allclose(found.fractions, wanted, atol=0.04)
    assert said == ""
    assert all(Counter(tile.label for tile in part).most_common(1)[0][1] for part in found.parts)


def test_an_empty_list_is_told():
    tiles = TileSet("t", tuple(Tile(name, name, name) for name in "ab"))
    found, said = split(tiles)
    assert [len(part) for part in found.parts] == [2, 0, 0]
    assert "no tile in val, test" in said


def test_a_plain_split_puts_overlapping_windows_into_different_lists(tmp_path):
    found, said = split(windows_in(scene(tmp_path / "a.tif")))
    assert closest_m(found.parts) == -1
    assert f"{len(found.parts[2])} of {len(found.parts[2])} in test" in said
    assert "--by-place" in said


@pytest.mark.medium
@pytest.mark.parametrize("buffer_m", [0.0, 75.0])
def test_a_dense_scene_is_cut_and_the_tiles_at_the_borders_are_in_no_list(tmp_path, buffer_m):
    tiles = windows_in(scene(tmp_path / "a.tif", side=240))
    found, said = split(tiles, by_place=True, buffer_m=buffer_m)
    # UTM's scale is 0.9996 here: what is 75 m on the ground is less on the map.
    assert closest_m(found.parts) > buffer_m * 0.999 - 1e-6
    assert closest_m(found.parts) >= 0
    assert everyone(found) == sorted(tile.id for tile in tiles)
    assert found.fractions == pytest.approx(SHARES, abs=0.05)
    assert f"{len(found.left_out)} tiles at the borders" in said
    assert 0 < len(found.left_out) < len(tiles) / 2
    assert found.groups == 1


def test_windows_that_only_touch_are_split_one_by_one_unless_there_is_a_buffer(tmp_path):
    tiles = windows_in(scene(tmp_path / "a.tif", side=320), stride=32)
    apart, said = split(tiles, by_place=True)
    assert (apart.groups, len(apart.left_out), said) == (100, 0, "")
    assert [len(part) for part in apart.parts] == [70, 10, 20]
    together, _ = split(tiles, by_place=True, buffer_m=1)
    assert together.groups == 1


@pytest.mark.medium
def test_overlapping_scenes_stay_together_without_a_cut_where_fractions_allow(tmp_path):
    for i in range(10):
        scene(tmp_path / f"{i}.tif", 500_000 + 10_000 * i, side=40)
        scene(tmp_path / f"{i}b.tif", 500_000 + 10_000 * i + 390, side=40)
    tiles = windows_in(tmp_path)
    found, said = split(tiles, by_place=True)
    assert (found.groups, len(found.left_out), said) == (10, 0, "")
    assert closest_m(found.parts) > 0
    lists = {tile.id.rstrip("b")[0]: set() for tile in tiles}
    for number, part in enumerate(found.parts):
        for tile in part:
            lists[tile.id[0]].add(number)
    assert all(len(numbers) == 1 for numbers in lists.values())
    assert sorted(Counter(next(iter(n)) for n in lists.values()).values()) == [1, 2, 7]


@pytest.mark.medium
def test_by_scene_keeps_a_file_and_an_item_together_and_says_what_was_reached(tmp_path):
    for i in range(3):
        scene(tmp_path / f"{i}.tif", 500_000, side=40)
    tiles = windows_in(tmp_path)
    found, said = split(tiles, by_scene=True)
    assert sorted(len({tile.path for tile in part}) for part in found.parts) == [0, 1, 2]
    assert "fractions reached" in said
    bands = [
        Tile(f"{i}.json/{band}", f"{band}{i}.tif", "ab"[i % 2])
        for i in range(20)
        for band in ("red", "nir")
    ]
    found, said = split(TileSet("items", tuple(bands)), by_scene=True)
    items = [{tile.id.partition("/")[0] for tile in part} for part in found.parts]
    assert [len(part) for part in items] == [14, 2, 4]
    assert len(set.union(*items)) == 20
    assert said == ""
    (tmp_path / "link").symlink_to(tmp_path, target_is_directory=True)
    halves = [
        Tile(f"{i}", str((tmp_path / "link" if i % 2 else tmp_path) / f"{i // 2}.tif"), "a")
        for i in range(6)
    ]
    found, _ = split(TileSet("links", tuple(halves)), by_scene=True)
    assert sorted(len(part) for part in found.parts) == [0, 2, 4]
    alone, said = split(TileSet("tiles", tuple(bands[::2])), by_scene=True)
    assert "--by-scene keeps no tiles together" in said
    assert sum(map(len, alone.parts)) == 20


def test_fractions_are_met_class_by_class_and_only_seed_and_ids_decide(tmp_path):
    rng = np.random.default_rng(0)
    tiles = tuple(
        Tile(f"{scene}.tif#{8 * i},0,8,8", f"{scene}.tif", "abc"[rng.integers(3)])
        for scene in range(200)
        for i in range(rng.integers(1, 9))
    )
    tiles = TileSet("scenes", tiles)
    found, _ = split(tiles, by_scene=True)
    for name in "abc":
        sizes = [sum(tile.label == name for tile in part) for part in found.parts]
        assert np.array(sizes) / sum(sizes) == pytest.approx(SHARES, abs=0.02)
    shuffled = tiles.select(rng.permutation(len(tiles)).tolist())
    again, _ = split(shuffled, by_scene=True)
    other, _ = split(tiles, by_scene=True, seed=1)
    ids = [[sorted(tile.id for tile in part) for part in each.parts] for each in (found, again)]
    assert ids[0] == ids[1]
    assert ids[0] != [sorted(tile.id for tile in part) for part in other.parts]


@pytest.mark.medium
@pytest.mark.parametrize(
    "choices",
    [
        *({}, {"by_scene": True}, {"by_place": True}, {"by_place": True, "buffer_m": 15.0}),
        {"by_place": True, "by_scene": True},
    ],
    ids=str,
)
def test_the_order_of_the_tiles_decides_nothing(tmp_path, choices):
    """Dense scenes of one size: groups of one size, and positions that are alike on an axis."""
    for number in range(3):
        scene(tmp_path / f"s{number}.tif", left=500_000 + 9000 * number, side=96)
    tiles = windows_in(tmp_path, window=32, stride=16)
    in_order = tiles.select(sorted(range(len(tiles)), key=lambda row: tiles[row].id))
    found, _ = split(in_order, **choices)
    expected = [{tile.id for tile in part} for part in (*found.parts, found.left_out)]
    for seed in range(4):
        order = np.random.default_rng(seed).permutation(len(tiles)).tolist()
        given = tiles.select(order)
        again, _ = split(given, **choices)
        parts = (*again.parts, again.left_out)
        assert [{tile.id for tile in part} for part in parts] == expected
        rows = {tile.id: row for row, tile in enumerate(given)}
        for part in parts:
            assert [rows[tile.id] for tile in part] == sorted(rows[tile.id] for tile in part)


@pytest.mark.medium
def test_both_keep_overlapping_files_together_and_cut_nothing(tmp_path):
    scene(tmp_path / "a.tif", 500_000, side=100)
    scene(tmp_path / "b.tif", 500_900, side=100)
    scene(tmp_path / "c.tif", 600_000, side=100)
    found, said = split(windows_in(tmp_path, stride=32), by_scene=True, by_place=True)
    assert (found.groups, len(found.left_out)) == (2, 0)
    assert "fractions reached" in said


@pytest.mark.medium
def test_tiles_without_a_place_stay_with_their_file_or_are_refused(tmp_path):
    save_raster(tmp_path / "nowhere.tif", noise((1, 64, 64)))
    with pytest.raises(InputError, match="--by-place needs") as refused:
        split(tiles_at(tmp_path / "nowhere.tif"), by_place=True)
    assert "--by-scene" in refused.value.hint
    scene(tmp_path / "placed.tif")
    found, said = split(windows_in(tmp_path, stride=32), by_place=True)
    assert "4 of 40 tiles have no place" in said
    homes = [i for i, part in enumerate(found.parts) for t in part if "nowhere" in t.path]
    assert len(homes) == 4
    assert len(set(homes)) == 1


@pytest.mark.medium
def test_what_goes_beyond_the_fractions_needs_no_border(tmp_path):
    tiles = windows_in(scene(tmp_path / "a.tif"), stride=8)
    context = RunContext()
    whole = split_tiles(tiles, SplitChoices((0.5, 0.2), by_place=True, names="ab"), context)
    assert closest_m(whole.parts) >= 0
    listed = sum(map(len, whole.parts))
    assert listed + len(whole.left_out) < len(tiles)


@pytest.mark.parametrize("buffer_m", [-1.0, float("nan"), float("inf"), 1e7])
def test_a_buffer_that_makes_no_sense_is_refused(buffer_m):
    with pytest.raises(InvalidArgument, match="--buffer-m"):
        SplitChoices(SHARES, by_place=True, buffer_m=buffer_m)


def test_a_buffer_needs_places():
    with pytest.raises(InvalidArgument, match="needs --by-place"):
        SplitChoices(SHARES, by_scene=True, buffer_m=5)


@pytest.mark.parametrize("choices", [{}, {"by_scene": True}])
def test_fractions_that_sum_to_less_than_one_are_shares_of_all_tiles(choices):
    tiles = TileSet("here", tuple(Tile(f"{i:03d}.png", f"/{i:03d}.png", "a") for i in range(80)))
    found = split_tiles(tiles, SplitChoices((0.5, 0.2, 0.1), **choices), RunContext())
    assert found.fractions == pytest.approx((0.5, 0.2, 0.1), abs=0.02)
    assert len(found.left_out) == 0


def test_by_scene_keeps_the_parts_of_a_file_together(tmp_path):
    starts = ("GTIFF_DIR:1", "gtiff_dir:2")
    names = [f"{start}:{tmp_path}/m{n}.tif" for n in range(9) for start in starts]
    tiles = TileSet("t", tuple(Tile(f"{i}", name) for i, name in enumerate(names)))
    found, _ = split(tiles, by_scene=True)
    homes = {}
    for number, part in enumerate(found.parts):
        for tile in part:
            homes.setdefault(tile.path.rpartition(":")[2], set()).add(number)
    assert len(homes) == 9
    assert set(map(len, homes.values())) == {1}
