"""Audit the labels of tiles: collect evidence, assess labels, classify issues, rank them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import ceil, floor

import numpy as np
from numpy.typing import NDArray

from rsretrieve._core.text import some_of
from rsretrieve.audit.duplicates.find import (
    NEIGHBOURS_WITH_PIXELS,
    NEIGHBOURS_WITHOUT,
    NearDuplicates,
    near_duplicates_by_embedding,
    near_duplicates_by_pixels,
)
from rsretrieve.audit.estimators.neighbors import nearest_neighbours
from rsretrieve.audit.estimators.prototype_scores import LabelScores, score_labels
from rsretrieve.audit.evidence.evidence import Evidence, EvidenceSource
from rsretrieve.audit.exemplars import Exemplars
from rsretrieve.audit.issue_selection import noise_concentration, select_fixes
from rsretrieve.audit.issue_types import NO_ISSUE, LabelContext, classify_issues
from rsretrieve.audit.label_quality import AssessmentOptions, assess_labels
from rsretrieve.audit.noise_rate import RateRange, share_intervals, with_untold
from rsretrieve.audit.posterior import LabelPosterior
from rsretrieve.audit.result import (
    Audit,
    ClassIssues,
    Comparison,
    KnownWrong,
    NoiseMatrix,
    WrongLabelsLeft,
)
from rsretrieve.audit.result_table import ClassifiedLabels
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import TileSet
from rsretrieve.errors import LabelsError
from rsretrieve.evaluation.label_error_metrics import AuditFigures, audit_figures


@dataclass(frozen=True)
class AuditRequest:
    """What to audit, and how.

    Attributes:
        tiles: tiles with labels. Labels that a person confirmed are never flagged.
        source: provides the evidence: a model, or embeddings.
        true_labels: tile id → true label, to measure the audit; must contain every tile.
        comparisons: number of the worst tiles to find tiles to compare with for.
        options: how many labels to flag, and the folds of cross-fitting.
    """

    tiles: TileSet
    source: EvidenceSource
    true_labels: Mapping[str, str] | None = None
    comparisons: int = 0
    options: AssessmentOptions = field(default_factory=AssessmentOptions)


def audit_labels(request: AuditRequest, context: RunContext) -> Audit:
    """Audit the given label of every tile.

    Args:
        request: what to audit, and how.
        context: receives progress, notices, and the tiles that cannot be used.

    Returns:
        The findings on all tiles that could be used, worst first.

    Raises:
        LabelsError: no tile has a label that can be audited, or a true label is missing.
    """
    names = request.source.class_names(request.tiles.labelled())
    known = _auditable(request.tiles, names, context)
    if request.true_labels is not None:
        _require_truth(known, request.true_labels)
    evidence = request.source.collect(known, context)
    evidence = evidence.in_order_of_ids(request.options.seed)
    scores = _scores(evidence, context)
    duplicates = _near_duplicates(evidence, scores, context)
    posterior, findings = assess_labels(evidence, scores, request.options, context)
    label_context = LabelContext(
        evidence.labels, evidence.class_sizes, duplicates.has_other, ~posterior.told
    )
    types, clear = classify_issues(scores, findings, label_context)
    clear &= posterior.rates.can_be_told
    concentration = noise_concentration(
        posterior.expected_counts, evidence.labels, findings.predicted
    )
    fixed = select_fixes(
        findings.predicted_probability, clear, request.options.fix_precision, concentration
    )
    classified = ClassifiedLabels(
        tiles=evidence.tiles,
        class_names=evidence.class_names,
        labels=evidence.labels,
        findings=findings,
        issue_types=np.where(evidence.is_confirmed, np.int8(NO_ISSUE), types),
        is_confident=fixed,
        near_duplicates=duplicates.other,
    )
    order = np.array([evidence.class_names.index(name) for name in names])
    return _summarise(request, evidence, posterior, classified, order)


def _summarise(
    request: AuditRequest,
    evidence: Evidence,
    posterior: LabelPosterior,
    classified: ClassifiedLabels,
    classes: NDArray[np.int64],
) -> Audit:
    """The results, with the class numbers in the order of `classes`."""
    order = np.argsort(posterior.margin, kind="stable")
    told = posterior.told
    rate = float(posterior.issue_probability[told].mean())
    confirmed, truth = evidence.is_confirmed, request.true_labels
    figures, known_wrong = _compared(classified, posterior, confirmed, truth)
    return Audit(
        table=classified.table(order),
        tiles=evidence.tiles,
        per_class=_per_class(classified, posterior, rate, classes),
        noise_rate=rate if posterior.rates.can_be_told else None,
        interval=with_untold(_interval(posterior.rates, rate), float((~told).mean())),
        wrong_left=_wrong_left(posterior, confirmed),
        figures=figures,
        known_wrong=known_wrong,
        noise_matrix=NoiseMatrix(
            tuple(evidence.class_names[number] for number in classes),
            posterior.expected_counts[np.ix_(classes, classes)],
            posterior.untold_classes(evidence.labels)[classes],
        ),
        comparisons=_comparisons(classified, evidence, order, request.comparisons),
        places=evidence.places,
    )


def _wrong_left(posterior: LabelPosterior, confirmed: NDArray[np.bool_]) -> WrongLabelsLeft:
    """The wrong labels among those that nobody decided on.

    The rates are those of all labels that something is said about, where confirmed labels are
    right. Labels that nothing is said about may all be right, or wrong.
    """
    told, probability = posterior.told, posterior.issue_probability
    expected = float(probability[told & ~confirmed].sum())
    undecided = int((~confirmed).sum())
    is_known = not undecided or (posterior.is_calibrated and posterior.rates.can_be_told)
    low, high = (end * int(told.sum()) for end in (posterior.rates.low, posterior.rates.high))
    most = max(high, expected) + int((~told & ~confirmed).sum())
    return WrongLabelsLeft(
        undecided,
        expected if is_known else None,
        (floor(min(low, expected)), min(undecided, ceil(most))),
    )


def _interval(rates: RateRange, rate: float) -> tuple[float, float]:
    return min(rates.low, rate), max(rates.high, rate)


def _auditable(tiles: TileSet, names: tuple[str, ...], context: RunContext) -> TileSet:
    labelled = tiles.labelled()
    if unlabelled := len(tiles) - len(labelled):
        context.notice(f"{unlabelled} tiles have no label and are left out")
    known_names = frozenset(names)
    known = labelled.select([i for i, tile in enumerate(labelled) if tile.label in known_names])
    unknown = sorted(set(labelled.class_names) - known_names)
    hint = "class sub-folders are the labels, or give --labels FILE.csv (tile,label)"
    if not names:  # of embeddings, whose classes are the tiles' own labels
        raise LabelsError(f"{tiles.source}: no tile has a label", hint=hint)
    if not len(known):
        raise LabelsError(
            f"{tiles.source}: no tile has a label that the model knows (the model knows "
            f"{some_of(names)}; the tiles have {some_of(unknown) or 'no labels'})",
            hint="write the classes as the model has them, or leave out --model"
            if unknown
            else hint,
        )
    if unknown:
        context.notice(
            f"{len(labelled) - len(known)} tiles have labels that the model does not know "
            f"({some_of(unknown)}) and are left out"
        )
    return known


def _require_truth(tiles: TileSet, true_labels: Mapping[str, str]) -> None:
    missing = [tile.id for tile in tiles if tile.id not in true_labels]
    if missing:
        raise LabelsError(
            f"the file of true labels lacks {len(missing)} of {len(tiles)} tiles "
            f"({some_of(missing)})",
            hint="it must contain every audited tile, by its id",
        )


def _scores(evidence: Evidence, context: RunContext) -> LabelScores:
    context.start_stage("auditing labels", len(evidence.tiles))
    return score_labels(
        evidence.vectors,
        evidence.labels,
        evidence.prototypes,
        evidence.temperature,
        evidence.left_out,
        context.advance,
    )


def _near_duplicates(
    evidence: Evidence, scores: LabelScores, context: RunContext
) -> NearDuplicates:
    labels = evidence.labels
    context.start_stage("searching near-duplicates with two labels", len(labels))
    k = NEIGHBOURS_WITH_PIXELS if evidence.has_pixels else NEIGHBOURS_WITHOUT
    neighbours = nearest_neighbours(evidence.vectors, scores.predicted, k, context.advance)
    if evidence.has_pixels:
        return near_duplicates_by_pixels(evidence.tiles, neighbours, labels, context)
    ids = [tile.id for tile in evidence.tiles]
    return near_duplicates_by_embedding(evidence.vectors, neighbours, labels, ids)


def _per_class(
    classified: ClassifiedLabels,
    posterior: LabelPosterior,
    rate: float,
    classes: NDArray[np.int64],
) -> tuple[ClassIssues, ...]:
    """By given label; a class that nothing is said about has no rate."""
    labels, names = classified.labels, classified.class_names
    told = posterior.told
    probability = np.where(told, posterior.issue_probability, rate)
    sizes = np.bincount(labels, minlength=len(names))
    issues = np.bincount(labels[classified.findings.is_label_issue], minlength=len(names))
    rates = np.bincount(labels, weights=probability, minlength=len(names)) / np.maximum(sizes, 1)
    ends = share_intervals(rates, np.maximum(sizes, 1))
    low, high = posterior.rates.of_parts(ends, rate)
    untold = posterior.untold_classes(labels)
    low, high = np.where(untold, 0.0, low), np.where(untold, 1.0, high)
    return tuple(
        ClassIssues(
            label=names[c],
            tiles=int(sizes[c]),
            issues=int(issues[c]),
            noise_rate=None if untold[c] else float(rates[c]),
            interval=(float(low[c]), float(high[c])),
        )
        for c in classes[sizes[classes] > 0].tolist()
    )


def _comparisons(
    classified: ClassifiedLabels, evidence: Evidence, order: NDArray[np.int64], count: int
) -> dict[str, Comparison]:
    """Tile id → tiles to compare with, for the worst `count` tiles that need review."""
    labels, tiles, needs_review = classified.labels, classified.tiles, classified.needs_review
    queries = order[needs_review[order]][:count]
    exemplars = Exemplars.trusted(evidence.vectors, labels, ~needs_review)
    classes = (labels, classified.suggested, classified.second)
    found = [exemplars.nearest(queries, numbers[queries]) for numbers in classes]
    return {
        tiles[row].id: Comparison(*(tuple(tiles[i] for i in near) for near in nearest))
        for row, *nearest in zip(queries.tolist(), *found)
    }


def _compared(
    classified: ClassifiedLabels,
    posterior: LabelPosterior,
    confirmed: NDArray[np.bool_],
    true_labels: Mapping[str, str] | None,
) -> tuple[AuditFigures | None, KnownWrong | None]:
    """The comparison with the true labels.

    Labels that a person decided on are not scored, so only the noise rate counts them.
    """
    if true_labels is None:
        return None, None
    tiles, names, findings = classified.tiles, classified.class_names, classified.findings
    true = [true_labels[tile.id] for tile in tiles]
    wrong = np.array([tile.label != label for tile, label in zip(tiles, true)])
    predicted = [names[number] for number in findings.predicted.tolist()]
    right = np.array([name == label for name, label in zip(predicted, true)])
    scored = ~confirmed
    figures = audit_figures(
        -posterior.margin[scored],
        findings.is_label_issue[scored],
        wrong[scored],
        right[scored],
    )
    known = KnownWrong(int(wrong.sum()), int(wrong[scored].sum()))
    return replace(figures, noise_rate=float(wrong.mean())), known
