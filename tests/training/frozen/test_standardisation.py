"""Standardised features, and the linear layer that includes them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rsretrieve.training.frozen.standardisation import Standardisation

RNG = np.random.default_rng(0)


def some_features(count: int = 5000) -> np.ndarray:
    return (RNG.normal(3, 2, (count, 6)) * [1, 10, 0.1, 1, 1, 0]).astype(np.float32)


def test_features_have_mean_zero_and_deviation_one_over_all() -> None:
    features = some_features()
    expected = features - features.astype(np.float64).mean(axis=0)
    expected /= np.sqrt((expected**2).mean())
    Standardisation.of(features).apply(features)
    np.testing.assert_allclose(features, expected, rtol=1e-3, atol=1e-4)


def test_equal_features_stay_finite() -> None:
    features = np.full((4, 3), 7, np.float32)
    Standardisation.of(features).apply(features)
    assert not features.any()


def test_the_folded_layer_takes_features_as_they_are() -> None:
    features = some_features(50)
    plain, standard = features.copy(), Standardisation.of(features)
    standard.apply(features)
    weight, bias = torch.randn(4, 6), torch.randn(4)
    expected = torch.from_numpy(features) @ weight.T + bias
    folded_weight, folded_bias = standard.folded(weight, bias)
    found = torch.from_numpy(plain) @ folded_weight.T + folded_bias
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    again = standard.unfolded(folded_weight, folded_bias)
    assert again[0].numpy() == pytest.approx(weight.numpy(), rel=1e-5)
    assert again[1].numpy() == pytest.approx(bias.numpy(), rel=1e-4, abs=1e-4)
