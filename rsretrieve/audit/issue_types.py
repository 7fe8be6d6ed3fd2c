"""What kind of issue a label is: five that ask for five different things of a person."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from rsretrieve.audit.estimators.prototype_scores import LabelScores
from rsretrieve.audit.findings import Verdicts

SMALLEST_CLASS = 5
"""A class of fewer tiles is too small for its prototype to judge, or to accuse, anybody."""

_FENCE = 3.0  # interquartile ranges beyond the third quartile: Tukey's "far out"
_FEWEST_FOR_A_FENCE = 20
_FAR_SHARE = 0.1


class IssueKind(StrEnum):
    """The kinds, in the order in which they are told apart: the first that fits is it."""

    DUPLICATE = "duplicate"  # the same, or nearly the same, pixels have another label elsewhere
    RARE_CLASS = "rare_class"  # thought wrong, but a class concerned is too small to judge
    OFF_TOPIC = "off_topic"  # no class is near
    AMBIGUOUS = "ambiguous"  # thought wrong, and two classes are about as likely
    WRONG_LABEL = "wrong_label"  # thought wrong, and one other class is likely


KINDS = tuple(IssueKind)
NO_KIND = -1


@dataclass(frozen=True)
class KindRules:
    """What the kinds hang on, beside scores and verdicts.

    Attributes:
        labels: (N,) int64, given class numbers.
        class_sizes: (K,) int64, how many tiles stand behind each class's prototype.
        has_twin: (N,) bool, the tile has a twin of another label.
    """

    labels: NDArray[np.int64]
    class_sizes: NDArray[np.int64]
    has_twin: NDArray[np.bool_]


def kinds_of(
    scores: LabelScores, verdicts: Verdicts, rules: KindRules
) -> tuple[NDArray[np.int8], NDArray[np.bool_]]:
    """Tell the kinds apart, and which suggestions can be taken unseen.

    These are of labels thought wrong, where one other class is clearly likelier than any, no
    class concerned is too small, and the tile is of some class at all; twin or none.

    Returns:
        (N,) positions in `KINDS`, or `NO_KIND` for labels with which nothing seems wrong; and
        (N,) bool, which suggestions can be taken unseen.
    """
    flagged, rare = verdicts.flagged, rules.class_sizes < SMALLEST_CLASS
    fits = {
        IssueKind.DUPLICATE: rules.has_twin,
        IssueKind.RARE_CLASS: flagged & (rare[rules.labels] | rare[verdicts.predicted]),
        IssueKind.OFF_TOPIC: off_topic(scores, len(rules.class_sizes)),
        IssueKind.AMBIGUOUS: flagged & ~verdicts.is_clear,
        IssueKind.WRONG_LABEL: flagged,
    }
    kinds = np.full(len(flagged), NO_KIND, np.int8)
    for kind in reversed(KINDS):
        kinds[fits[kind]] = KINDS.index(kind)
    doubts = (IssueKind.RARE_CLASS, IssueKind.OFF_TOPIC, IssueKind.AMBIGUOUS)
    is_doubtful = np.logical_or.reduce([fits[kind] for kind in doubts])
    return kinds, np.asarray(flagged & ~is_doubtful)


def off_topic(scores: LabelScores, classes: int) -> NDArray[np.bool_]:
    """Which tiles lie far out of even the nearest class: (N,).

    By the angle to the nearest prototype, held against the angles of the tiles that have that
    class both given and predicted: beyond Q3 + 3·(Q3 − Q1), Tukey's outer fence. Classes
    of fewer than 20 such tiles share one fence. And by what is far in this embedding: no nearer
    to the nearest class than one tile in ten is to its second nearest, since tight classes
    have fences that good tiles climb over.
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
