"""Groups of tiles that are distinct, one of each class.

Labels with noise and labels of classes that overlap can be equally probable: if every tile of a
group has another label with a probability of 0.2, either a fifth of the labels is wrong, or the
classes of these tiles are uncertain. The vectors tell which. Where classes overlap, there are
tiles between the groups, and most of the labels that differ from the group are theirs. If there are
none, the class of every tile is that of its group.

The groups are the most probable classes of a fit that is uncertain of many tiles. They are distinct
if the classifiers, fitted to the groups of the other tiles, are certain of the group of almost
every tile. A class without a group of its own cannot be told from others by these vectors. Then
nothing is concluded.

A model that was trained on the classes brings the tiles of each together, also tiles that it takes
for another class. Groups by its prototypes are therefore always apart. They count as distinct only
if a fit to the labels is certain of almost every tile, too.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rsretrieve.audit.estimators.candidates import Scores, log_softmax
from rsretrieve.audit.estimators.em_state import EMState, uniform_noise
from rsretrieve.audit.estimators.starts.fits import (
    UPDATES,
    Fit,
    Refit,
    certain_share,
    most_probable,
)

DISTINCT = 0.97
"""Share of tiles whose group is certain, from which on groups are distinct."""

CERTAIN_SHARE = 0.7
"""Share of tiles whose class is certain, below which noise may be overlap of the classes."""

_ALMOST_DISTINCT, _ROUNDS, _NO_NOISE, _DIFFERS_SE = 0.8, 2, 0.01, 3.0


def by_distinct_groups(fit: Fit, refit: Refit) -> Fit:
    """The fit with the class of each tile that its group has; the same fit without such groups.

    Args:
        fit: whose most probable classes are the groups.
        refit: the classifiers.
    """
    state, candidates = fit.state, fit.state.candidates
    log_p = refit(state)()
    before = certain_share(log_p, candidates)
    if CERTAIN_SHARE <= before < DISTINCT or _differs_at_borders(log_p, state):
        return fit
    for _ in range(_ROUNDS):
        groups = most_probable(log_p, candidates)
        if not _is_one_of_each_class(groups, state):
            return fit
        if before >= DISTINCT:
            return Fit(state, fit.other_rates, is_distinct=True)
        start = uniform_noise(_NO_NOISE, state.classes)
        log_p = refit(EMState(groups, start, candidates=candidates))()
        if certain_share(log_p, candidates) < _ALMOST_DISTINCT:
            return fit
    if certain_share(log_p, candidates) < DISTINCT:
        return fit
    found = EMState(
        state.labels, state.transitions, candidates=candidates, decisions=state.decisions
    )
    for _ in range(UPDATES):
        found.update(log_p, by_all_tiles=True)
    return Fit(found, (found.noise_rate_by_transitions,), is_distinct=True)


def is_certain(fits: Sequence[Fit], refit: Refit) -> bool:
    """Whether one of some fits to the labels is certain of the class of almost every tile.

    Args:
        fits: to the same labels.
        refit: the classifiers.
    """
    shares = (certain_share(refit(fit.state)(), fit.state.candidates) for fit in fits)
    return any(share >= DISTINCT for share in shares)


def with_groups(fits: Sequence[Fit]) -> Sequence[Fit]:
    """Those of some fits that have distinct groups; all of them if none has."""
    return [fit for fit in fits if fit.is_distinct] or fits


def _differs_at_borders(log_p: Scores, state: EMState) -> bool:
    """Whether more labels differ from the group in the less certain half of each group."""
    groups = most_probable(log_p, state.candidates)
    differs = groups != state.labels
    certainty = np.sort(log_softmax(log_p, state.candidates.log_sizes), axis=1)[:, -2]
    order = np.lexsort((certainty, groups))
    sizes = np.bincount(groups, minlength=state.classes)
    rank = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    is_border = np.empty(len(order), bool)
    is_border[order] = 2 * rank >= sizes[groups[order]]
    there, elsewhere = differs[is_border].mean(), differs[~is_border].mean()
    rate = float(differs.mean())
    return bool(there - elsewhere > _DIFFERS_SE * 2 * np.sqrt(rate * (1 - rate) / len(groups)))


def _is_one_of_each_class(groups: NDArray[np.int64], state: EMState) -> bool:
    """Whether no label is more frequent in a group than its own, and in no other group."""
    counts = np.zeros((state.classes, state.classes))
    np.add.at(counts, (groups, state.labels), 1.0)
    own = np.diag(counts)
    return bool(((own >= counts.max(axis=0)) & (own >= counts.max(axis=1))).all())
