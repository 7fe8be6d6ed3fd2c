"""The flat map of an embedding."""

from __future__ import annotations

import numpy as np

from rsretrieve.browse.points import principal_plane
from tests.support.indexes.vectors import unit_rows


def test_the_plane_is_that_of_the_two_largest_components():
    vectors = unit_rows(200, 6, 1) * np.array([4, 3, 1, 1, 1, 1], np.float32)
    flat = principal_plane(vectors)
    centred = vectors - vectors.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    for column in range(2):
        expected = centred @ axes[column]
        expected /= np.abs(expected).max()
        assert np.allclose(np.abs(flat[:, column]), np.abs(expected), atol=1e-4)
    assert np.allclose(np.abs(flat).max(axis=0), 1)


def test_the_same_vectors_in_another_order_give_the_same_points():
    vectors = unit_rows(50, 5, 2)
    order = np.random.default_rng(0).permutation(50)
    assert np.allclose(principal_plane(vectors)[order], principal_plane(vectors[order]), atol=1e-5)


def test_vectors_that_are_all_alike_or_have_one_dimension_have_a_plane():
    assert not principal_plane(np.ones((4, 3), np.float32)).any()
    assert principal_plane(np.ones((4, 1), np.float32)).shape == (4, 2)
