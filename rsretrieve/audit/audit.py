"""Audit the labels of tiles: gather evidence, score, tell kinds and twins, put the worst first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rsretrieve.audit.duplicates.find import (
    NEIGHBOURS_WITH_PIXELS,
    NEIGHBOURS_WITHOUT,
    Twins,
    twins_by_embedding,
    twins_by_pixels,
)
from rsretrieve.audit.estimators.neighbors import nearest_neighbours
from rsretrieve.audit.estimators.prototype_scores import LabelScores, score_labels
from rsretrieve.audit.evidence.evidence import Basis, Evidence
from rsretrieve.audit.exemplars import Exemplars
from rsretrieve.audit.findings import Verdicts
from rsretrieve.audit.issue_selection import Choice
from rsretrieve.audit.issue_types import NO_KIND, KindRules, kinds_of
from rsretrieve.audit.label_quality import judge
from rsretrieve.audit.noise_rate import rate_interval, share_intervals
from rsretrieve.audit.posterior import Judgement
from rsretrieve.audit.result import Audit, ClassIssues, Comparison, NoiseMatrix
from rsretrieve.audit.result_table import JudgedRows, JudgedTiles
from rsretrieve.data.labels.labels import some_of
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import TileSet
from rsretrieve.errors import InvalidArgument, LabelsError
from rsretrieve.evaluation.label_error_metrics import AuditFigures, audit_figures

FOLDS = 5


@dataclass(frozen=True)
class AuditRequest:
    """What is to be audited, and by what.

    Attributes:
        tiles: tiles with labels.
        basis: a model, or embeddings.
        true_labels: tile id → true label, to measure the audit by; must name every tile.
        settled: ids of tiles whose label a person has decided: they are never an issue.
        comparisons: for how many of the worst tiles to find others to compare them with.
        choice: how many issues are asked for.
        folds: of cross-fitting, at least 2.
    """

    tiles: TileSet
    basis: Basis
    true_labels: Mapping[str, str] | None = None
    settled: frozenset[str] = field(default=frozenset())
    comparisons: int = 0
    choice: Choice = field(default_factory=Choice)
    folds: int = FOLDS

    def __post_init__(self) -> None:
        if self.folds < 2:
            raise InvalidArgument(f"cross-fitting takes at least 2 folds, not {self.folds}")


def audit_labels(request: AuditRequest, context: RunContext) -> Audit:
    """Judge the given label of every tile.

    Args:
        request: what is to be audited, and by what.
        context: takes the tiles that cannot be used.

    Raises:
        LabelsError: no tile has a label that can be judged, or a true label is missing.
    """
    names = request.basis.class_names(request.tiles.labelled())
    known = _auditable(request.tiles, names, context)
    if request.true_labels is not None:
        _require_truth(known, request.true_labels)
    evidence = request.basis.evidence(known, context)
    labels = evidence.labels()
    scores = _scored(evidence, labels, context)
    twins = _twins(evidence, scores, labels, context)
    settled = np.zeros(len(labels), bool)
    if request.settled:
        settled[:] = [tile.id in request.settled for tile in evidence.tiles]
    judgement, verdicts = judge(evidence, scores, request.choice, request.folds, settled, context)
    rows = _judged(evidence, scores, verdicts, twins, settled)
    order = np.argsort(judgement.margin, kind="stable")
    checked = order[rows.needs_a_look[order]]
    probability = judgement.issue_probability
    return Audit(
        tiles=JudgedTiles(rows, order),
        per_class=_per_class(labels, rows, probability),
        noise_rate=float(probability.mean()),
        interval=rate_interval(probability),
        figures=_figures(rows, judgement, request.true_labels),
        noise_matrix=NoiseMatrix(evidence.class_names, judgement.counts),
        comparisons=_comparisons(evidence, rows, labels, checked[: request.comparisons]),
        places=evidence.places,
        checked=tuple(rows.records(checked)),
    )


def _auditable(tiles: TileSet, names: tuple[str, ...], context: RunContext) -> TileSet:
    labelled = tiles.labelled()
    if left_out := len(tiles) - len(labelled):
        context.notice(f"{left_out} tiles have no label to audit and are left out")
    known_names = frozenset(names)
    known = labelled.select([i for i, tile in enumerate(labelled) if tile.label in known_names])
    unknown = sorted(set(labelled.class_names) - known_names)
    hint = "class sub-folders are the labels, or give --labels FILE.csv (tile,label)"
    if not names:  # of embeddings, whose classes are the tiles' own labels
        raise LabelsError(f"{tiles.source}: not one tile has a label", hint=hint)
    if not len(known):
        raise LabelsError(
            f"{tiles.source}: not one tile has a label that the model knows (the model knows "
            f"{some_of(names)}; the tiles have {some_of(unknown) or 'no labels'})",
            hint=hint,
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
            hint="it must name every tile that is audited, by its id",
        )


def _scored(evidence: Evidence, labels: NDArray[np.int64], context: RunContext) -> LabelScores:
    context.start_stage("auditing labels", len(labels))
    return score_labels(
        evidence.vectors,
        labels,
        evidence.prototypes,
        evidence.temperature,
        evidence.left_out,
        context.advance,
    )


def _twins(
    evidence: Evidence, scores: LabelScores, labels: NDArray[np.int64], context: RunContext
) -> Twins:
    context.start_stage("looking for twins with two labels", len(labels))
    k = NEIGHBOURS_WITH_PIXELS if evidence.has_pixels else NEIGHBOURS_WITHOUT
    neighbours = nearest_neighbours(evidence.vectors, scores.predicted, k, context.advance)
    if evidence.has_pixels:
        return twins_by_pixels(evidence.tiles, neighbours, labels, context)
    return twins_by_embedding(neighbours, labels)


def _judged(
    evidence: Evidence,
    scores: LabelScores,
    verdicts: Verdicts,
    twins: Twins,
    settled: NDArray[np.bool_],
) -> JudgedRows:
    rules = KindRules(evidence.labels(), evidence.class_sizes, twins.has_twin)
    kinds, sure = kinds_of(scores, verdicts, rules)
    kinds = np.where(settled, np.int8(NO_KIND), kinds)
    return JudgedRows(evidence.tiles, evidence.class_names, verdicts, kinds, sure, twins.twin)


def _per_class(
    labels: NDArray[np.int64], rows: JudgedRows, probability: NDArray[np.float64]
) -> tuple[ClassIssues, ...]:
    classes = len(rows.class_names)
    sizes = np.bincount(labels, minlength=classes)
    issues = np.bincount(labels[rows.verdicts.flagged], minlength=classes)
    rates = np.bincount(labels, weights=probability, minlength=classes) / np.maximum(sizes, 1)
    low, high = share_intervals(rates, np.maximum(sizes, 1))
    return tuple(
        ClassIssues(
            rows.class_names[c],
            int(sizes[c]),
            int(issues[c]),
            float(rates[c]),
            (float(low[c]), float(high[c])),
        )
        for c in np.flatnonzero(sizes).tolist()
    )


def _comparisons(
    evidence: Evidence, rows: JudgedRows, labels: NDArray[np.int64], asking: NDArray[np.int64]
) -> dict[str, Comparison]:
    exemplars = Exemplars.trusted(evidence.vectors, labels, ~rows.needs_a_look)
    numbers = {name: number for number, name in enumerate(rows.class_names)}
    suggested = np.array(
        [numbers[rows.record(row).suggested_label] for row in asking.tolist()], np.int64
    )
    own = exemplars.nearest(asking, labels[asking])
    others = exemplars.nearest(asking, suggested)
    tiles = evidence.tiles
    return {
        tiles[row].id: Comparison(tuple(tiles[i] for i in near), tuple(tiles[i] for i in other))
        for row, near, other in zip(asking.tolist(), own, others)
    }


def _figures(
    rows: JudgedRows, judgement: Judgement, true_labels: Mapping[str, str] | None
) -> AuditFigures | None:
    if true_labels is None:
        return None
    true = [true_labels[tile.id] for tile in rows.tiles]
    predicted = rows.verdicts.predicted.tolist()
    wrong = np.array([tile.label != label for tile, label in zip(rows.tiles, true)])
    right = np.array([rows.class_names[p] == label for p, label in zip(predicted, true)])
    return audit_figures(-judgement.margin, rows.verdicts.flagged, wrong, right)
