"""A linear classifier of the wanted kind, from a few examples and the tiles of the index.

Logistic regression with a ridge penalty separates the positives from the negatives and from random
tiles of the index, of which few are of a rare kind. Each of the three groups has the same weight.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

Floats = NDArray[np.float64]
_GROUP_WEIGHT = 100.0  # of a group's losses, beside a penalty of ½‖w‖²
_STEPS, _CONVERGED = 25, 1e-6
_LEAST_CURVATURE = 1e-9
_MOST_LEVERAGE = 0.999


@dataclass(frozen=True)
class KindClassifier:
    """A fitted classifier.

    Attributes:
        weights: (D,) float32.
        own_scores: (E,) float64, the score of each example by a classifier fitted without it, by
            one Newton step from the fitted one.
    """

    weights: NDArray[np.float32]
    own_scores: Floats

    @classmethod
    def fit(
        cls,
        examples: NDArray[np.float32],
        wanted: NDArray[np.bool_],
        background: NDArray[np.float32],
    ) -> KindClassifier:
        """Fit by Newton's method.

        Args:
            examples: (E, D) float32, unit rows.
            wanted: (E,) bool.
            background: (B, D) float32, unit rows of random tiles.
        """
        rows = np.concatenate((examples, background)).astype(np.float64)
        inputs = np.concatenate((rows, np.ones((len(rows), 1))), axis=1)
        labels = np.concatenate((wanted, np.zeros(len(background), bool)))
        importance = _importance(wanted, len(background))
        penalty = np.ones(inputs.shape[1])
        penalty[-1] = _LEAST_CURVATURE  # the offset
        solution = np.zeros(inputs.shape[1])
        for _ in range(_STEPS):
            probability = expit(inputs @ solution)
            gradient = inputs.T @ (importance * (probability - labels)) + penalty * solution
            step = np.linalg.solve(_hessian(inputs, probability, importance, penalty), gradient)
            # A long step may diverge; scores of unit vectors seldom exceed some tens.
            solution -= step / max(1.0, float(np.abs(step).max()) / 10)
            if float(np.abs(step).max()) < _CONVERGED:
                break
        own = _own_scores(inputs, labels, importance, penalty, solution, len(examples))
        return cls(solution[:-1].astype(np.float32), own - solution[-1])


def _importance(wanted: NDArray[np.bool_], background: int) -> Floats:
    """(E + B,) the weight of each loss."""
    positives, negatives = max(int(wanted.sum()), 1), max(int((~wanted).sum()), 1)
    examples = np.where(wanted, 1 / positives, 1 / negatives)
    others = np.full(background, 1 / max(background, 1))
    return _GROUP_WEIGHT * np.concatenate((examples, others))


def _hessian(inputs: Floats, probability: Floats, importance: Floats, penalty: Floats) -> Floats:
    curvature = importance * probability * (1 - probability)
    return np.asarray((inputs.T * curvature) @ inputs + np.diag(penalty))


def _own_scores(
    inputs: Floats,
    labels: NDArray[np.bool_],
    importance: Floats,
    penalty: Floats,
    solution: Floats,
    count: int,
) -> Floats:
    """Approximate leave-one-out scores (Rad and Maleki, JRSS B 2020, equation 7)."""
    scores = inputs @ solution
    probability = expit(scores)
    inverse = np.linalg.inv(_hessian(inputs, probability, importance, penalty))
    first = inputs[:count]
    spread = ((first @ inverse) * first).sum(axis=1)
    slope = (importance * (probability - labels))[:count]
    curvature = (importance * probability * (1 - probability))[:count]
    leverage = np.minimum(spread * curvature, _MOST_LEVERAGE)
    return np.asarray(scores[:count] + spread * slope / (1 - leverage))
