"""Convert the scores of classifiers to probabilities: by a factor, or by a logistic curve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsretrieve.audit.estimators.candidates import Scores, log_softmax, softmax

Sizes = NDArray[np.float32] | None
"""(C,) see `AllClasses.log_sizes`."""

LEAST = 1e-12
LOG_LEAST = float(np.log(LEAST))
_FACTORS = np.geomspace(0.02, 200, 11)
_COARSE_SAMPLE = 500
_NEWTON_STEPS = 15
_LONGEST_STEP, _SHORTEST_STEP = 1.0, 0.002


@dataclass(frozen=True)
class Target:
    """What calibrated probabilities p should be like.

    Attributes:
        weights: (n, C), the target q; or the likelihood g of the label given each class.
        times_p: q is p·g, normalised.
        sizes: (C,) logarithm of the number of classes in each column; None for zeros.
    """

    weights: Scores
    times_p: bool
    sizes: Sizes = None

    def likelihood(self, scores: Scores, factor: float) -> float:
        """The log likelihood of the labels, or of the target, over all rows."""
        if self.times_p:
            p = softmax(scores * factor, self.sizes)
            return float(np.log((p * self.weights).sum(axis=1) + LEAST).sum())
        log_p = log_softmax(scores * factor, self.sizes)
        return float((self.weights * np.maximum(log_p, LOG_LEAST)).sum())

    def slopes(self, scores: Scores, factor: float) -> tuple[float, float]:
        """First and second derivative of the log likelihood by the factor; see `_Slopes.at`."""
        return _Slopes.of(scores, self).at(factor)


@dataclass(frozen=True)
class _Slopes:
    """The derivatives of a log likelihood by the factor, for one sample of scores.

    Sums over the columns are several times as fast in rows of an array, and so is float32. The
    factor needs no more digits.

    Attributes:
        scores: (C, n) float32, less the highest of each tile.
        weights: (C, n) float32 of the target.
        target: what the probabilities should be like.
    """

    scores: NDArray[np.float32]
    weights: NDArray[np.float32]
    target: Target

    @classmethod
    def of(cls, sample: Scores, target: Target) -> _Slopes:
        """Make them of (n, C) scores."""
        shifted = (sample - sample.max(axis=1, keepdims=True)).T
        scores = np.ascontiguousarray(shifted, np.float32)
        return cls(scores, np.ascontiguousarray(target.weights.T, np.float32), target)

    def at(self, factor: float) -> tuple[float, float]:
        """First and second derivative of the log likelihood by the factor k.

        They are Σ (E_q[s] − E_p[s]) and Σ (Var_q[s] − Var_p[s]), where q is constant and has no
        Var_q unless it depends on p.
        """
        p = self.scores * np.float32(factor)
        if self.target.sizes is not None:
            p += self.target.sizes[:, None]
        np.exp(p, out=p)
        q = p * self.weights if self.target.times_p else self.weights
        (mean_p, variance_p), (mean_q, variance_q) = self._moments(p), self._moments(q)
        curvature = (variance_q if self.target.times_p else 0.0) - variance_p
        return float((mean_q - mean_p).sum(dtype=np.float64)), float(np.sum(curvature))

    def _moments(self, p: NDArray[np.float32]) -> tuple[NDArray[Any], NDArray[Any]]:
        """(n,) mean and variance of the scores of each tile, with weights that sum to anything."""
        total = np.maximum(p.sum(axis=0), LEAST)
        weighted = p * self.scores
        mean = weighted.sum(axis=0) / total
        weighted *= self.scores
        return mean, weighted.sum(axis=0) / total - mean**2


def coarse_factor(sample: Scores, target: Target) -> float:
    """The factor with the highest likelihood of a few tiles.

    Args:
        sample: (n, C) float64 scores.
        target: what the probabilities should be like.
    """
    every = max(1, len(sample) // _COARSE_SAMPLE)
    few = sample[::every]
    target = Target(target.weights[::every], target.times_p, target.sizes)
    factors: list[float] = _FACTORS.tolist()
    return max(factors, key=lambda factor: target.likelihood(few, factor))


def refined_factor(sample: Scores, target: Target, factor: float) -> float:
    """Newton's method in the logarithm of the factor, with bounded steps.

    Args:
        sample: (n, C) float64 scores.
        target: what the probabilities should be like.
        factor: where to start.
    """
    slopes = _Slopes.of(sample, target)
    for _ in range(_NEWTON_STEPS):
        first, second = slopes.at(factor)
        gradient, curvature = factor * first, factor**2 * second + factor * first
        step = -gradient / curvature if curvature < 0 else np.sign(gradient) * _LONGEST_STEP
        step = float(np.clip(step, -_LONGEST_STEP, _LONGEST_STEP))
        factor = float(np.clip(factor * np.exp(step), _FACTORS[0], _FACTORS[-1]))
        if abs(step) < _SHORTEST_STEP:
            break
    return factor


def logistic_curve(values: NDArray[np.float64], right: NDArray[np.float64]) -> tuple[float, float]:
    """Fit a logistic curve, by Newton's method.

    Args:
        values: (n,) float64.
        right: (n,) float64, 0…1.

    Returns:
        Slope and offset that maximise the likelihood of `right`.
    """
    if not len(values):
        return 0.0, 0.0
    scale = max(float(values.std()), 1e-6)
    inputs = np.stack([values / scale, np.ones(len(values))], axis=1)
    found = np.zeros(2)
    for _ in range(_NEWTON_STEPS):
        p = 1 / (1 + np.exp(-np.clip(inputs @ found, -30, 30)))
        # A weak ridge penalty keeps the slope finite where the classes separate perfectly.
        gradient = inputs.T @ (p - right) + found
        curvature = (inputs.T * (p * (1 - p))) @ inputs + np.eye(2)
        found -= np.linalg.solve(curvature, gradient)
    return float(found[0] / scale), float(found[1])
