"""Projections equal scikit-learn's principal components."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA

from rsretrieve.network.unlabelled.principal_components import (
    block_scales,
    fit_projection,
    unit_scales,
)


@pytest.fixture
def features():
    rng = np.random.default_rng(0)
    return (rng.normal(size=(60, 8)) @ rng.normal(size=(8, 8)) + 3).astype(np.float32)


def projected(features, found):
    return features @ found.weights.T + found.biases


def test_without_whitening_they_are_principal_components(features):
    found = fit_projection(features, np.ones(8), 5, whitening=0)
    expected = PCA(5).fit_transform(features.astype(np.float64))
    np.testing.assert_allclose(np.abs(projected(features, found)), np.abs(expected), atol=1e-3)


def test_with_whitening_all_have_the_same_variance(features):
    found = fit_projection(features, np.ones(8), 4, whitening=1)
    np.testing.assert_allclose(projected(features, found).std(axis=0), 1, rtol=0.01)


def test_half_whitening_takes_the_root_of_the_deviations(features):
    plain = projected(features, fit_projection(features, np.ones(8), 4, whitening=0)).std(axis=0)
    half = projected(features, fit_projection(features, np.ones(8), 4, whitening=0.5)).std(axis=0)
    np.testing.assert_allclose(half, np.sqrt(plain), rtol=0.01)


def test_few_tiles_have_few_components(features):
    found = fit_projection(features[:4], np.ones(8), 6, whitening=0.5)
    assert found.weights.shape == (3, 8)


@pytest.mark.parametrize("count", [1, 3])
def test_equal_tiles_still_have_an_embedding(features, count):
    same = np.repeat(features[:1], count, axis=0)
    found = fit_projection(same, np.ones(8), 4, whitening=0.5)
    assert found.weights.shape == (4, 8)
    assert np.linalg.norm(projected(same, found), axis=1).min() > 0


def test_scales_give_blocks_and_features_their_variances(features):
    features[:, 7] = 1  # constant
    scaled = features * block_scales(features, [3, 5])
    assert scaled[:, :3].var(axis=0).sum() == pytest.approx(1, rel=1e-4)
    assert scaled[:, 3:].var(axis=0).sum() == pytest.approx(1, rel=1e-4)
    variances = (features * unit_scales(features)).var(axis=0)
    np.testing.assert_allclose(variances, [1 / 8] * 7 + [0], rtol=1e-4)
