"""Averages over areas, compared with a fine grid that both grids divide."""

from __future__ import annotations

import numpy as np
import pytest

from rsretrieve.data.pixels.averages import Averages, area_weights


@pytest.mark.parametrize(
    ("source", "target"), [((12, 9), (4, 3)), ((10, 7), (4, 3)), ((5, 6), (5, 6)), ((3, 4), (6, 8))]
)
@pytest.mark.parametrize("rows_at_once", [1, 100])
def test_a_mean_counts_every_valid_pixel_by_its_area(source, target, rows_at_once):
    rng = np.random.default_rng(0)
    values = rng.normal(0, 1, (2, *source)).astype(np.float32)
    valid = rng.random(values.shape) < 0.6
    averages = Averages(source, target)
    for top in range(0, source[0], rows_at_once):
        strip = slice(top, top + rows_at_once)
        averages.add(top, values[:, strip], valid[:, strip])
    means, known = averages.finish()
    # Every pixel of either grid is a whole number of pixels of this one.
    fine = np.ma.masked_array(values, ~valid)
    for axis in (0, 1):
        fine = np.ma.repeat(fine, target[axis], axis=axis + 1)
    blocks = fine.reshape(2, target[0], source[0], target[1], source[1])
    expected = blocks.mean(axis=(2, 4))
    assert np.array_equal(known, ~np.ma.getmaskarray(expected))
    assert means[known] == pytest.approx(expected.filled(0)[known], abs=1e-5)


def test_integers_are_rounded_to_the_nearest():
    averages = Averages((2, 2), (1, 1))
    averages.add(0, np.array([[[1, 2], [2, 2]]], np.uint8), None)
    means, _ = averages.finish()
    assert means.dtype == np.uint8
    assert means.item() == 2


def test_each_target_pixel_is_covered_as_often_as_it_is_large():
    assert area_weights(10, 4).sum(axis=1) == pytest.approx([2.5] * 4)
