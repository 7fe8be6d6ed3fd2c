"""Audit a cell by every auditor, and measure what they find."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from grid.auditors import ON_VECTORS, Auditor, Opinion, area_under_margin
from grid.baselines import FeatureNetwork
from grid.cells import Cell
from grid.data import CellTiles, Place, cell_folder
from rsretrieve.audit.estimators.prototype_scores import score_labels
from rsretrieve.audit.evidence.evidence import Evidence
from rsretrieve.audit.evidence.external_embeddings import ExternalEmbeddings
from rsretrieve.audit.evidence.from_embeddings import EmbeddingEvidence
from rsretrieve.audit.evidence.from_model import ModelEvidence
from rsretrieve.audit.label_quality import AssessmentOptions, assess_labels
from rsretrieve.data.loading.batches import read_into_store
from rsretrieve.data.preprocessing.band_statistics import measure_preprocessing
from rsretrieve.data.run_context import RunContext
from rsretrieve.evaluation.label_error_metrics import audit_figures
from rsretrieve.network.backbones.rgb_statistics import rgb_statistics
from rsretrieve.network.device import choose_device
from rsretrieve.network.embedder import Embedder
from rsretrieve.network.metadata import DESCRIPTION_FILE
from rsretrieve.network.model_folder import load_model
from rsretrieve.training.history.starting_features import compute_starting_features
from rsretrieve.training.initialize import starting_model
from rsretrieve.training.recipe import ROBUST

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
        suggestions: share of the truly wrong labels flagged whose suggestion is right.
        ece: expected calibration error of its probability, over 10 bins of it.
    """

    wrong: float
    auroc: float
    ap: float
    f1: float
    flagged: float
    estimate: float
    suggestions: float
    ece: float


def audited(
    cell: Cell, tiles: CellTiles, place: Place
) -> Iterator[tuple[Auditor, str, Callable[[], Found]]]:
    """Who audits on what, and how to measure it."""
    given, true = tiles.given_classes(), tiles.true_classes()

    def measure(opinion: Callable[[], Opinion]) -> Callable[[], Found]:
        return lambda: _measured(opinion(), given, true)

    look = features_of(cell, tiles, place)
    bases = {FEATURES: look.vectors}
    evidence = _model_evidence(cell, tiles, place, look.view)
    if evidence is None:
        evidence = _feature_evidence(tiles, look.vectors)
        yield Auditor.OURS, FEATURES, measure(lambda: _ours(evidence))
    else:
        bases[str(cell.method)] = evidence.vectors[np.arange(len(given))]
        yield Auditor.OURS, str(cell.method), measure(lambda: _ours(evidence))
        areas = evidence.area_under_margin
        if areas is not None and np.isfinite(areas).all():
            yield Auditor.AUM, str(cell.method), measure(lambda: area_under_margin(areas))
    for basis, vectors in bases.items():
        for auditor, says in ON_VECTORS.items():
            yield auditor, basis, measure(partial(says, vectors, given, cell.seed))


@dataclass(frozen=True)
class FirstLook:
    """The tiles by the network before it learns.

    Attributes:
        vectors: (N, F) float32 unit rows, its features.
        view: (N, d) float32, as `train` keeps them.
    """

    vectors: NDArray[np.float32]
    view: NDArray[np.float32]


def features_of(cell: Cell, tiles: CellTiles, place: Place) -> FirstLook:
    """Look at the training tiles with the starting network, once for all noises."""
    name = f"first-look-{cell.backbone}-{cell.size_px}px-turned.npz"
    path = place.work / cell.dataset / f"seed{cell.seed}" / name
    if not path.exists():
        recipe = ROBUST.changed(backbone=cell.backbone, size_px=cell.size_px)
        preprocessing = measure_preprocessing(
            tiles.train, cell.size_px, (), rgb_statistics=rgb_statistics(cell.backbone)
        )
        store = read_into_store(tiles.train, preprocessing, RunContext(strict=True))
        model, _ = starting_model(recipe, 3, tiles.class_names, place.weights, cell.seed)
        device = choose_device(place.device)
        view = compute_starting_features(
            Embedder(model.network, preprocessing, device), store.pixels, cell.seed
        )
        network = FeatureNetwork(model.network)
        vectors = Embedder(network, preprocessing, device).vectors(store.pixels)
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        np.savez(path, vectors=vectors, view=view.astype(np.float32))
    with np.load(path) as kept:
        return FirstLook(kept["vectors"], kept["view"])


def _model_evidence(
    cell: Cell, tiles: CellTiles, place: Place, view: NDArray[np.float32]
) -> Evidence | None:
    """By the cell's trained model, if there is one."""
    folder: Path = cell_folder(cell, place)
    if not (folder / DESCRIPTION_FILE).exists():
        return None
    model = load_model(folder, choose_device(place.device))
    evidence = ModelEvidence(model).collect(tiles.train, RunContext(strict=True))
    # As `train` keeps it now: some of these models were trained before it did.
    return replace(evidence, starting_features=view)


def _feature_evidence(tiles: CellTiles, vectors: NDArray[np.float32]) -> Evidence:
    """As `audit-labels --embeddings` gathers it."""
    ids = [tile.id for tile in tiles.train]
    given = ExternalEmbeddings("features", tiles.train, ids, vectors, frozenset())
    return EmbeddingEvidence(given).collect(tiles.train, RunContext(strict=True))


def _ours(evidence: Evidence) -> Opinion:
    labels = evidence.labels
    scores = score_labels(
        evidence.vectors, labels, evidence.prototypes, evidence.temperature, evidence.left_out
    )
    posterior, findings = assess_labels(evidence, scores, AssessmentOptions(), RunContext())
    probability = posterior.issue_probability
    return Opinion(
        -posterior.margin,
        findings.is_label_issue,
        findings.predicted,
        probability,
        float(probability.mean()),
    )


def _measured(opinion: Opinion, given: NDArray[np.int64], true: NDArray[np.int64]) -> Found:
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
    look = features_of(cell, tiles, place)
    evidence = _model_evidence(cell, tiles, place, look.view)
    if evidence is None:
        evidence = _feature_evidence(tiles, look.vectors)
    claimed = _ours(evidence).probability
    assert claimed is not None
    return claimed, tiles.given_classes() != tiles.true_classes()
