"""Assess every label: by several classifiers where classes are large enough, else by prototypes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from rsretrieve.audit.classifier_sets import Votes
from rsretrieve.audit.classifiers_of_models import (
    FEWEST_PER_CLASS,
    classifiers_of,
    has_starting_features,
    is_unseen,
)
from rsretrieve.audit.estimators.classifiers import assign_folds
from rsretrieve.audit.estimators.dawid_skene import (
    ClassifierSet,
    EMResult,
    SampledClassifiers,
    fit_dawid_skene,
)
from rsretrieve.audit.estimators.given_labels import NOT_CONFIRMED, Decisions
from rsretrieve.audit.estimators.prototype_scores import LabelScores, nearest_classes
from rsretrieve.audit.estimators.renamed_classes import Renaming
from rsretrieve.audit.evidence.evidence import Evidence
from rsretrieve.audit.findings import LabelFindings, label_findings
from rsretrieve.audit.issue_selection import (
    FIX_PRECISION,
    IssueSelection,
    check_fix_precision,
    select_issues,
)
from rsretrieve.audit.noise_rate import RateRange
from rsretrieve.audit.posterior import (
    LabelPosterior,
    posterior_from_em,
    posterior_from_prototypes,
)
from rsretrieve.audit.unseen_tiles import PARTS, joined, parts_of, rates_by_prototypes
from rsretrieve.data.run_context import RunContext
from rsretrieve.errors import InvalidArgument, LabelsError

FOLDS = 5

MOST_FOR_STARTS = 100_000
"""Above twice as many tiles, several starts of the fit are tried on a sample of so many."""


@dataclass(frozen=True)
class AssessmentOptions:
    """How to assess labels.

    Attributes:
        selection: how many labels to flag.
        folds: number of folds for cross-fitting, at least 2.
        fix_precision: expected share of right labels among those that are fixed without review.
        seed: of the folds.

    Raises:
        InvalidArgument: fewer than 2 folds, or a precision out of range.
    """

    selection: IssueSelection = field(default_factory=IssueSelection)
    folds: int = FOLDS
    fix_precision: float = FIX_PRECISION
    seed: int = 0

    def __post_init__(self) -> None:
        if self.folds < 2:
            raise InvalidArgument(f"cross-fitting needs at least 2 folds, not {self.folds}")
        check_fix_precision(self.fix_precision)


def assess_labels(
    evidence: Evidence,
    scores: LabelScores,
    options: AssessmentOptions,
    context: RunContext,
) -> tuple[LabelPosterior, LabelFindings]:
    """Estimate for every label the probability that it is wrong, and flag issues.

    Labels that a person decided on count as right, and are known examples for the estimate.

    Args:
        evidence: of N tiles.
        scores: by the prototypes.
        options: how many labels to flag, and the folds of cross-fitting.
        context: receives progress and notices.

    Returns:
        The posterior and the findings of the N labels.
    """
    labels, neighbour_share, confirmed = evidence.labels, None, evidence.is_confirmed
    if _uses_classifiers(evidence):
        posterior, neighbour_share = _calibrated(evidence, options.folds, context)
    else:
        classes = len(evidence.class_names)
        context.notice(
            f"{len(labels)} tiles of {classes} classes are too few to estimate a noise rate "
            f"(it takes {FEWEST_PER_CLASS} a class): they are audited by prototypes alone, and "
            "the probabilities are not calibrated"
        )
        known = scores.with_confirmed(confirmed)
        posterior = posterior_from_prototypes(known, labels, evidence.temperature, classes)
    if confirmed.all():
        posterior = replace(posterior, rates=RateRange(0.0, 0.0))
    elif posterior.is_calibrated and not posterior.rates.can_be_told:
        context.notice(_why_it_cannot_be_told(posterior.rates))
    posterior = posterior.without(_only_of_their_class(evidence, confirmed, context), labels)
    open_labels = posterior.told & ~confirmed
    flagged = np.zeros(len(labels), bool)
    flagged[open_labels] = select_issues(
        posterior.issue_probability[open_labels],
        posterior.margin[open_labels],
        options.selection,
        is_calibrated=posterior.is_calibrated,
    )
    cannot_be_told = posterior.is_calibrated and not posterior.rates.can_be_told
    if cannot_be_told and options.selection.budget is None:
        flagged[:] = False
    if not _has_independent_classifier(evidence):
        unknown = np.full(posterior.independent.shape, np.nan)
        posterior = replace(posterior, independent=unknown)
    return posterior, label_findings(evidence, posterior, flagged, scores, neighbour_share)


def _calibrated(
    evidence: Evidence, folds: int, context: RunContext
) -> tuple[LabelPosterior, NDArray[np.float32]]:
    """The posterior of all labels, and the neighbours' shares of each; see `unseen_tiles`."""
    parts = parts_of(evidence)
    if len(parts) == 1:
        return _calibrated_part(evidence, folds, context)
    found = [
        _calibrated_part(evidence.taken(rows), folds, context, f", among the tiles {which}")
        for rows, which in zip(parts, PARTS)
    ]
    shares = np.empty(len(evidence.labels), np.float32)
    for rows, (_, of_rows) in zip(parts, found):
        shares[rows] = of_rows
    return joined([posterior for posterior, _ in found], parts), shares


