"""Audit a cell by every auditor, and measure what they find."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from grid.auditors import ON_VECTORS, Auditor, Opinion, area_under_margin
from grid.cells import Cell, Method
from grid.data import CellTiles, Place, cell_features, cell_folder, model_that_audits
from rsretrieve.audit.estimators.prototype_scores import score_labels
from rsretrieve.audit.evidence.evidence import Evidence
from rsretrieve.audit.evidence.external_embeddings import ExternalEmbeddings
from rsretrieve.audit.evidence.from_embeddings import EmbeddingEvidence
from rsretrieve.audit.evidence.from_model import ModelEvidence
from rsretrieve.audit.label_quality import AssessmentOptions, assess_labels
from rsretrieve.data.run_context import RunContext
from rsretrieve.evaluation.label_error_metrics import audit_figures
from rsretrieve.network.device import choose_device
from rsretrieve.network.metadata import DESCRIPTION_FILE
from rsretrieve.network.model_folder import load_model

FEATURES = "features"
_BINS = 10


@dataclass(frozen=True)
class Found:
    """What is measured of one auditor in one cell; NaN where it is not defined.

    Attributes:
        wrong: share of labels that are wrong, as drawn.
        auroc, ap: of its ranking.
        f1: at its own threshold.
        flagged: share of labels above it.
        estimate: of the share of wrong labels.
        low, high: its 95 % interval.
        told: 1 if the auditor says that it can tell the share, else 0.
        suggestions: share of the truly wrong labels flagged whose suggestion is right.
        ece: expected calibration error of its probability, over 10 bins of it.
    """

    wrong: float
    auroc: float
    ap: float
    f1: float
    flagged: float
    estimate: float
    low: float
    high: float
    told: float
    suggestions: float
    ece: float


Measure = Callable[[], Found]


def audited(cell: Cell, tiles: CellTiles, place: Place) -> Iterator[tuple[Auditor, str, Measure]]:
    """Who audits the training tiles on what, and how to measure it.

    Without a training, ours audits the features of the starting network.
    """
    measure = _measure(tiles)
    rows = cell_features(cell, place)
    bases = {FEATURES: rows}
    if cell.method is Method.FROZEN:
        yield Auditor.OURS, FEATURES, measure(lambda: ours(feature_evidence(tiles, rows)))
    elif (evidence := model_evidence(cell, tiles, place)) is not None:
        bases[str(cell.method)] = evidence.vectors[np.arange(len(tiles.train))]
        yield Auditor.OURS, str(cell.method), measure(lambda: ours(evidence))
        areas = evidence.area_under_margin
        if areas is not None and np.isfinite(areas).all():
            yield Auditor.AUM, str(cell.method), measure(lambda: area_under_margin(areas))
    for basis, vectors in bases.items():
        yield from _others(basis, vectors, tiles, cell.seed)


def audited_unseen(
    cell: Cell, tiles: CellTiles, place: Place
) -> Iterator[tuple[Auditor, str, Measure]]:
    """The same of tiles that the training has not seen, by its embedding."""
    evidence = model_evidence(cell, tiles, place)
    if evidence is None:
        return
    basis = f"{cell.method}, unseen"
    yield Auditor.OURS, basis, _measure(tiles)(lambda: ours(evidence))
    yield from _others(basis, evidence.vectors[np.arange(len(tiles.train))], tiles, cell.seed)


def _others(
    basis: str, vectors: NDArray[np.float32], tiles: CellTiles, seed: int
) -> Iterator[tuple[Auditor, str, Measure]]:
    measure, given = _measure(tiles), tiles.given_classes()
    for auditor, says in ON_VECTORS.items():
        yield auditor, basis, measure(partial(says, vectors, given, seed))


def _measure(tiles: CellTiles) -> Callable[[Callable[[], Opinion]], Measure]:
    given, true = tiles.given_classes(), tiles.true_classes()
    return lambda opinion: lambda: measured(opinion(), given, true)


def model_evidence(cell: Cell, tiles: CellTiles, place: Place) -> Evidence | None:
    """By the trained model that audits the cell's labels, if there is one."""
    folder: Path = cell_folder(model_that_audits(cell), place)
    if not (folder / DESCRIPTION_FILE).exists():
        return None
    model = load_model(folder, choose_device(place.device))
    return ModelEvidence(model).collect(tiles.train, RunContext(strict=True))


