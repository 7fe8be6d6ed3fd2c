"""The factor by which the scores of a classifier become probabilities of classes."""

from __future__ import annotations

import math

from torch import Tensor

LEAST = 1e-12
"""Smallest probability."""

_LEAST_FACTOR, _LARGEST_FACTOR, _TRIED, _ROUNDS = 0.02, 200.0, 11, 3
_SAMPLE = 2_000


def _log_likelihood(log_p: Tensor, likelihood: Tensor) -> float:
    return float((log_p.exp() * likelihood).sum(dim=1).clamp_min(LEAST).log().sum())


def best_factor(scores: Tensor, likelihood: Tensor) -> float:
    """The factor of scores under which the given labels are most likely.

    Args:
        scores: (N, K); of more than 2,000 rows every n-th is used.
        likelihood: (N, K) T_{t,y_i}.

    Returns:
        A factor in 0.02…200, to about 2 %.
    """
    step = max(1, len(scores) // _SAMPLE)
    some, of_some = scores[::step], likelihood[::step]
    low, high = math.log(_LEAST_FACTOR), math.log(_LARGEST_FACTOR)
    best = 0.0
    for _ in range(_ROUNDS):
        tried = [low + (high - low) * i / (_TRIED - 1) for i in range(_TRIED)]
        found = [
            _log_likelihood((some * math.exp(each)).log_softmax(dim=1), of_some) for each in tried
        ]
        at = max(range(_TRIED), key=found.__getitem__)
        best, low, high = tried[at], tried[max(at - 1, 0)], tried[min(at + 1, _TRIED - 1)]
    return math.exp(best)


def calibrated(scores: Tensor, likelihood: Tensor, known: Tensor | None = None) -> Tensor:
    """(N, K) scores → (N, K) log P with `best_factor`, that of the known labels if not all are."""
    rows: slice | Tensor = slice(None) if known is None else known
    log_p = (scores * best_factor(scores[rows], likelihood[rows])).log_softmax(dim=1)
    return log_p.clamp_min(math.log(LEAST))
