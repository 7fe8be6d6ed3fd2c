"""Counterparts against plain loops."""

from __future__ import annotations

from dataclasses import replace
from math import cos, hypot, radians

import numpy as np
import pytest

from rsretrieve.data.dates.acquisition_time import AcquisitionTime
from rsretrieve.data.dates.periods import Period
from rsretrieve.data.window import Window
from rsretrieve.index.store.tile_table import IndexedTile, TileTable
from rsretrieve.search.changes.counterparts import match_tiles
from tests.support.indexes.scene_indexes import grid, rows_of_scene
from tests.support.tiles.made_tiles import UTM


def match(one: list[IndexedTile], other: list[IndexedTile]):
    tables = TileTable.of(one), TileTable.of(other)
    return match_tiles(*tables, np.arange(len(one)), np.arange(len(other)))


def placed(path: str, windows: list[Window]) -> list[IndexedTile]:
    return rows_of_scene(path, windows, **UTM)


def plain(*ids: str) -> list[IndexedTile]:
    return [IndexedTile(name, f"/t/{name.partition('#')[0]}", None, 1, 1, None) for name in ids]


def nearest_by_loop(tile: IndexedTile, others: list[IndexedTile]) -> tuple[float, int]:
    lon, lat = tile.place.centre
    found = []
    for number, other in enumerate(others):
        x, y = other.place.centre
        found.append((hypot((x - lon) * cos(radians(lat)), y - lat), number))
    return min(found)


def test_windows_of_two_scenes_are_matched_by_place():
    windows = grid(6, 4, 32, 32)
    one, other = placed("/a.tif", windows), placed("/b.tif", list(reversed(windows)))
    found = match(one, other)
    assert (len(found.before), found.alone_before, found.alone_after, found.by_name) == (
        24,
        0,
        0,
        0,
    )
    for a, b in zip(found.before, found.after):
        assert nearest_by_loop(one[a], other)[1] == b
        assert one[a].id.split("#")[1] == other[b].id.split("#")[1]


def test_places_that_one_side_lacks_are_alone():
    windows = grid(6, 4, 32, 32)
    found = match(placed("/a.tif", windows[:20]), placed("/b.tif", windows[5:]))
    assert (len(found.before), found.alone_before, found.alone_after) == (15, 5, 4)


def test_of_several_dates_of_a_place_the_latest_is_compared():
    windows = grid(4, 3, 32, 16)
    days = [3, 7, None, 5]
    rows = [
        replace(row, taken=None if day is None else AcquisitionTime(Period(day, day)))
        for number, day in enumerate(days)
        for row in placed(f"/a{number}.tif", windows)
    ]
    order = np.random.default_rng(0).permutation(len(rows))
    many, one = [rows[i] for i in order], placed("/b.tif", windows)
    for found, sides in ((match(many, one), "before"), (match(one, many), "after")):
        assert len(found.before) == len(windows)
        chosen = getattr(found, sides)
        assert {many[row].path for row in chosen} == {"/a1.tif"}
        assert (found.repeated_before, found.repeated_after) == (
            (36, 0) if sides == "before" else (0, 36)
        )
        assert (found.alone_before, found.alone_after) == (0, 0)


def test_overlapping_windows_find_their_own_place():
    windows = grid(9, 3, 32, 8)
    found = match(placed("/a.tif", windows), placed("/b.tif", windows))
    assert found.before.tolist() == found.after.tolist() == [*range(27)]


@pytest.mark.parametrize(("moved", "matched"), [(2, 1), (31, 0)])
def test_a_place_beside_is_another_one(moved, matched):
    one, other = (
        placed("/a.tif", [Window(0, 0, 32, 32)]),
        placed("/b.tif", [Window(moved, 0, 32, 32)]),
    )
    assert len(match(one, other).before) == matched


def test_a_tile_of_another_size_is_no_counterpart():
    one = placed("/a.tif", [Window(0, 0, 64, 64)])
    assert not len(match(one, placed("/b.tif", [Window(16, 16, 32, 32)])).before)


def test_one_place_has_one_counterpart():
    one = placed("/a.tif", [Window(0, 0, 32, 32)])
    other = placed("/b.tif", [Window(1, 0, 32, 32), Window(0, 0, 32, 32)])
    found = match(one, other)
    assert (found.after.tolist(), found.alone_after) == ([1], 1)


def test_tiles_without_a_place_are_matched_by_id():
    found = match(plain("a.png", "b.png", "c.png"), plain("c.png", "a.png", "d.png"))
    assert [*zip(found.before, found.after)] == [(0, 1), (2, 0)]
    assert (found.alone_before, found.alone_after, found.by_name) == (1, 1, 2)


def test_windows_of_one_file_each_are_matched_by_window():
    one = plain("a.png#0,0,8,8", "a.png#8,0,8,8")
    found = match(one, plain("b.png#8,0,8,8", "b.png#0,0,8,8"))
    assert [*zip(found.before, found.after)] == [(0, 1), (1, 0)]


def test_windows_of_several_files_are_not():
    one = plain("a.png#0,0,8,8", "c.png#8,0,8,8")
    assert not len(match(one, plain("b.png#8,0,8,8", "b.png#0,0,8,8")).before)


def test_ids_that_repeat_are_not_matched():
    assert not len(match(plain("a.png", "a.png"), plain("a.png")).before)


def test_only_the_given_rows_are_matched():
    windows = grid(3, 1, 32, 32)
    tables = TileTable.of(placed("/a.tif", windows)), TileTable.of(placed("/b.tif", windows))
    found = match_tiles(*tables, np.array([0, 2]), np.array([1, 2]))
    assert (found.before.tolist(), found.after.tolist()) == ([2], [2])
