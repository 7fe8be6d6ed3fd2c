"""Types of issue. A reviewer handles each of the five in another way."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from rsretrieve.audit.estimators.prototype_scores import LabelScores
from rsretrieve.audit.findings import LabelFindings

SMALLEST_CLASS = 5
"""A class with fewer tiles is too small to estimate a prototype from."""

_FENCE = 3.0  # interquartile ranges beyond the third quartile: Tukey's outer fence
_FEWEST_FOR_A_FENCE = 20
_FAR_SHARE = 0.1


class IssueType(StrEnum):
    """The types, by priority: a tile gets the first that applies."""

    DUPLICATE = "duplicate"  # a near-duplicate has another label
    RARE_CLASS = "rare_class"  # one of the two classes is too small to tell
    OFF_TOPIC = "off_topic"  # far from every class
    AMBIGUOUS = "ambiguous"  # flagged, and two classes are about equally probable
    WRONG_LABEL = "wrong_label"  # flagged, and one other class is probable


ISSUE_TYPES = tuple(IssueType)
NO_ISSUE = -1


@dataclass(frozen=True)
class LabelContext:
    """What the types depend on besides scores and findings.

    Attributes:
        labels: (N,) int64 class numbers of the given labels.
        class_sizes: (K,) int64, number of tiles behind each class's prototype.
        has_duplicate: (N,) bool, a near-duplicate has another label.
        is_untold: (N,) bool, no other tile has the label; None if there are no such labels.
    """

    labels: NDArray[np.int64]
    class_sizes: NDArray[np.int64]
    has_duplicate: NDArray[np.bool_]
    is_untold: NDArray[np.bool_] | None = None


def classify_issues(
    scores: LabelScores, findings: LabelFindings, context: LabelContext
) -> tuple[NDArray[np.int8], NDArray[np.bool_]]:
    """Assign a type to every issue, and find the suggestions that need no review.

    A suggestion needs no review if the label is flagged, one other class is clearly more
    probable than any, both classes are large enough, and the tile is near some class. A
    near-duplicate makes no difference.

    Args:
        scores: (N labels) by the prototypes alone.
        findings: of the N labels.
        context: labels, class sizes and near-duplicates.

    Returns:
        (N,) int8 positions in `ISSUE_TYPES`, or `NO_ISSUE`; and (N,) bool, the suggestion needs
        no review.
    """
    flagged, rare = findings.is_label_issue, context.class_sizes < SMALLEST_CLASS
    too_small = rare[context.labels] | rare[findings.predicted]
    untold = False if context.is_untold is None else context.is_untold
    applies = {
        IssueType.DUPLICATE: context.has_duplicate,
        IssueType.RARE_CLASS: untold | (flagged & too_small),
        IssueType.OFF_TOPIC: is_off_topic(scores, len(context.class_sizes)),
        IssueType.AMBIGUOUS: flagged & ~findings.is_clear,
        IssueType.WRONG_LABEL: flagged,
    }
    types = np.full(len(flagged), NO_ISSUE, np.int8)
    for issue_type in reversed(ISSUE_TYPES):
        types[applies[issue_type]] = ISSUE_TYPES.index(issue_type)
    doubts = (IssueType.RARE_CLASS, IssueType.OFF_TOPIC, IssueType.AMBIGUOUS)
    is_doubtful = np.logical_or.reduce([applies[issue_type] for issue_type in doubts])
    return types, np.asarray(flagged & ~is_doubtful)


def is_off_topic(scores: LabelScores, classes: int) -> NDArray[np.bool_]:
    """Find the tiles that are far even from their nearest class.

    Two conditions must hold. First, the angle to the nearest prototype lies beyond
    Q3 + 3·(Q3 − Q1), the outer fence of Tukey (Exploratory Data Analysis, 1977). The quartiles
    are those of the tiles that have this class both given and predicted; classes with fewer than
    20 such tiles share one fence. Second, the tile is less similar to its nearest class than the
    most similar tenth of all tiles are to their second nearest. Without this, tiles just outside
    a very compact class would count.

    Args:
        scores: of N labels.
        classes: K.

    Returns:
        (N,) bool.
    """
    angles = np.arccos(np.clip(scores.predicted_similarity, -1, 1).astype(np.float64))
    own = np.flatnonzero(~scores.is_issue)
    if len(own) < _FEWEST_FOR_A_FENCE:
        return np.zeros(len(angles), bool)
    own = own[np.argsort(scores.predicted[own], kind="stable")]
    fences = np.full(classes, _outer_fence(angles[own]))
    ends = np.cumsum(np.bincount(scores.predicted[own], minlength=classes))
    for number, members in enumerate(np.split(own, ends[:-1])):
        if len(members) >= _FEWEST_FOR_A_FENCE:
            fences[number] = _outer_fence(angles[members])
    far = np.quantile(scores.runner_up_similarity, 1 - _FAR_SHARE)
    return np.asarray((angles > fences[scores.predicted]) & (scores.predicted_similarity < far))


def _outer_fence(angles: NDArray[np.float64]) -> float:
    first, third = np.percentile(angles, (25, 75))
    return float(third + _FENCE * (third - first))
