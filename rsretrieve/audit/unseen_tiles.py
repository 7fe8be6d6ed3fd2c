"""Tiles that the model was not trained on: another sample, whose prototypes are evidence.

The labels of new tiles may be wrong more often than those of the training, or by other classes.
Where both are many, each part gets a noise matrix of its own: with one for both, few wrong labels
of one part are explained as what its classifiers do not know.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from rsretrieve._core.text import some_of
from rsretrieve.audit.classifiers_of_models import FEWEST_PER_CLASS, are_enough
from rsretrieve.audit.evidence.evidence import Evidence
from rsretrieve.audit.noise_rate import RateRange
from rsretrieve.audit.posterior import LabelPosterior
from rsretrieve.data.run_context import RunContext

_PROBABLY_WRONG, _FEWEST_NEAR, _FEW_DOUBTFUL = 0.5, 5, 0.1

PARTS = ("that the model was trained on", "that the model was not trained on")
"""What the parts are, in the order of `parts_of`."""


def parts_of(evidence: Evidence) -> list[NDArray[np.int64]]:
    """The rows of the tiles that the models were trained on, and of the others.

    All rows together if one of the parts is small, or if the models were trained on different
    tiles.
    """
    whole, seen = np.arange(len(evidence.tiles)), evidence.each[0].seen
    if any(not np.array_equal(each.seen, seen) for each in evidence.each[1:]):
        return [whole]
    if not all(are_enough(part, len(evidence.class_names)) for part in (seen, ~seen)):
        return [whole]
    return [whole[seen], whole[~seen]]


def joined(
    posteriors: Sequence[LabelPosterior], parts: Sequence[NDArray[np.int64]]
) -> LabelPosterior:
    """The posterior of all labels from those of its parts.

    Args:
        posteriors: of the parts, of the same classes.
        parts: the rows of each.
    """
    back = np.argsort(np.concatenate(parts))

    def rows(name: str) -> NDArray[np.float64]:
        return np.concatenate([getattr(each, name) for each in posteriors])[back]

    shares = [len(part) / len(back) for part in parts]
    ranges = [each.rates for each in posteriors]
    return LabelPosterior(
        margin=rows("margin"),
        ranked=rows("ranked").astype(np.int64),
        log_probability=rows("log_probability"),
        independent=rows("independent"),
        expected_counts=np.sum([each.expected_counts for each in posteriors], axis=0),
        rates=RateRange(
            sum(share * each.low for share, each in zip(shares, ranges)),
            sum(share * each.high for share, each in zip(shares, ranges)),
            all(each.can_be_told for each in ranges),
            all(each.is_informative for each in ranges),
        ),
        is_calibrated=True,
    )


def rates_by_prototypes(
    posterior: LabelPosterior,
    labels: NDArray[np.int64],
    nearest: NDArray[np.int64],
    class_names: Sequence[str],
    context: RunContext,
) -> RateRange:
    """The rates, wider or undetermined where prototypes of a model that saw no label contradict.

    They do where most tiles of a class lie nearest to the prototype of one other class, or where
    most tiles that lie nearest to the prototype of a class are not labelled so, and where most of
    these labels count as right. Then either the labels are wrong, or the model does not fit the
    tiles: the rate may be higher by their share.

    Args:
        posterior: of N labels.
        labels: (N,) int64 class numbers of the given labels.
        nearest: (N,) int64 the classes of the nearest prototypes.
        class_names: of the numbers.
        context: receives a notice.
    """
    rates, wrong = posterior.rates, posterior.issue_probability
    is_right = wrong < _PROBABLY_WRONG
    by_label, by_place = (
        _contradicted(groups, others, is_right, least)
        for groups, others, least in (
            (labels, nearest, FEWEST_PER_CLASS),
            (nearest, labels, _FEWEST_NEAR),
        )
    )
    doubtful = by_label | by_place
    if not doubtful.any():
        return rates
    share = float(doubtful.mean())
    named = sorted(class_names[number] for number in np.unique(nearest[doubtful]))
    context.notice(
        f"tiles that lie nearest to the prototype of a class they are not labelled as: "
        f"{int(doubtful.sum())} ({some_of(named)}); either these labels are wrong, or the model "
        "does not fit these tiles"
    )
    rates = rates.including(min(1.0, float(wrong.mean()) + share), len(wrong))
    is_told = rates.can_be_told and not by_label.any() and share <= _FEW_DOUBTFUL
    return replace(rates, can_be_told=is_told)


def _contradicted(
    groups: NDArray[np.int64], others: NDArray[np.int64], is_right: NDArray[np.bool_], least: int
) -> NDArray[np.bool_]:
    """(N,) bool, tiles of groups of which most have one other class and count as right.

    Args:
        groups: (N,) int64 class numbers by which the tiles are grouped.
        others: (N,) int64 class numbers that are compared with them.
        is_right: (N,) bool, the label counts as right.
        least: smaller groups are not looked at.
    """
    found = np.zeros(len(groups), bool)
    for number in np.unique(groups):
        rows = groups == number
        other = int(np.bincount(others[rows]).argmax())
        there = rows & (others == other)
        is_most = other != number and 2 * there.sum() > rows.sum() >= least
        if is_most and 2 * is_right[there].sum() > there.sum():
            found |= there
    return found