def _calibrated_part(
    evidence: Evidence, folds: int, context: RunContext, among: str = ""
) -> tuple[LabelPosterior, NDArray[np.float32]]:
    """The same of tiles that have one noise matrix."""
    labels = evidence.labels
    result, votes = _fit_classifiers(evidence, folds, context, among)
    posterior = posterior_from_em(result, labels)
    if is_unseen(evidence):
        nearest, _ = nearest_classes(evidence.vectors, evidence.prototypes)
        rates = rates_by_prototypes(posterior, labels, nearest, evidence.class_names, context)
        posterior = replace(posterior, rates=rates)
    own = result.candidates.columns_of(labels)
    shares = votes.shares(result.posterior)[np.arange(len(labels)), own]
    return posterior, shares.astype(np.float32)


def _why_it_cannot_be_told(rates: RateRange) -> str:
    consequence = "no label is flagged (--budget N lists the N most doubtful ones)"
    if not rates.is_informative:
        return (
            "the noise rate cannot be determined: the embeddings do not predict these labels "
            f"better than the frequencies of the labels do; {consequence}"
        )
    return (
        f"the noise rate cannot be determined: rates from {rates.low:.0%} to {rates.high:.0%} "
        f"explain the labels equally well; {consequence}"
    )


def _only_of_their_class(
    evidence: Evidence, confirmed: NDArray[np.bool_], context: RunContext
) -> NDArray[np.bool_]:
    """(N,) bool, labels that no other tile has: there is nothing to compare them with.

    Raises:
        LabelsError: all labels are.
    """
    alone = np.asarray((evidence.class_sizes[evidence.labels] <= 1) & ~confirmed)
    if alone.all() and len(alone):
        raise LabelsError(
            f"{evidence.tiles.source}: each of the {len(alone)} tiles is the only one of its class",
            hint="an audit compares tiles of one class; give labels that several tiles share",
        )
    if count := int(alone.sum()):
        context.notice(
            f"labels that only one tile has: {count}; they cannot be audited, and they "
            "count in no noise rate"
        )
    return alone


def _has_independent_classifier(evidence: Evidence) -> bool:
    """Whether some scores do not depend on the tile's own label."""
    if evidence.left_out is not None:
        return True
    if not _uses_classifiers(evidence):  # the prototypes alone
        return evidence.trained_on is not None and not evidence.seen.any()
    return has_starting_features(evidence) or any(is_unseen(each) for each in evidence.each)


def _uses_classifiers(evidence: Evidence) -> bool:
    return len(evidence.tiles) >= FEWEST_PER_CLASS * len(evidence.class_names)


def _fit_classifiers(
    evidence: Evidence, folds: int, context: RunContext, among: str
) -> tuple[EMResult, Votes]:
    """The fitted posterior, and the neighbours' votes in the embedding."""
    classes = len(evidence.class_names)
    decisions, also = _decisions(evidence), [evidence.labels]
    labels = np.where(decisions.is_original, evidence.original_labels, evidence.labels)
    context.start_stage("searching nearest neighbours", None)
    renamed = labels
    if evidence.left_out is None:  # otherwise the prototypes are those of these labels
        nearest, _ = nearest_classes(evidence.vectors, evidence.prototypes)
        renaming = Renaming.of(labels, nearest, classes)
        for sentence in renaming.sentences(evidence.class_names):
            context.notice(f"{sentence}{among}")
        renamed = renaming.permutation[labels]
    classifiers, votes = _classifiers_and_sample(evidence, labels, [*also, renamed], folds)
    context.start_stage("combining classifiers", None)
    result = fit_dawid_skene(renamed, classes, classifiers, context.advance, decisions)
    return result.for_labels(labels), votes


def _decisions(evidence: Evidence) -> Decisions:
    """The classes that a person confirmed."""
    confirmed = np.where(evidence.is_confirmed, evidence.labels, NOT_CONFIRMED)
    return Decisions(confirmed, evidence.original_labels >= 0)


def _classifiers_and_sample(
    evidence: Evidence, labels: NDArray[np.int64], also: list[NDArray[np.int64]], folds: int
) -> tuple[ClassifierSet, Votes]:
    """See `classifiers_of`; of very many tiles with the classifiers of a sample."""
    classifiers, votes = classifiers_of(evidence, labels, also, folds)
    parts = len(labels) // MOST_FOR_STARTS
    if parts < 2:
        return classifiers, votes
    rows = np.flatnonzero(assign_folds(labels, parts) == 0)
    others = [each[rows] for each in also]
    of_rows, _ = classifiers_of(evidence.taken(rows), labels[rows], others, folds)
    return replace(classifiers, sample=SampledClassifiers(rows, of_rows)), votes
