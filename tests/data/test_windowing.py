"""How scenes are cut: by plain loops, at edges, at other resolutions, in the order of blocks."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsretrieve.data.reading.raw_tile import RawTile
from rsretrieve.data.window import Window
from rsretrieve.data.windowing import SceneFacts, WindowChoices, windows_of
from rsretrieve.enums import Edges
from rsretrieve.errors import InvalidArgument
from tests.support.tiles.made_tiles import unhurried

lengths, sides, strides = st.integers(1, 400), st.integers(8, 80), st.integers(1, 90)


def facts(width, height, block_px=(64, 64), pixel_m=None):
    return SceneFacts(width, height, block_px, pixel_m)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"window_px": 7}, "a window's side must be in 8…8192 px, not 7"),
        ({"window_px": 8193}, "a window's side must be in 8…8192 px, not 8193"),
        ({"stride_px": 0}, "a stride must be at least 1 px, not 0"),
        ({"resolution_m": 0.0}, "a resolution must be positive, not 0.0 m"),
        ({"resolution_m": float("nan")}, "a resolution must be positive, not nan m"),
        ({"resolution_m": float("inf")}, "a resolution must be positive, not inf m"),
        ({"max_nodata": 1.1}, "a share of nodata must be in 0…1, not 1.1"),
        ({"max_nodata": -0.1}, "a share of nodata must be in 0…1, not -0.1"),
    ],
)
def test_choices_that_make_no_sense_are_wrong_usage(wrong, message):
    with pytest.raises(InvalidArgument) as caught:
        WindowChoices(**{"window_px": 64, **wrong})
    assert caught.value.message == message


@unhurried
@given(lengths, sides, strides)
def test_without_padding_no_window_leaves_the_scene(length, side, stride):
    cut = WindowChoices(side, stride).along(length, 1.0)
    assert cut == [(start, side) for start in range(0, length - side + 1, stride)]


@unhurried
@given(lengths, sides, strides)
def test_padding_adds_one_window_at_most_and_only_for_what_is_not_covered(length, side, stride):
    whole = WindowChoices(side, stride).along(length, 1.0)
    padded = WindowChoices(side, stride, edges=Edges.PAD).along(length, 1.0)
    assert padded[: len(whole)] == whole
    assert len(padded) - len(whole) in (0, 1)
    if stride <= side:
        covered = {x for start, size in padded for x in range(start, start + size)}
        assert covered >= set(range(length))
    if len(padded) > len(whole):
        (start, size) = padded[-1]
        assert (size, start) == (side, len(whole) * stride)
        assert start < length < start + size
        assert not whole or sum(whole[-1]) < length


def test_a_stride_is_a_windows_side_unless_it_is_given():
    assert WindowChoices(10).along(35, 1.0) == [(0, 10), (10, 10), (20, 10)]


def test_starts_are_rounded_one_by_one():
    """64 px of 33 m over pixels of 20 m: 105.6 of the scene's pixels each."""
    cut = WindowChoices(64).along(1000, 33 / 20)
    assert cut == [(0, 106), (106, 106), (211, 106), (317, 106), (422, 106), (528, 106)] + [
        (634, 106),
        (739, 106),
        (845, 106),
    ]


@unhurried
@given(lengths, sides, strides, st.floats(0.02, 5))
def test_at_any_scale_starts_go_up_and_no_window_leaves(length, side, stride, scale):
    cut = WindowChoices(side, stride).along(length, scale)
    starts = [start for start, _ in cut]
    assert starts == sorted(set(starts))
    assert all(start + size <= length for start, size in cut)
    assert {size for _, size in cut} <= {max(1, round(side * scale))}


def test_a_coarser_scene_is_cut_in_metres_and_read_at_the_windows_side():
    scene = facts(200, 100, pixel_m=(10.0, 20.0))
    windows = list(windows_of(scene, WindowChoices(20, resolution_m=20.0)))
    assert windows[0] == Window(0, 0, 40, 20, read_px=20)
    assert len(windows) == 5 * 5
    assert windows[0].shape_px == (20, 20)


def test_a_scene_that_is_coarser_already_is_read_as_it_is():
    scene = facts(100, 100, pixel_m=(40.0, 40.0))
    windows = list(windows_of(scene, WindowChoices(20, resolution_m=20.0)))
    assert windows[0] == Window(0, 0, 10, 10)
    assert len(windows) == 100


def test_without_a_size_of_pixels_a_resolution_is_refused():
    with pytest.raises(InvalidArgument, match="has no georeference"):
        list(windows_of(facts(100, 100), WindowChoices(20, resolution_m=20.0)))


@unhurried
@given(
    st.integers(8, 5000),
    st.integers(8, 5000),
    st.sampled_from([(256, 256), (512, 512), (5000, 1), (5000, 16)]),
    st.integers(100, 600),
)
def test_windows_are_all_there_once_chunk_by_chunk(width, height, block_px, side):
    choices = WindowChoices(side, side // 2)
    windows = list(windows_of(facts(width, height, block_px), choices))
    columns, rows = choices.along(width, 1.0), choices.along(height, 1.0)
    assert sorted((w.col, w.row) for w in windows) == sorted(
        (col, row) for (col, _), (row, _) in product(columns, rows)
    )
    chunk_px = [block * -(-1024 // block) for block in block_px]
    chunks = [(w.row // chunk_px[1], w.col // chunk_px[0]) for w in windows]
    assert chunks == sorted(chunks)
    for chunk in set(chunks):
        inside = [(w.row, w.col) for w, c in zip(windows, chunks) if c == chunk]
        assert inside == sorted(inside)


@pytest.mark.parametrize(
    ("invalid", "max_nodata", "skipped"),
    [(0, 0.0, False), (1, 0.0, True), (8, 0.5, False), (9, 0.5, True), (15, 1.0, False)]
    + [(16, 1.0, True)],
)
def test_a_window_is_skipped_from_the_share_of_nodata_on(invalid, max_nodata, skipped):
    valid = (np.arange(16) >= invalid).reshape(1, 4, 4)
    raw = RawTile(np.full((1, 4, 4), 7, np.uint8), valid, None)
    assert WindowChoices(8, max_nodata=max_nodata).skips(raw.nodata_share) is skipped


def test_a_window_of_zeros_is_nodata():
    raw = RawTile(np.zeros((2, 4, 4), np.uint8), None, None)
    assert raw.nodata_share == 1
    assert WindowChoices(8, max_nodata=1).skips(raw.nodata_share)
    last = np.zeros((2, 4, 4), np.uint8)
    last[1, 3, 3] = 1
    assert RawTile(last, None, None).nodata_share == 0


def test_a_stride_of_a_windows_side_is_the_default():
    assert WindowChoices(32, 32) == WindowChoices(32) == WindowChoices(32, None)
    assert WindowChoices(32, 16).stride_px == 16
    assert str(WindowChoices(32, 32)) == str(WindowChoices(32))
