"""From probabilities to decisions: which labels are called issues."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsretrieve.errors import InvalidArgument

_AS_LIKELY_AS_NOT = 0.5
_LEAST_LIKELY = 1 / 3


@dataclass(frozen=True)
class Choice:
    """What the user asks of the issues; at most one of the two.

    Attributes:
        expected_precision: the share of them that is truly wrong, 0…1, as expected.
        budget: the most that there may be.
    """

    expected_precision: float | None = None
    budget: int | None = None

    def __post_init__(self) -> None:
        if self.expected_precision is not None and self.budget is not None:
            raise InvalidArgument("a budget and an expected precision do not go together")
        if self.expected_precision is not None and not 0 < self.expected_precision <= 1:
            raise InvalidArgument(
                f"an expected precision lies in 0…1, not {self.expected_precision}"
            )
        if self.budget is not None and self.budget < 1:
            raise InvalidArgument(f"a budget is at least 1 tile, not {self.budget}")


def issues_among(
    probability: NDArray[np.float64],
    margin: NDArray[np.float64],
    choice: Choice,
    *,
    is_calibrated: bool,
) -> NDArray[np.bool_]:
    """Choose issues, the worst labels first.

    By default as many as make the expected F1 highest (n issues whose probabilities sum to
    s, of N labels whose probabilities sum to S, have the expected F1 2s / (n + S): Lipton et
    al. 2014), but none that is less than a third likely;
    where probabilities are not calibrated, those likelier wrong than right.

    Args:
        probability: (N,) that the label is wrong.
        margin: (N,) falls as that rises, and tells apart what is all but certain.
        choice: what the user asks.
        is_calibrated: whether the probabilities can be summed up.

    Returns:
        (N,) bool.
    """
    order = np.argsort(margin, kind="stable")
    worst = probability[order]
    expected, counts = np.cumsum(worst), np.arange(1, len(worst) + 1)
    if choice.budget is not None:
        chosen = choice.budget
    elif choice.expected_precision is not None:
        reached = np.flatnonzero(expected >= choice.expected_precision * counts)
        chosen = int(reached[-1]) + 1 if len(reached) else 0
    elif is_calibrated:
        best = int(np.argmax(2 * expected / (counts + expected[-1]))) + 1
        chosen = min(best, int((worst > _LEAST_LIKELY).sum()))
    else:
        chosen = int((worst > _AS_LIKELY_AS_NOT).sum())
    flagged = np.zeros(len(order), bool)
    flagged[order[:chosen]] = True
    return flagged
