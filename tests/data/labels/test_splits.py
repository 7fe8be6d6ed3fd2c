"""Splitting per class: how many go where, and that only the seed and the ids decide."""

from __future__ import annotations

import math
import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsretrieve.data.labels.confirmed import ConfirmedLabel, Rule
from rsretrieve.data.labels.splits import split_per_class
from rsretrieve.errors import InvalidArgument
from tests.support.tiles.made_tiles import in_order, labelled_tiles, unhurried

sizes = st.dictionaries(st.sampled_from("abcd"), st.integers(1, 12), min_size=1)


def ids(part):
    return [tile.id for tile in part]


def counts(tiles, fractions, seed=0):
    return [len(part) for part in split_per_class(tiles, fractions, seed)]


@pytest.mark.parametrize(
    ("tiles", "expected"),
    [
        (100, [70, 10, 20]),
        (10, [7, 1, 2]),
        (4, [3, 0, 1]),
        (3, [2, 0, 1]),
        (2, [1, 1, 0]),
        (1, [1, 0, 0]),
    ],
)
def test_a_class_is_cut_at_the_rounded_sums_of_the_fractions(tiles, expected):
    assert counts(labelled_tiles(a=tiles), [0.7, 0.1, 0.2]) == expected


def test_every_class_is_cut_by_itself():
    train, test = split_per_class(labelled_tiles(a=10, b=20, c=1), [0.8, 0.2], seed=0)
    assert Counter(tile.label for tile in train) == {"a": 8, "b": 16, "c": 1}
    assert Counter(tile.label for tile in test) == {"a": 2, "b": 4}


def test_confirmed_tiles_go_to_the_first_part_if_that_is_wished():
    tiles = labelled_tiles(a=20)
    decision = ConfirmedLabel(Rule.REJECT, "a")
    confirmed = {tile.id: decision for tile in tiles.tiles[::2]}
    known = tiles.with_confirmed(confirmed)
    first = split_per_class(known, [0.5, 0.5], 0, confirmed_first=True)[0]
    assert {*ids(first)} == {*confirmed}
    plain = split_per_class(tiles, [0.5, 0.5], 0)
    assert [ids(part) for part in split_per_class(known, [0.5, 0.5], 0)] == [*map(ids, plain)]
    assert ids(split_per_class(tiles, [0.5, 0.5], 0, confirmed_first=True)[1]) == ids(plain[1])


def test_a_class_of_one_tile_goes_to_the_first_part_however_small_that_is():
    assert counts(labelled_tiles(a=1, b=1), [0.05, 0.95]) == [2, 0]


def test_tiles_without_a_label_are_a_class_of_their_own():
    tiles = labelled_tiles(a=10, b=10)
    unlabelled = tiles.relabelled(dict.fromkeys(ids(tiles)[:10]))
    train, test = split_per_class(unlabelled, [0.7, 0.3], seed=0)
    assert Counter(tile.label for tile in train) == {None: 7, "b": 7}
    assert Counter(tile.label for tile in test) == {None: 3, "b": 3}


def test_tiles_beyond_the_fractions_are_left_out():
    assert counts(labelled_tiles(a=20), [0.5, 0.25]) == [10, 5]


@unhurried
@given(sizes, st.lists(st.integers(1, 9), min_size=1, max_size=4), st.integers())
def test_parts_are_disjoint_complete_and_in_the_tiles_order(sizes, shares, seed):
    tiles = labelled_tiles(**sizes)
    parts = split_per_class(tiles, [share / sum(shares) for share in shares], seed)
    dealt = [name for part in parts for name in ids(part)]
    assert sorted(dealt) == sorted(ids(tiles))
    assert all(ids(part) == [name for name in ids(tiles) if name in ids(part)] for part in parts)


@unhurried
@given(sizes, st.floats(0.1, 0.9), st.integers())
def test_even_rounding_moves_a_cut_by_less_than_a_tile(sizes, fraction, seed):
    tiles = labelled_tiles(**sizes)
    first = split_per_class(tiles, [fraction, 1 - fraction], seed, even=True)[0]
    for label, size in sizes.items():
        count = sum(tile.label == label for tile in first)
        assert abs(count - fraction * size) < 1 + 1e-6 or count == 1


@unhurried
@given(sizes, st.floats(0.1, 0.9), st.integers(), st.randoms())
def test_neither_the_order_of_tiles_nor_other_classes_change_a_part(sizes, fraction, seed, random):
    tiles = labelled_tiles(**sizes)
    fractions = [fraction, 1 - fraction]
    order = random.sample(range(len(tiles)), len(tiles))
    first = set(ids(split_per_class(tiles, fractions, seed)[0]))
    assert set(ids(split_per_class(in_order(tiles, order), fractions, seed)[0])) == first
    alone = labelled_tiles(a=sizes.get("a", 0))
    assert set(ids(split_per_class(alone, fractions, seed)[0])) == {
        name for name in first if name.startswith("a")
    }


def test_seeds_decide_which_tiles_go_where():
    tiles = labelled_tiles(a=40)
    one, again, other = (ids(split_per_class(tiles, [0.5], seed)[0]) for seed in (1, 1, 2))
    assert one == again != other


def test_every_tile_is_as_likely_as_another_to_go_first():
    tiles = labelled_tiles(a=10)
    first = Counter(split_per_class(tiles, [0.1, 0.9], seed)[0][0].id for seed in range(500))
    assert len(first) == 10
    assert 25 < min(first.values()) <= max(first.values()) < 80


@pytest.mark.parametrize(
    "fractions",
    [[], [0.5, 0.0], [1.1, -0.1], [0.7, 0.31], [math.nan, 0.5], [0.5, math.nan], [math.inf]],
)
def test_fractions_that_are_not_positive_or_too_much_are_refused(fractions):
    message = re.escape(f"fractions must be positive and sum to at most 1, not {fractions}")
    with pytest.raises(InvalidArgument, match=f"^{message}$"):
        split_per_class(labelled_tiles(a=3), fractions, seed=0)
