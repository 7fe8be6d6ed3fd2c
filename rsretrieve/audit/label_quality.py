"""Choose how to judge: by views of the tiles where they can be had, else by prototypes alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from rsretrieve.audit.estimators.classifiers import (
    Discriminant,
    Only,
    Prototypical,
    View,
    Votes,
    folds_of,
)
from rsretrieve.audit.estimators.dawid_skene import Beliefs, beliefs_of, turns
from rsretrieve.audit.estimators.prototype_scores import LabelScores
from rsretrieve.audit.estimators.unit_vectors import UnitRows
from rsretrieve.audit.evidence.evidence import Evidence
from rsretrieve.audit.findings import Verdicts, verdicts_of
from rsretrieve.audit.issue_selection import Choice, issues_among
from rsretrieve.audit.posterior import Judgement, by_beliefs, by_prototypes
from rsretrieve.data.run_context import RunContext

MOST_TILES, MOST_SCORES = 50_000, 10_000_000
"""Of more tiles, or tiles times classes, prototypes alone are asked: the others take too long."""

FEWEST_PER_CLASS = 10
"""With fewer tiles a class on average views of one another would be guesses."""


def judge(
    evidence: Evidence,
    scores: LabelScores,
    choice: Choice,
    folds: int,
    settled: NDArray[np.bool_],
    context: RunContext,
) -> tuple[Judgement, Verdicts]:
    """Judge every label.

    Args:
        evidence: of N tiles.
        scores: by the prototypes.
        choice: how many issues the user asks for.
        folds: of cross-fitting.
        settled: (N,) the labels that a person has decided: they are right, whatever is seen.
        context: is told how the work goes.
    """
    labels, votes = evidence.labels(), None
    if _has_views(evidence):
        beliefs, neighbours = _believed(evidence, labels, folds, context)
        judgement = by_beliefs(beliefs.settled(labels, settled), labels)
        votes = neighbours.shares(beliefs.posterior)[np.arange(len(labels)), labels]
    else:
        context.notice(
            f"{len(labels)} tiles of {len(evidence.class_names)} classes are judged by "
            "prototypes alone: probabilities are not calibrated"
        )
        classes = len(evidence.class_names)
        known = scores.settled(settled)
        judgement = by_prototypes(known, labels, evidence.temperature, classes)
    flagged = issues_among(
        judgement.issue_probability,
        judgement.margin,
        choice,
        is_calibrated=judgement.is_calibrated,
    )
    if not _has_honest_witness(evidence):
        unknown = np.full(judgement.witnessed.shape, np.nan)
        judgement = replace(judgement, witnessed=unknown)
    return judgement, verdicts_of(evidence, judgement, flagged & ~settled, scores, votes)


def _has_honest_witness(evidence: Evidence) -> bool:
    """Something is asked that was not trained on the labels, at least not on the tile's own."""
    means_of_others = evidence.left_out is not None
    return means_of_others or (_has_views(evidence) and _first_view_tells(evidence) is not None)


def _has_views(evidence: Evidence) -> bool:
    tiles, classes = len(evidence.tiles), len(evidence.class_names)
    small = tiles <= MOST_TILES and tiles * classes <= MOST_SCORES
    return small and tiles >= FEWEST_PER_CLASS * classes


def _believed(
    evidence: Evidence, labels: NDArray[np.int64], folds: int, context: RunContext
) -> tuple[Beliefs, Votes]:
    """What is believed by all views, and the votes in the embedding.

    Of a tile that the model was not trained on, its embedding and its prototypes are honest
    witnesses; of one that it was, they may only know the label by heart.
    """
    classes, everything = len(evidence.class_names), np.arange(len(labels))
    rows = evidence.vectors[everything]
    dealt = folds_of(labels, folds)
    own_votes = Votes.among(evidence.vectors, _groups(rows, labels, dealt, classes))
    free: list[View] = [Discriminant(rows, dealt), own_votes]
    trained, unspoilt = list[View](), list[View]()
    known = _first_view_tells(evidence)
    if known is not None and evidence.first_view is not None:
        first = evidence.first_view
        own = [*free, Prototypical(rows @ evidence.prototypes.T)]
        votes = Votes.among(UnitRows(first), _groups(first, labels, dealt, classes))
        free = [Discriminant(first, dealt), votes]
        trained = [Only(view, known) for view in own[1:]]
        if not known.all():
            unspoilt = [Only(view, ~known) for view in own]
    looks = turns(with_trained=bool(trained)) * len(labels)
    context.start_stage("weighing views", looks)
    areas = evidence.areas if trained else None
    found = beliefs_of(
        labels,
        classes,
        free,
        trained,
        areas,
        context.advance,
        unspoilt,
    )
    return found, own_votes


def _first_view_tells(evidence: Evidence) -> NDArray[np.bool_] | None:
    """(N,) of which tiles the first view is known; None where of too few to be a view."""
    if evidence.first_view is None:
        return None
    known = np.asarray(evidence.first_view.any(axis=1))
    return known if known.sum() >= FEWEST_PER_CLASS * len(evidence.class_names) else None


def _groups(
    rows: NDArray[np.float32], labels: NDArray[np.int64], dealt: NDArray[np.int64], classes: int
) -> NDArray[np.int64]:
    """Which tiles are likely neighbours, for sets too large to hold each against each."""
    given = np.eye(classes, dtype=np.float32)[labels]
    return np.asarray(Discriminant(rows, dealt).opinions(given).argmax(axis=1), np.int64)