def feature_evidence(tiles: CellTiles, vectors: NDArray[np.float32]) -> Evidence:
    """As `audit-labels --embeddings` gathers it."""
    ids = [tile.id for tile in tiles.train]
    given = ExternalEmbeddings("features", tiles.train, ids, vectors, frozenset())
    return EmbeddingEvidence(given).collect(tiles.train, RunContext(strict=True))


def ours(evidence: Evidence) -> Opinion:
    """What `audit-labels` says, row by row of the evidence."""
    row_of = {tile.id: row for row, tile in enumerate(evidence.tiles)}
    numbers = {name: number for number, name in enumerate(evidence.class_names)}
    evidence = evidence.in_order_of_ids()
    number_of = np.array([numbers[name] for name in evidence.class_names])
    place = np.argsort([row_of[tile.id] for tile in evidence.tiles])
    labels = evidence.labels
    scores = score_labels(
        evidence.vectors, labels, evidence.prototypes, evidence.temperature, evidence.left_out
    )
    posterior, findings = assess_labels(evidence, scores, AssessmentOptions(), RunContext())
    probability = posterior.issue_probability
    return Opinion(
        -posterior.margin[place],
        findings.is_label_issue[place],
        number_of[findings.predicted[place]],
        probability[place],
        float(probability.mean()),
        (posterior.rates.low, posterior.rates.high),
        posterior.rates.can_be_told,
    )


def measured(opinion: Opinion, given: NDArray[np.int64], true: NDArray[np.int64]) -> Found:
    """How well an auditor found the wrong labels, (N,) given and true ones."""
    wrong = given != true
    suggested = given if opinion.suggested is None else opinion.suggested
    found = audit_figures(opinion.badness, opinion.flagged, wrong, suggested == true)
    values = (found.auroc, found.average_precision, found.f1, found.suggestion_accuracy)
    auroc, ap, f1, suggestions = (np.nan if value is None else value for value in values)
    claimed = opinion.probability
    return Found(
        wrong=float(wrong.mean()),
        auroc=auroc,
        ap=ap,
        f1=f1 if wrong.any() else np.nan,
        flagged=float(opinion.flagged.mean()),
        estimate=np.nan if opinion.rate is None else opinion.rate,
        low=opinion.interval[0],
        high=opinion.interval[1],
        told=float(opinion.can_be_told),
        suggestions=np.nan if opinion.suggested is None else suggestions,
        ece=np.nan if claimed is None else calibration_error(claimed, wrong),
    )


@dataclass(frozen=True)
class Bin:
    """The tiles whose probability lies in one tenth of 0…1.

    Attributes:
        probability: their mean.
        wrong: the share of them whose label is wrong.
        tiles: how many they are.
    """

    probability: float
    wrong: float
    tiles: int


def reliability_curve(probability: NDArray[np.float64], wrong: NDArray[np.bool_]) -> list[Bin]:
    """What probabilities claim and what is so, by tenths; those without a tile are left out."""
    bins = np.minimum((probability * _BINS).astype(np.int64), _BINS - 1)
    tiles = np.bincount(bins, minlength=_BINS)
    claimed = np.bincount(bins, weights=probability, minlength=_BINS)
    found = np.bincount(bins, weights=wrong, minlength=_BINS)
    return [
        Bin(float(claimed[b] / tiles[b]), float(found[b] / tiles[b]), int(tiles[b]))
        for b in np.flatnonzero(tiles).tolist()
    ]


def calibration_error(probability: NDArray[np.float64], wrong: NDArray[np.bool_]) -> float:
    """Expected calibration error: the mean over tiles of |mean probability − share| in its bin."""
    curve = reliability_curve(probability, wrong)
    return sum(b.tiles * abs(b.probability - b.wrong) for b in curve) / len(wrong)


def our_probabilities(
    cell: Cell, tiles: CellTiles, place: Place
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """How likely wrong we call each label of a cell, and whether it is: (N,) each.

    By the cell's trained model where there is one, else by the starting network's features.
    """
    evidence = model_evidence(cell, tiles, place) if cell.method is not Method.FROZEN else None
    if evidence is None:
        evidence = feature_evidence(tiles, cell_features(cell, place))
    claimed = ours(evidence).probability
    assert claimed is not None
    return claimed, tiles.given_classes() != tiles.true_classes()
