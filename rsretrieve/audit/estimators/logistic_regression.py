"""A logistic regression that predicts the labels of tiles from the labels of the others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsretrieve.audit.estimators.candidates import Scores, softmax

_STEPS, _CONSTANT = 25, 0.3


@dataclass(frozen=True)
class Logistic:
    """Cross-fitted multinomial logistic regression with a ridge penalty.

    It maximises Σ_i Σ_c q_ic log p_ic − ‖W‖² / 2C over the tiles of the *other* folds by 25
    accelerated steps (Nesterov 1983) of Böhning's bound of the curvature (1992), which needs one
    inverse per fold.

    Attributes:
        rows: (N, D) float32; rows of zeros are unknown and get equal scores.
        folds: (N,) int64 fold of each tile.
        strength: C, inverse of the strength of the penalty.
    """

    rows: NDArray[np.float32]
    folds: NDArray[np.int64]
    strength: float = 3.0

    def class_scores(self, posterior: Scores) -> Scores:
        """See `Classifier.class_scores`."""
        known = np.asarray(self.rows.any(axis=1))
        used = known & posterior.any(axis=1)
        constant = np.full((len(self.rows), 1), _CONSTANT)
        inputs = np.hstack([self.rows.astype(np.float64), constant])
        scores = np.zeros(posterior.shape, order="F")
        for fold in range(int(self.folds.max()) + 1):
            others = used & (self.folds != fold)
            weights = logistic_weights(inputs[others], posterior[others], self.strength)
            scored = known & (self.folds == fold)
            scores[scored] = inputs[scored] @ weights
        return scores


def logistic_weights(
    inputs: NDArray[np.float64], posterior: Scores, strength: float
) -> NDArray[np.float64]:
    """The weights of a multinomial logistic regression; see `Logistic`.

    Args:
        inputs: (n, D) float64.
        posterior: (n, K) probabilities of the classes; rows sum to 1.
        strength: C, inverse of the strength of the penalty.

    Returns:
        (D, K) float64.
    """
    bound = np.linalg.inv(inputs.T @ inputs / 2 + np.eye(inputs.shape[1]) / strength)
    weights = ahead = np.zeros((inputs.shape[1], posterior.shape[1]))
    momentum = 1.0
    for _ in range(_STEPS):
        # Sums over columns are several times as fast in this memory order.
        p = softmax((ahead.T @ inputs.T).T)
        gradient = inputs.T @ (posterior - p) - ahead / strength
        before, weights = weights, ahead + bound @ gradient
        following = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        ahead = weights + (momentum - 1) / following * (weights - before)
        momentum = following
    return weights
