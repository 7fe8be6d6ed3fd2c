"""Label noise in exact counts."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsretrieve.data.labels.exact_noise import exactly_by_weights, shared_out
from rsretrieve.data.labels.label_noise import corrupt_by_table, corrupt_uniformly
from tests.support.tiles.made_tiles import labelled_tiles

TABLE = {"a": {"b": 0.25, "c": 0.75}, "b": {"a": 1.0}, "c": {"a": 0.5, "b": 0.5}}


@given(rate=st.floats(0, 1), seed=st.integers(0, 50))
def test_exactly_this_share_of_all_and_of_each_class_is_wrong(rate, seed):
    tiles = labelled_tiles(a=40, b=17, c=3)
    labels = corrupt_by_table(tiles, rate, TABLE, seed, exact=True)
    wrong = Counter(tile.label for tile in tiles if labels[tile.id] != tile.label)
    assert wrong.total() == round(60 * rate)
    for name, count in (("a", 40), ("b", 17), ("c", 3)):
        assert abs(wrong[name] - count * rate) < 1 + 60 * rate - round(60 * rate) + 0.5


def test_wrong_labels_are_shared_out_as_the_table_says():
    tiles = labelled_tiles(a=40, b=20, c=20)
    labels = corrupt_by_table(tiles, 0.5, TABLE, 3, exact=True)
    became = Counter((t.label, labels[t.id]) for t in tiles if labels[t.id] != t.label)
    assert became == {
        **{("a", "b"): 5, ("a", "c"): 15, ("b", "a"): 10},
        **{("c", "a"): 5, ("c", "b"): 5},
    }


def test_seeds_decide_which_tiles_and_their_order_does_not():
    tiles = labelled_tiles(a=30, b=30)
    one, other = (corrupt_uniformly(tiles, 0.3, seed, exact=True) for seed in (1, 2))
    assert one != other
    turned = tiles.select(range(len(tiles))[::-1])
    assert corrupt_uniformly(turned, 0.3, 1, exact=True) == one


def test_more_probable_tiles_are_drawn_more_often_and_impossible_ones_never():
    ids, drawn = ["often", "seldom", "never"], Counter()
    for seed in range(300):
        drawn.update(exactly_by_weights(ids, [0.9, 0.1, 0.0], 1 / 3, seed))
    assert drawn["never"] == 0
    assert drawn["often"] == pytest.approx(270, abs=25)


@given(
    total=st.integers(0, 500),
    weights=st.dictionaries(st.text(max_size=2), st.floats(0.1, 9), min_size=1),
)
def test_nothing_is_lost_when_it_is_shared_out(total, weights):
    counts, whole = shared_out(total, weights), sum(weights.values())
    assert sum(counts.values()) == total
    assert all(abs(counts[name] - total * w / whole) < 1 for name, w in weights.items())
