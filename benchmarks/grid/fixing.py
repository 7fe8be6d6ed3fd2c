"""Train, audit, mend the labels, train again: what the second training gains by each mending."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from grid.cells import Cell
from grid.data import CellTiles, Place, cell_folder, cell_tiles
from grid.reviewing import Reviewer, review_in_rounds
from grid.training import model_in, trained_model
from rsretrieve.audit.audit import AuditRequest, audit_labels
from rsretrieve.audit.evidence.from_model import ModelEvidence
from rsretrieve.audit.result import Audit
from rsretrieve.audit.result_table import plain_values
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import TileSet
from rsretrieve.evaluation.retrieval_metrics import LabelledVectors, retrieval_figures
from rsretrieve.index.embed_tiles import embed_tiles
from rsretrieve.network.model import Model


class Mending(StrEnum):
    """What is done to the labels before a training."""

    NOTHING = "as given"
    DROPPED = "flagged tiles dropped"
    FIXED = "fixed labels"
    REVIEWED = "reviewed in rounds"


@dataclass(frozen=True)
class Gain:
    """What is measured of a training.

    Attributes:
        tiles: how many it learned from.
        wrong: share of their labels that are wrong.
        map, knn: of the test tiles, among all training tiles with true labels.
    """

    tiles: int
    wrong: float
    map: float
    knn: float


def gain_by(mending: Mending, cell: Cell, place: Place) -> Gain:
    """Train a cell's method on mended labels, or take the model that was trained so; measure."""
    tiles = cell_tiles(cell, place, lambda other: trained_model(other, place))
    model = trained_model(cell, place)
    taught = tiles
    if mending is not Mending.NOTHING:
        taught = replace(tiles, train=_mended(tiles, ModelEvidence(model), mending, cell.seed))
        folder = cell_folder(cell, place)
        folder = folder.with_name(f"{folder.name}-{mending.replace(' ', '-')}")
        model = model_in(folder, cell, taught, place)
    return _measured(model, tiles, taught)


def _mended(tiles: CellTiles, source: ModelEvidence, mending: Mending, seed: int) -> TileSet:
    if mending is Mending.REVIEWED:
        *_, last = review_in_rounds(tiles.train, source, Reviewer(tiles.true_labels, seed))
        return last.tiles
    audit = audit_labels(AuditRequest(tiles.train, source), RunContext(strict=True))
    return mended(tiles.train, audit, mending)


def mended(tiles: TileSet, audit: Audit, mending: Mending) -> TileSet:
    """Tiles with the labels that a training gets."""
    if mending is Mending.FIXED:
        return tiles.relabelled(audit.fixed_labels())
    flagged = set(plain_values(audit.issues["tile"]))
    return tiles.select([row for row, tile in enumerate(tiles) if tile.id not in flagged])


def _measured(model: Model, tiles: CellTiles, taught: CellTiles) -> Gain:
    context, test = RunContext(strict=True), tiles.test_classes()
    figures = retrieval_figures(
        LabelledVectors(embed_tiles(model, tiles.test, context).vectors, test),
        LabelledVectors(embed_tiles(model, tiles.train, context).vectors, tiles.true_classes()),
        np.full(len(test), -1),
    )
    wrong = taught.given_classes() != taught.true_classes()
    return Gain(len(wrong), float(wrong.mean()), figures.map, figures.knn_accuracy)
