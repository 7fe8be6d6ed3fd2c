"""Connected components, against a walk from row to row."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rsretrieve.data.splitting.joined_groups import grouped_by, joined
from tests.support.tiles.made_tiles import unhurried


def walked(count, pairs):
    """The lowest row that can be reached from each row."""
    lowest = list(range(count))
    for _ in range(count):
        for one, other in pairs:
            lowest[one] = lowest[other] = min(lowest[one], lowest[other])
    return lowest


@unhurried
@given(
    st.integers(1, 12).flatmap(
        lambda n: st.tuples(
            st.just(n),
            st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=20),
        )
    )
)
def test_groups_are_what_can_be_reached_and_are_named_by_their_lowest_row(drawn):
    count, pairs = drawn
    ones, others = np.array(pairs, np.int64).reshape(-1, 2).T
    assert joined(np.arange(count), ones, others).tolist() == walked(count, pairs)
    half = len(pairs) // 2
    first = joined(np.arange(count), ones[:half], others[:half])
    assert joined(first, ones[half:], others[half:]).tolist() == walked(count, pairs)


def test_rows_with_one_key_are_one_group_and_rows_without_a_key_stay_apart():
    assert grouped_by(["a", None, "b", "a", None], np.arange(5)).tolist() == [0, 1, 2, 0, 4]
