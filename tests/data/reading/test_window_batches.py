"""Which windows are read together."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rsretrieve.data.reading.window_batches import MAX_WINDOWS, runs_of
from rsretrieve.data.tile import Tile
from rsretrieve.data.window import Window
from tests.support.tiles.made_tiles import unhurried


def window_tile(path, col, row, width=16, height=16):
    window = Window(col, row, width, height)
    return Tile(f"{path}{window}", path, None, window)


windows = st.builds(
    window_tile,
    st.sampled_from("ab"),
    st.integers(0, 60),
    st.integers(0, 60),
    st.integers(1, 40),
    st.integers(1, 40),
)
whole = st.builds(lambda name: Tile(name, name), st.sampled_from("cd"))


@unhurried
@given(st.lists(windows | whole, max_size=150))
def test_runs_hold_every_tile_in_order_and_waste_at_most_half_of_what_they_read(tiles):
    runs = list(runs_of(tiles))
    assert [tile for run in runs for tile in run] == tiles
    for run in runs:
        assert 1 <= len(run) <= MAX_WINDOWS
        assert len({tile.path for tile in run}) == 1
        cut = [tile.window for tile in run]
        if None in cut:
            assert len(run) == 1
            continue
        width = max(w.col + w.width for w in cut) - min(w.col for w in cut)
        height = max(w.row + w.height for w in cut) - min(w.row for w in cut)
        assert width * height <= 2 * sum(w.width * w.height for w in cut)


def test_windows_in_a_row_are_one_run():
    assert len(list(runs_of(window_tile("a", 16 * i, 0) for i in range(MAX_WINDOWS)))) == 1
    assert len(list(runs_of(window_tile("a", 16 * i, 0) for i in range(MAX_WINDOWS + 1)))) == 2


def test_a_run_ends_with_a_row_so_that_the_next_one_is_long_too():
    rows = [window_tile("a", 32 * i, 32 * j, 64, 64) for j in range(29) for i in range(29)]
    assert [len(run) for run in runs_of(rows)] == [232, 232, 232, 145]
    long_row = [window_tile("a", 8 * i, 0) for i in range(MAX_WINDOWS + 9)]
    assert [len(run) for run in runs_of(long_row)] == [MAX_WINDOWS, 9]


def test_windows_far_from_one_another_are_read_alone():
    far = [window_tile("a", 1000 * i, 0) for i in range(3)]
    assert list(runs_of(far)) == [[tile] for tile in far]


def test_a_run_is_bounded_however_large_its_windows_are():
    large = [window_tile("a", 1024 * i, 0, 1024, 1024) for i in range(4)]
    assert [len(run) for run in runs_of(large)] == [2, 2]
    overlapping = [window_tile("a", 64 * i, 0, 512, 512) for i in range(12)]
    assert [len(run) for run in runs_of(overlapping)] == [8, 4]
    giant = [window_tile("a", 4096 * i, 0, 4096, 4096) for i in range(2)]
    assert [len(run) for run in runs_of(giant)] == [1, 1]
