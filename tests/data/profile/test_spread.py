"""The spread of embeddings, against a loop over all pairs."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from rsretrieve.data.profile.spread import least_class_spread, spread_of


def unit_rows(count: int, dimensions: int, seed: int, noise: float = 1.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal(dimensions) + noise * rng.standard_normal((count, dimensions))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("noise", [3.0, 0.5, 1e-2])
def test_it_is_one_minus_the_mean_similarity_of_all_pairs(noise: float) -> None:
    vectors = unit_rows(23, 7, seed=1, noise=noise)
    exact = vectors.astype(np.float64)
    pairs = [float(exact[i] @ exact[j]) for i, j in combinations(range(23), 2)]
    assert spread_of(vectors) == pytest.approx(1 - np.mean(pairs), rel=1e-3, abs=1e-7)


def test_equal_vectors_have_none_and_a_single_one_is_unknown() -> None:
    assert spread_of(np.repeat(unit_rows(1, 5, seed=0), 10, axis=0)) == pytest.approx(0, abs=1e-12)
    assert spread_of(unit_rows(1, 5, seed=0)) is None


def test_the_least_class_is_found_and_small_classes_and_tiles_without_one_do_not_count() -> None:
    parts = [unit_rows(9, 6, 1, 1.0), unit_rows(9, 6, 2, 0.1), unit_rows(3, 6, 3, 1e-4)]
    labels = np.repeat([0, 1, 2], [9, 9, 3])
    vectors = np.concatenate(parts)
    assert least_class_spread(vectors, labels) == spread_of(parts[1])
    without = np.where(labels == 1, -1, labels)
    assert least_class_spread(vectors, without) == spread_of(parts[0])
    assert least_class_spread(vectors[:2], labels[:2]) is None
