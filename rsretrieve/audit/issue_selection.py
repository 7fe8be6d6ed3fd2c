"""Choose which labels are flagged as issues, from their probabilities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsretrieve.errors import InvalidArgument

_EVEN_ODDS = 0.5
_LEAST_PROBABLE = 1 / 3


@dataclass(frozen=True)
class IssueSelection:
    """How many labels to flag; at most one of the two may be set.

    Attributes:
        expected_precision: flag as many labels as are expected to be wrong to this share, 0…1.
        budget: flag exactly this many labels, or all if there are fewer.

    Raises:
        InvalidArgument: both are set, or a value is out of range.
    """

    expected_precision: float | None = None
    budget: int | None = None

    def __post_init__(self) -> None:
        if self.expected_precision is not None and self.budget is not None:
            raise InvalidArgument(
                "a budget and an expected precision do not go together: give one of them"
            )
        if self.expected_precision is not None and not 0 < self.expected_precision <= 1:
            raise InvalidArgument(
                f"the expected precision must be above 0 and at most 1, not "
                f"{self.expected_precision}"
            )
        if self.budget is not None and self.budget < 1:
            raise InvalidArgument(f"the budget must be at least 1 tile, not {self.budget}")


def select_issues(
    probability: NDArray[np.float64],
    margin: NDArray[np.float64],
    selection: IssueSelection,
    *,
    is_calibrated: bool,
) -> NDArray[np.bool_]:
    """Flag labels, the worst first.

    By default as many as give the highest expected F1. If n flagged labels have probabilities
    that sum to s, and all N labels have probabilities that sum to S, the expected F1 is about
    2s / (n + S) (Lipton et al., ECML 2014). No label with a probability below
    one third is flagged. If the probabilities are not calibrated, labels with a probability
    above one half are flagged.

    Args:
        probability: (N,) float64, probability that the label is wrong.
        margin: (N,) float64, falls as the probability rises; it also orders labels whose
            probabilities are rounded to 0 or 1.
        selection: what the user asked for.
        is_calibrated: whether sums of the probabilities are expected counts.

    Returns:
        (N,) bool, the flagged labels.
    """
    order = np.argsort(margin, kind="stable")
    worst = probability[order]
    expected, counts = np.cumsum(worst), np.arange(1, len(worst) + 1)
    if selection.budget is not None:
        count = selection.budget
    elif selection.expected_precision is not None:
        reached = np.flatnonzero(expected >= selection.expected_precision * counts)
        count = int(reached[-1]) + 1 if len(reached) else 0
    elif is_calibrated:
        best = int(np.argmax(2 * expected / (counts + expected[-1]))) + 1
        count = min(best, int((worst > _LEAST_PROBABLE).sum()))
    else:
        count = int((worst > _EVEN_ODDS).sum())
    flagged = np.zeros(len(order), bool)
    flagged[order[:count]] = True
    return flagged
