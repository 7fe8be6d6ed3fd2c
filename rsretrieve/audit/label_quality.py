"""Assess every label: by several classifiers where classes are large enough, else by prototypes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from rsretrieve.audit.classifier_sets import Votes, classifier_source
from rsretrieve.audit.estimators.classifiers import Classifier, Restricted, assign_folds
from rsretrieve.audit.estimators.dawid_skene import (
    ClassifierSet,
    EMResult,
    SampledClassifiers,
    fit_dawid_skene,
)
from rsretrieve.audit.estimators.given_labels import NOT_CONFIRMED, Decisions
from rsretrieve.audit.estimators.prototype_scores import LabelScores, nearest_classes
from rsretrieve.audit.estimators.renamed_classes import Renaming
from rsretrieve.audit.estimators.several_starts import RateRange
from rsretrieve.audit.estimators.unit_vectors import UnitRows
from rsretrieve.audit.evidence.evidence import Evidence
from rsretrieve.audit.findings import LabelFindings, label_findings
from rsretrieve.audit.issue_selection import (
    FIX_PRECISION,
    IssueSelection,
    check_fix_precision,
    select_issues,
)
from rsretrieve.audit.posterior import (
    LabelPosterior,
    posterior_from_em,
    posterior_from_prototypes,
)
from rsretrieve.data.run_context import RunContext
from rsretrieve.errors import InvalidArgument, LabelsError

FEWEST_PER_CLASS = 10
"""Below this many tiles per class on average, the other classifiers are too uncertain."""

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

    Raises:
        InvalidArgument: fewer than 2 folds, or a precision out of range.
    """

    selection: IssueSelection = field(default_factory=IssueSelection)
    folds: int = FOLDS
    fix_precision: float = FIX_PRECISION

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
        result, votes = _fit_classifiers(evidence, options.folds, context)
        posterior = posterior_from_em(result, labels)
        own = result.candidates.columns_of(labels)
        shares = votes.shares(result.posterior)[np.arange(len(labels)), own]
        neighbour_share = shares.astype(np.float32)
    else:
        classes = len(evidence.class_names)
        context.notice(
            f"{len(labels)} tiles of {classes} classes are audited by prototypes alone: "
            "the probabilities are not calibrated"
        )
        known = scores.with_confirmed(confirmed)
        posterior = posterior_from_prototypes(known, labels, evidence.temperature, classes)
    if not posterior.rates.can_be_told:
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
    if not posterior.rates.can_be_told and options.selection.budget is None:
        flagged[:] = False
    if not _has_independent_classifier(evidence):
        unknown = np.full(posterior.independent.shape, np.nan)
        posterior = replace(posterior, independent=unknown)
    return posterior, label_findings(evidence, posterior, flagged, scores, neighbour_share)


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
    if evidence.left_out is not None or _is_unseen(evidence):
        return True
    has_features = evidence.starting_features is not None
    enough = _are_enough(_seen(evidence), len(evidence.class_names))
    return _uses_classifiers(evidence) and has_features and enough


def _uses_classifiers(evidence: Evidence) -> bool:
    return len(evidence.tiles) >= FEWEST_PER_CLASS * len(evidence.class_names)


def _fit_classifiers(evidence: Evidence, folds: int, context: RunContext) -> tuple[EMResult, Votes]:
    """The fitted posterior, and the neighbours' votes in the embedding.

    The embedding and the prototypes of a trained model are out-of-sample for tiles that the model
    was not trained on. For the others they are in-sample: they may have memorised the label.
    """
    classes, vectors = len(evidence.class_names), evidence.vectors
    decisions, also = _decisions(evidence), [evidence.labels]
    labels = np.where(decisions.is_original, evidence.original_labels, evidence.labels)
    context.start_stage("searching nearest neighbours", None)
    if not _is_unseen(evidence):
        classifiers, votes = _classifiers_and_sample(evidence, labels, also, folds)
        context.start_stage("combining classifiers", None)
        return fit_dawid_skene(labels, classes, classifiers, context.advance, decisions), votes
    nearest, _ = nearest_classes(vectors, evidence.prototypes)
    renaming = Renaming.of(labels, nearest, classes)
    for sentence in renaming.sentences(evidence.class_names):
        context.notice(sentence)
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
    """See `_classifiers`; of very many tiles with the classifiers of a sample."""
    classifiers, votes = _classifiers(evidence, labels, also, folds)
    parts = len(labels) // MOST_FOR_STARTS
    if parts < 2:
        return classifiers, votes
    rows = np.flatnonzero(assign_folds(labels, parts) == 0)
    others = [each[rows] for each in also]
    of_rows, _ = _classifiers(evidence.taken(rows), labels[rows], others, folds)
    return replace(classifiers, sample=SampledClassifiers(rows, of_rows)), votes


def _classifiers(
    evidence: Evidence, labels: NDArray[np.int64], also: list[NDArray[np.int64]], folds: int
) -> tuple[ClassifierSet, Votes]:
    """All classifiers, and the neighbours' votes in the embedding.

    Args:
        evidence: of N tiles.
        labels: (N,) int64 class numbers of the given labels.
        also: (N,) int64 other classes of each tile that are likely.
        folds: number of folds for cross-fitting.
    """
    vectors, classes, features = evidence.vectors, len(evidence.class_names), None
    if evidence.starting_features is not None and _are_enough(_seen(evidence), classes):
        features = UnitRows(evidence.starting_features)
    source = classifier_source(features or vectors, labels, also, classes, folds)
    votes = source.votes(vectors)
    independent: list[Classifier] = [source.discriminant(vectors), votes]
    if features is None and not _is_unseen(evidence):
        return ClassifierSet(independent, candidates=source.candidates), votes
    trained_on = _seen(evidence)
    by_prototypes = source.prototypes(vectors, evidence.prototypes, evidence.temperature)
    if features is not None:
        by_model = [*independent, by_prototypes]
        return ClassifierSet(
            independent=[source.discriminant(features), source.votes(features)],
            in_sample=[Restricted(each, trained_on) for each in by_model[1:]],
            out_of_sample=[
                Restricted(each, ~trained_on) for each in by_model if not trained_on.all()
            ],
            areas=_areas_of(evidence, labels),
            candidates=source.candidates,
        ), votes
    independent.append(Restricted(by_prototypes, ~trained_on))
    return ClassifierSet(independent, candidates=source.candidates), votes


def _areas_of(evidence: Evidence, labels: NDArray[np.int64]) -> NDArray[np.float32] | None:
    """The areas under the margin that belong to these labels; NaN for the others."""
    areas = evidence.area_under_margin
    if areas is None:
        return None
    return np.where(evidence.labels == labels, areas, np.float32(np.nan))


def _seen(evidence: Evidence) -> NDArray[np.bool_]:
    """(N,) tiles that the model was, or may have been, trained on."""
    if evidence.starting_features is not None:
        return np.asarray(evidence.starting_features.any(axis=1))
    known = evidence.trained_on
    return np.ones(len(evidence.tiles), bool) if known is None else known


def _is_unseen(evidence: Evidence) -> bool:
    """Whether the model was trained on none of the tiles, or on very few of them."""
    is_known = evidence.trained_on is not None
    return is_known and not _are_enough(_seen(evidence), len(evidence.class_names))


def _are_enough(tiles: NDArray[np.bool_], classes: int) -> bool:
    """Whether they are enough to fit a classifier."""
    return bool(tiles.sum() >= FEWEST_PER_CLASS * classes)
