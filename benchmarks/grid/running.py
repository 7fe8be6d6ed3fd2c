"""Run one cell, and measure what comes of it."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import torch

from grid.baselines import (
    Embedded,
    confident_learning,
    cross_entropy,
    early_learning,
    frozen,
    small_loss,
)
from grid.cells import Cell, Method
from grid.data import CellTiles, Place, cell_tiles
from grid.training import CPU_FILE, trained_model
from rsretrieve._core.tables import read_table
from rsretrieve.audit.estimators.prototype_scores import score_labels
from rsretrieve.audit.estimators.unit_vectors import UnitRows
from rsretrieve.data.run_context import RunContext
from rsretrieve.evaluation.label_error_metrics import auroc, average_precision
from rsretrieve.evaluation.retrieval_metrics import (
    LabelledVectors,
    measure_queries,
    normalized_mutual_information,
    retrieval_figures,
)
from rsretrieve.index.embed_tiles import embed_tiles
from rsretrieve.index.vectors.fit import spherical_kmeans
from rsretrieve.network.device import choose_device, describe_device
from rsretrieve.network.model_folder import HISTORY_FILE


@dataclass(frozen=True)
class Figures:
    """What is measured of a cell; NaN where it is not defined.

    Attributes:
        wrong: share of training labels that are wrong, as drawn.
        knn_clean: K-NN accuracy of the test tiles in the training tiles with true labels.
        knn_given: the same with the training labels as given.
        knn_least: the same as `knn_clean` of the class where it is lowest.
        map, map_at_r, p20, nmi: of the test tiles, in the gallery with true labels.
        audit_auroc, audit_ap: of the training labels, by similarity to prototypes.
        cleanlab_auroc, cleanlab_ap: of the same labels, by cleanlab on the same vectors.
        knn_drop: best epoch's validation K-NN less the last's, where a training kept them.
        train_s, train_cpu_s: wall and processor seconds of the training alone.
        threads: of PyTorch.
        device: what computed.
    """

    wrong: float
    knn_clean: float
    knn_given: float
    knn_least: float
    map: float
    map_at_r: float
    p20: float
    nmi: float
    audit_auroc: float
    audit_ap: float
    cleanlab_auroc: float
    cleanlab_ap: float
    knn_drop: float
    train_s: float
    train_cpu_s: float
    threads: int
    device: str


@dataclass(frozen=True)
class _Trained:
    """What a method made of a cell, and what it took."""

    embedded: Embedded
    knn_drop: float
    wall_s: float
    cpu_s: float


def run_cell(cell: Cell, place: Place) -> Figures:
    """Train and measure; a training that was interrupted is gone on with."""
    tiles = cell_tiles(cell, place, lambda other: trained_model(other, place))
    trained = _train(cell, tiles, place)
    return _measure(cell, tiles, trained, place)


def _train(cell: Cell, tiles: CellTiles, place: Place) -> _Trained:
    baselines = {
        Method.CROSS_ENTROPY: cross_entropy,
        Method.EARLY_LEARNING: early_learning,
        Method.SMALL_LOSS: small_loss,
        Method.FROZEN: frozen,
    }
    if cell.method in baselines:
        wall, cpu = time.perf_counter(), time.process_time()
        embedded = baselines[cell.method](cell, tiles, place)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        return _Trained(embedded, np.nan, wall, cpu)
    model = trained_model(cell, place)
    context = RunContext(strict=True)
    embedded = Embedded(
        train=embed_tiles(model, tiles.train, context).vectors,
        test=embed_tiles(model, tiles.test, context).vectors,
        prototypes=model.prototypes,
        temperature=model.temperature,
    )
    rows = [row for _, row in read_table(model.folder / HISTORY_FILE, ())]
    accuracies = [float(row["validation_accuracy"]) for row in rows]
    seconds = sum(float(row["seconds"]) for row in rows)
    cpu = float((model.folder / CPU_FILE).read_text())
    return _Trained(embedded, max(accuracies) - accuracies[-1], seconds, cpu)


def _measure(cell: Cell, tiles: CellTiles, trained: _Trained, place: Place) -> Figures:
    embedded = trained.embedded
    given, true, test = tiles.given_classes(), tiles.true_classes(), tiles.test_classes()
    queries, nobody = LabelledVectors(embedded.test, test), np.full(len(test), -1)
    by_query = measure_queries(queries, LabelledVectors(embedded.train, true), nobody)
    clean = by_query.mean()
    recalls = [by_query.of_label(number).mean().knn_accuracy for number in np.unique(test)]
    as_given = retrieval_figures(queries, LabelledVectors(embedded.train, given), nobody)
    wrong = given != true
    scores = score_labels(
        UnitRows(embedded.train), given, embedded.prototypes, embedded.temperature
    )
    others = confident_learning(embedded.train, given, cell.seed)
    clusters = spherical_kmeans(embedded.test, len(tiles.class_names), cell.seed)
    return Figures(
        wrong=float(wrong.mean()),
        knn_clean=clean.knn_accuracy,
        knn_given=as_given.knn_accuracy,
        knn_least=min(recalls),
        map=clean.map,
        map_at_r=clean.map_at_r,
        p20=clean.precision_at[20],
        nmi=normalized_mutual_information(test, clusters),
        audit_auroc=_or_nan(auroc(-scores.margin, wrong)),
        audit_ap=_or_nan(average_precision(-scores.margin, wrong)),
        cleanlab_auroc=_or_nan(auroc(others, wrong)),
        cleanlab_ap=_or_nan(average_precision(others, wrong)),
        knn_drop=trained.knn_drop,
        train_s=trained.wall_s,
        train_cpu_s=trained.cpu_s,
        threads=torch.get_num_threads(),
        device=describe_device(choose_device(place.device)),
    )


def _or_nan(figure: float | None) -> float:
    return np.nan if figure is None else figure
