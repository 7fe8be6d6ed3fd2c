"""How much noise of a fit may be overlap of the classes, and how much noise overlap may hide.

Classes that overlap look like noise: a tile near the border has a label that its neighbours do not
have. Where many tiles are uncertain, the fit is therefore compared with right labels of classes
that overlap. Unless it explains the held-out labels better, by more than three standard errors,
the range begins at 0; if it is not even better by two, and more than a tenth of the labels would be
wrong, the rate cannot be determined.

A part of the noise may be overlap, too. Where many tiles are uncertain, or many labels are wrong,
0.9, 0.75, 0.5 and 0.25 of the noise are therefore tried as well. The range begins at the lowest
that explains the labels. The estimate is the most likely part, if it explains the labels better
than the whole by more than a standard error.

Noise may look like overlap, too: labels that are wrong by the next of several classes in a row look
like wider classes. Where many tiles are uncertain, the range therefore ends at the share of labels
that are not the most probable class. If a tile of class t is most often labelled t, the noise rate
is not higher: no classifier predicts labels better than 1 − Σ_t π_t (1 − T_tt) allows. If no noise
explains the labels as well, and this share is above a quarter, the rate cannot be determined; nor
can it if the range is wider than a half.

Tiles that a classifier takes for another class with certainty count as mislabelled, mostly for
classes that are alike. Wrong labels of any class are as frequent among classes that are not alike.
If wrong labels may be of any class, the noise rate is therefore counted again on the half of the
pairs of classes that are the least alike. It is the estimate if it is lower.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from rsretrieve.audit.estimators.candidates import Scores, Transitions, softmax
from rsretrieve.audit.estimators.em_state import EMState, uniform_noise
from rsretrieve.audit.estimators.starts.fits import (
    Fit,
    HeldOut,
    Refit,
    certain_share,
    held_out,
    most_probable,
)
from rsretrieve.audit.estimators.starts.groups import CERTAIN_SHARE
from rsretrieve.audit.noise_rate import RateRange

EXPLAINS_SE, INFORMS_SE = 2.0, 3.0
DISAGREE = 0.1
_NO_NOISE, _NEARLY_ALL = 0.01, 0.9
_SHARES = (1.0, 0.9, 0.75, 0.5, 0.25)
_LOW_NOISE, _HIGH_NOISE, _SHARE_ITERATIONS, _BETTER_SE = 0.3, 0.5, 2, 1.0
_FAR, _WIDEST, _ERROR_OF_UNCERTAIN = 0.25, 0.5, 0.1
_DIRECTED, _FEWEST_CLASSES, _LEAST_OF_RATE, _MOST_OF_RATE = 0.2, 7, 0.6, 1.5


def range_with_overlap(
    fit: Fit, refit: Refit, found: RateRange, advance: Callable[[int], None]
) -> RateRange:
    """The range of noise rates, with what overlap of the classes may explain and hide.

    Args:
        fit: the best one.
        refit: the classifiers.
        found: the rates of all fits that explain the labels.
        advance: called with N after each iteration.
    """
    log_p, agree = refit(fit.state)(), found.can_be_told
    certain = certain_share(log_p, fit.state.candidates)
    overlaps = certain < CERTAIN_SHARE
    is_high = fit.rate > _HIGH_NOISE
    if (
        found.low > 0
        and not is_high
        and (overlaps or (certain < _NEARLY_ALL and fit.rate < _LOW_NOISE))
    ):
        found = _down_to_overlap(fit, refit, found, advance)
    if found.low > 0 and (overlaps or fit.rate > _LOW_NOISE):
        found = _down_to_part(fit, refit, found, advance)
        # Where groups are distinct, the noise is no overlap of classes.
        found = replace(found, part=1.0 if fit.is_distinct else found.part)
    if overlaps:
        found = _up_to_disagreement(fit, log_p, found, certain)
    if certain < _NEARLY_ALL:
        found = _by_classes_unlike(fit, log_p, found, agree=agree)
    return replace(found, can_be_told=found.can_be_told and found.high - found.low <= _WIDEST)


def directedness(transitions: Transitions) -> float:
    """0 if a wrong label may be of any class with equal probability, 1 if of one class alone."""
    classes = len(transitions)
    if classes <= 2:
        return 0.0
    wrong = transitions * (1 - np.eye(classes))
    top = float(np.mean(wrong.max(axis=1) / np.maximum(wrong.sum(axis=1), 1e-12)))
    return (top - 1 / (classes - 1)) / (1 - 1 / (classes - 1))


def may_be_of_any_class(transitions: Transitions) -> bool:
    """Whether wrong labels are not mostly of certain classes."""
    return directedness(transitions) <= _DIRECTED


def _down_to_overlap(
    fit: Fit, refit: Refit, found: RateRange, advance: Callable[[int], None]
) -> RateRange:
    """The range, from 0 on if right labels of classes that overlap explain the labels as well."""
    state = fit.state
    noise = uniform_noise(_NO_NOISE, state.classes)
    clean = EMState(state.labels, noise, candidates=state.candidates, decisions=state.decisions)
    with_noise = held_out(fit, refit, advance)
    better_by = with_noise.better_by(held_out(Fit(clean), refit, advance, iterations=0))
    if better_by > INFORMS_SE:
        return found
    if better_by <= 0:
        return replace(found, low=0.0, part=0.0)
    can_be_told = better_by > EXPLAINS_SE or fit.rate <= DISAGREE
    return replace(found, low=0.0, can_be_told=found.can_be_told and can_be_told)


def _down_to_part(
    fit: Fit, refit: Refit, found: RateRange, advance: Callable[[int], None]
) -> RateRange:
    """The range, down to the smallest part of the noise that explains the labels as well."""
    best = whole = _prediction_of_part(fit, 1.0, refit, advance)
    means = [whole.mean]
    for share in _SHARES[1:]:
        each = _prediction_of_part(fit, share, refit, advance)
        best = each if each.mean > best.mean else best
        means.append(each.mean)
        if best.better_by(each) > EXPLAINS_SE:
            break
        found = found.including(share * fit.rate, fit.state.given.open_count)
    is_better = best.better_by(whole) > _BETTER_SE
    part = _most_likely_part(means) if is_better else 1.0
    found = found.including(part * fit.rate, fit.state.given.open_count)
    return replace(found, part=part)


def _prediction_of_part(
    fit: Fit, share: float, refit: Refit, advance: Callable[[int], None]
) -> HeldOut:
    """How well the labels are predicted with a share of the noise of a fit."""
    state = fit.state
    less = np.maximum((1 - share) * np.eye(state.classes) + share * state.transitions, 1e-4)
    less /= less.sum(axis=1, keepdims=True)
    start = EMState(state.labels, less, candidates=state.candidates, decisions=state.decisions)
    return held_out(Fit(start), refit, advance, _SHARE_ITERATIONS, keeps_transitions=True)


def _most_likely_part(means: Sequence[float]) -> float:
    """The share with the highest likelihood, by a parabola through the best and its neighbours."""
    middle = min(max(int(np.argmax(means)), 1), len(means) - 2)
    if middle < 1:
        return _SHARES[int(np.argmax(means))]
    near = slice(middle - 1, middle + 2)
    curve, slope, _ = np.polyfit(_SHARES[near], means[near], 2)
    peak = -slope / (2 * curve) if curve < 0 else _SHARES[int(np.argmax(means))]
    return float(np.clip(peak, _SHARES[middle + 1], _SHARES[middle - 1]))


def _up_to_disagreement(fit: Fit, log_p: Scores, found: RateRange, certain: float) -> RateRange:
    """The range, up to the share of open labels that are not the most probable class."""
    state, error = fit.state, _ERROR_OF_UNCERTAIN * (1 - certain)
    differs = (most_probable(log_p, state.candidates) != state.labels)[state.given.is_open]
    others = float(differs.mean()) if len(differs) else 0.0
    found = found.including(others, state.given.open_count)
    found = replace(found, low=max(0.0, found.low - error))
    is_near = found.low > 0 or found.high <= _FAR
    return replace(found, can_be_told=found.can_be_told and is_near)


def _by_classes_unlike(fit: Fit, log_p: Scores, found: RateRange, *, agree: bool) -> RateRange:
    """The range and the highest estimate, by pairs of classes that are not alike.

    If these pairs have most of the noise, it is no overlap, and the rate can be told if fits agree.
    """
    state, whole = fit.state, fit.state.noise_rate_by_transitions
    if state.classes < _FEWEST_CLASSES or not may_be_of_any_class(state.transitions):
        return found
    rate = state.given.rate_of_open(rate_of_classes_unlike(log_p, state))
    if not _LEAST_OF_RATE * whole <= rate <= _MOST_OF_RATE * whole:
        return found
    if rate <= whole:
        found = replace(found.including(rate, state.given.open_count), most=rate)
    return replace(found, can_be_told=agree)


def rate_of_classes_unlike(log_p: Scores, state: EMState) -> float:
    """The rate of labels that may be wrong by any class, by those of classes that are not alike.

    It is that of the labels as they were before a person decided on any.

    Args:
        log_p: (N, C) log probabilities by the classifiers.
        state: the labels.
    """
    candidates, classes = state.candidates, state.classes
    groups = most_probable(log_p, candidates)
    alike = candidates.count(groups, softmax(log_p, candidates.log_sizes))
    # Labels that are wrong by chance make a pair alike in one direction only.
    alike += alike.T
    np.fill_diagonal(alike, np.inf)
    half = (classes - 1) // 2
    unlike = np.argpartition(alike, half, axis=1)[:, :half]
    counts, known = np.zeros((classes, classes)), state.given.is_original
    np.add.at(counts, (groups[known], state.labels[known]), 1.0)
    found = np.take_along_axis(counts, unlike, 1).sum() / max(1, int(known.sum()))
    return float(found) * (classes - 1) / half
