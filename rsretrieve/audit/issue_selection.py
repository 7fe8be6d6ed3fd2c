"""Choose which labels are flagged as issues, and which are fixed, from their probabilities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsretrieve.errors import InvalidArgument

_EVEN_ODDS = 0.5
_LEAST_COUNT = 1e-9
_LEAST_PROBABLE = 1 / 3
FIX_PRECISION = 0.95
"""Share of the fixed labels that is expected to be right, unless the user chooses another."""
_TOO_CERTAIN_BY = 1.75
_CONCENTRATION_COUNTS = 1.5
_TIMES_AS_ALLOWED = 3.0
"""A tile that looks like another class in every way is taken for a wrong label with certainty.

The log odds of a suggestion are therefore lowered before labels are fixed: by 1.5 times the
concentration of the noise on this pair of classes, and then divided by 1.75. No suggestion is
taken whose chance of being wrong is three times as high as the user allows. These numbers were
measured: see "Fixed labels" in benchmarks/RESULTS.md.
"""


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
        probability: (N,) float64, probability that the label is wrong. There may be none: a
            person may have decided on every label.
        margin: (N,) float64, falls as the probability rises; it also orders labels whose
            probabilities are rounded to 0 or 1.
        selection: what the user asked for.
        is_calibrated: whether sums of the probabilities are expected counts.

    Returns:
        (N,) bool, the flagged labels.
    """
    if not len(probability):
        return np.zeros(0, bool)
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


def check_fix_precision(precision: float) -> None:
    """Raise `InvalidArgument` for a precision that is not above 0 and at most 1."""
    if not 0 < precision <= 1:
        raise InvalidArgument(
            f"the precision of fixed labels must be above 0 and at most 1, not {precision}"
        )


def noise_concentration(
    expected_counts: NDArray[np.float64],
    given: NDArray[np.int64],
    suggested: NDArray[np.int64],
) -> NDArray[np.float64]:
    """How much likelier a label becomes another one than if the noise were spread over all classes.

    Where two classes are alike, right labels of untypical tiles and wrong labels cannot be told
    apart: both make the noise between these classes seem high.

    Args:
        expected_counts: (K, K) float64, expected tiles, row given label, column true class.
        given: (N,) int64 given labels.
        suggested: (N,) int64 classes that are suggested instead.

    Returns:
        (N,) float64, from 0: logarithm of the odds T_{s,g} / T_{g,g} of a tile of the suggested
        class s to be labelled g, less that of uniform noise of the same rate.
    """
    classes, total = len(expected_counts), max(float(expected_counts.sum()), _LEAST_COUNT)
    shares = expected_counts / np.maximum(expected_counts.sum(axis=0), _LEAST_COUNT)
    rate = np.clip(1 - float(np.trace(expected_counts)) / total, 1e-3, 0.95)
    spread = np.log(rate / (max(classes, 2) - 1) / (1 - rate))
    odds = np.log(np.maximum(shares[given, suggested], 1e-6))
    odds -= np.log(np.maximum(shares[given, given], 1e-6))
    return np.asarray(np.maximum(odds - spread, 0.0))


def select_fixes(
    probability: NDArray[np.float64],
    candidates: NDArray[np.bool_],
    precision: float,
    concentration: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Choose the suggestions that are applied without review, the most probable first.

    As many as are expected to be right to a given share. The expectation does not take the
    probabilities at their word: their log odds are less the concentration of the noise, and
    divided; see `noise_concentration`.

    Args:
        probability: (N,) float64, probability that the suggestion is right.
        candidates: (N,) bool, the suggestions that may be applied.
        precision: expected share of right suggestions among those chosen, 0…1.
        concentration: (N,) float64, of the noise between the given and the suggested class.

    Returns:
        (N,) bool, the chosen suggestions.
    """
    p = np.clip(probability, 1e-12, 1 - 1e-12)
    odds = np.log(p / (1 - p)) - _CONCENTRATION_COUNTS * concentration
    cautious = 1 / (1 + np.exp(-odds / _TOO_CERTAIN_BY))
    order = np.flatnonzero(candidates & (cautious >= 1 - _TIMES_AS_ALLOWED * (1 - precision)))
    order = order[np.argsort(-cautious[order], kind="stable")]
    reached = np.cumsum(cautious[order]) >= precision * np.arange(1, len(order) + 1)
    chosen = np.zeros(len(p), bool)
    chosen[order[: int(np.flatnonzero(reached)[-1]) + 1 if reached.any() else 0]] = True
    return chosen
