"""Scores of linear classifiers, against all of them."""

from __future__ import annotations

import numpy as np

from rsretrieve.audit.estimators.candidates import LikelyClasses
from rsretrieve.audit.estimators.linear_scores import LinearScores
from rsretrieve.audit.estimators.unit_vectors import UnitRows


def test_the_mean_probability_of_many_classes_of_the_rest_is_that_of_all_their_scores() -> None:
    rng = np.random.default_rng(6)
    rows = rng.normal(0, 1, (50, 10)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    weights, offsets = rng.normal(0, 3, (1000, 10)), rng.normal(0, 0.5, 1000)
    scores = rows @ weights.T + offsets
    scores -= scores.mean(axis=1, keepdims=True)
    order = np.argsort(-scores, axis=1)
    candidates = LikelyClasses(1000, order[:, :15].astype(np.int32))
    found = np.empty((50, 16), np.float32)
    LinearScores.of(weights, offsets).put(UnitRows(rows), np.arange(50), candidates, found)
    np.testing.assert_allclose(
        found[:, :-1], np.take_along_axis(scores, order[:, :15], 1), atol=1e-3
    )
    mean = np.log(np.exp(np.take_along_axis(scores, order[:, 15:], 1)).mean(axis=1))
    np.testing.assert_allclose(found[:, -1], mean, atol=0.4)
