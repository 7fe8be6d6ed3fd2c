"""How much the embedding of each place changed, beside what changed everywhere.

A season, another sensor or other light changes the embeddings of all places. This overall shift is
learned from the pairs themselves: a linear map that predicts the embedding of one date from that of
the other, by ridge regression over the pairs that changed least. What it cannot predict is the
change of a place. Each pair is predicted by a map that was fitted without it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Vectors = NDArray[np.float32]
LEAST_PAIRS = 20
"""With fewer pairs, the overall shift is the mean difference; it cannot be told from changes."""
_FOLDS = 5
_ROUNDS = 3
_TRUSTED = 0.8
"""Share of the pairs that the map is fitted to: those that changed least in the round before."""
_PENALTIES = (0.001, 0.01, 0.1, 1.0, 10.0, 100.0, 1000.0)
_MOST_FITTED = 50_000  # pairs that a map is fitted to
_LEAST_SCALE = 1e-12
_LEAST_SPREAD = 1e-6  # less is rounding: vectors have unit length
_MEAN_DISTANCE = 1.2533  # from the mean distance to the median to the standard deviation
_MAD = 1.4826  # from the median absolute deviation to the standard deviation of a normal


@dataclass(frozen=True)
class ChangeScores:
    """The change of M places.

    Attributes:
        change: (M,) float64, ≥ 0: the length of what the overall shift does not explain, as the
            mean of both directions.
        deviation: (M,) float64: by how many standard deviations the change is above the median, by
            robust estimates.
        similarity: (M,) float64, the cosine of the two embeddings, without correction.
        shift: the length of the mean difference of the embeddings, 0…2.
    """

    change: Floats
    deviation: Floats
    similarity: Floats
    shift: float


def score_changes(
    before: NDArray[np.float32], after: NDArray[np.float32], seed: int = 0
) -> ChangeScores:
    """Score the change of places.

    Args:
        before: (M, D) float32, unit rows.
        after: (M, D) float32, unit rows; row i is the place of row i of `before`.
        seed: of the division into parts that are predicted in turn.
    """
    one, other = np.asarray(before, np.float32), np.asarray(after, np.float32)
    similarity = np.einsum("ij,ij->i", one, other, dtype=np.float64)
    change = _change(one, other, seed) if len(one) else np.empty(0)
    middle = float(np.median(change)) if len(change) else 0.0
    spread = _spread(change - middle) if len(change) else 0.0
    deviation = (change - middle) / spread if spread > 0 else np.zeros(len(change))
    means = [dates.mean(axis=0, dtype=np.float64) for dates in (one, other) if len(one)]
    shift = float(np.linalg.norm(means[1] - means[0])) if means else 0.0
    return ChangeScores(change, deviation, similarity, shift)


def _spread(beside: Floats) -> float:
    """The standard deviation of values around their median, by robust estimates.

    Where most values are equal, as those of unchanged files are, by the mean distance (Iglewicz and
    Hoaglin, How to Detect and Handle Outliers, 1993).
    """
    distances = np.abs(beside)
    spread = _MAD * float(np.median(distances))
    return spread if spread > _LEAST_SPREAD else _MEAN_DISTANCE * float(distances.mean())


def _change(one: Vectors, other: Vectors, seed: int) -> Floats:
    """(M,) the mean length of the unexplained parts, forward and backward."""
    change = _mean_shift(one, other)
    if len(one) < LEAST_PAIRS:
        return change
    folds = np.random.default_rng(seed).permutation(len(one)) % _FOLDS
    for _ in range(_ROUNDS):
        trusted = change <= np.quantile(change, _TRUSTED)
        forward = _unexplained(one, other, trusted, folds)
        change = (forward + _unexplained(other, one, trusted, folds)) / 2
    return change


def _mean_shift(one: Vectors, other: Vectors) -> Floats:
    """(M,) the length of each difference beside the median difference."""
    difference = other - one
    beside = difference - np.median(difference, axis=0)
    return np.asarray(np.linalg.norm(beside, axis=1), np.float64)


def _unexplained(
    one: Vectors, other: Vectors, trusted: NDArray[np.bool_], folds: NDArray[np.int64]
) -> Floats:
    """(M,) the lengths of other − prediction from one, with the best penalty."""
    best, least = np.empty(0), np.inf
    lengths = {penalty: np.empty(len(one)) for penalty in _PENALTIES}
    for fold in range(_FOLDS):
        fit, held = np.flatnonzero(trusted & (folds != fold)), np.flatnonzero(folds == fold)
        fit = fit[:: -(-len(fit) // _MOST_FITTED)]
        for penalty, predicted in _predictions(one, other, fit, held):
            lengths[penalty][held] = np.linalg.norm(other[held] - predicted, axis=1)
    for found in lengths.values():
        loss = float((found[trusted] ** 2).mean())
        if loss < least:
            best, least = found, loss
    return best


def _predictions(
    one: Vectors, other: Vectors, fit: NDArray[np.int64], held: NDArray[np.int64]
) -> Iterator[tuple[float, Floats]]:
    """The predictions of the held rows from a fit to others, for each penalty.

    The map is the identity plus what ridge regression adds to it, so that a large penalty leaves
    the mean shift.
    """
    start, moved = one[fit].astype(np.float64), (other[fit] - one[fit]).astype(np.float64)
    middle, target = start.mean(axis=0), moved.mean(axis=0)
    start, moved = start - middle, moved - target
    values, axes = np.linalg.eigh(start.T @ start)
    values = np.maximum(values, 0)
    projected = axes.T @ (start.T @ moved)
    inputs, base = (one[held] - middle) @ axes, one[held] + target
    scale = max(float(values.mean()), _LEAST_SCALE)
    for penalty in _PENALTIES:
        yield penalty, base + (inputs / (values + penalty * scale)) @ projected
