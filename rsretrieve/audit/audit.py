"""Audit the labels of tiles with a trained model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsretrieve.audit.scores import LabelScores, score_labels
from rsretrieve.audit.truth import AuditFigures, audit_figures
from rsretrieve.errors import LabelsError
from rsretrieve.learning.model import Model
from rsretrieve.progress import Listener, Noticed, StageStarted, unheard
from rsretrieve.retrieval.embedding import embed_tiles
from rsretrieve.tiles.labels import some_of
from rsretrieve.tiles.records import Tile, TileSet
from rsretrieve.tiles.stream import FailureLog


@dataclass(frozen=True)
class AuditedTile:
    """A tile's label and what the audit makes of it; the columns of the audit's CSV.

    Attributes:
        tile: the tile, with its given label.
        predicted_label: the class of the nearest prototype: the label suggested.
        is_label_issue: the given label is thought wrong.
        label_score: 0…1, lower is worse.
        own_similarity, predicted_similarity: to the two labels' prototypes.
    """

    tile: Tile
    predicted_label: str
    is_label_issue: bool
    label_score: float
    own_similarity: float
    predicted_similarity: float


@dataclass(frozen=True)
class ClassIssues:
    """The issues among the tiles given one label."""

    label: str
    tiles: int
    issues: int

    @property
    def noise_rate(self) -> float:
        """Share of issues."""
        return self.issues / self.tiles


@dataclass(frozen=True)
class Audit:
    """The audited tiles, worst first; the issues by class; figures where the truth is known."""

    tiles: tuple[AuditedTile, ...]
    per_class: tuple[ClassIssues, ...]
    figures: AuditFigures | None

    @property
    def issues(self) -> tuple[AuditedTile, ...]:
        """The tiles whose labels are thought wrong, worst first."""
        return tuple(audited for audited in self.tiles if audited.is_label_issue)

    @property
    def noise_rate(self) -> float:
        """Share of issues."""
        return len(self.issues) / len(self.tiles)

    def fixed_labels(self) -> dict[str, str]:
        """Tile id → label, the suggested one where the given one is thought wrong."""
        return {
            audited.tile.id: audited.predicted_label
            if audited.is_label_issue
            else str(audited.tile.label)
            for audited in sorted(self.tiles, key=lambda audited: audited.tile.id)
        }


def audit_labels(
    model: Model,
    tiles: TileSet,
    log: FailureLog,
    listener: Listener = unheard,
    true_labels: Mapping[str, str] | None = None,
) -> Audit:
    """Judge the given label of every tile.

    Args:
        model: gives embeddings and prototypes.
        tiles: tiles with labels.
        log: takes the tiles that cannot be read.
        listener: is told how the work goes.
        true_labels: tile id → true label, to measure the audit by; must name every tile.

    Raises:
        LabelsError: no tile has a label that the model knows, or `true_labels` lacks one.
    """
    names = model.description.class_names
    known = _auditable(tiles, names, listener)
    if true_labels is not None:
        _require_truth(known, true_labels)
    embedded = embed_tiles(model, known, log, listener)
    listener(StageStarted("auditing labels"))
    numbers = {name: number for number, name in enumerate(names)}
    labels = np.array([numbers[str(tile.label)] for tile in embedded.tiles], np.int64)
    scores = score_labels(embedded.vectors, labels, model.prototypes, model.temperature)
    figures = None
    if true_labels is not None:
        figures = _figures(embedded.tiles, scores, names, true_labels)
    return Audit(
        tiles=_worst_first(embedded.tiles, scores, names),
        per_class=_per_class(labels, scores.is_issue, names),
        figures=figures,
    )


def _auditable(tiles: TileSet, names: tuple[str, ...], listener: Listener) -> TileSet:
    labelled = tiles.labelled()
    if left_out := len(tiles) - len(labelled):
        listener(Noticed(f"{left_out} tiles have no label to audit and are left out"))
    known = labelled.select([i for i, tile in enumerate(labelled) if tile.label in names])
    unknown = sorted(set(labelled.class_names) - set(names))
    if not len(known):
        raise LabelsError(
            f"{tiles.source}: not one tile has a label that the model knows (the model knows "
            f"{some_of(names)}; the tiles have {some_of(unknown) or 'no labels'})",
            hint="class sub-folders are the labels, or give --labels FILE.csv (tile,label)",
        )
    if unknown:
        listener(
            Noticed(
                f"{len(labelled) - len(known)} tiles have labels that the model does not know "
                f"({some_of(unknown)}) and are left out"
            )
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


def _worst_first(
    tiles: TileSet, scores: LabelScores, names: tuple[str, ...]
) -> tuple[AuditedTile, ...]:
    order = np.argsort(scores.margin, kind="stable")
    return tuple(
        AuditedTile(
            tile=tiles[i],
            predicted_label=names[scores.predicted[i]],
            is_label_issue=bool(scores.is_issue[i]),
            label_score=float(scores.label_score[i]),
            own_similarity=float(scores.own_similarity[i]),
            predicted_similarity=float(scores.predicted_similarity[i]),
        )
        for i in map(int, order)
    )


def _per_class(
    labels: NDArray[np.int64], is_issue: NDArray[np.bool_], names: tuple[str, ...]
) -> tuple[ClassIssues, ...]:
    tiles = np.bincount(labels, minlength=len(names))
    issues = np.bincount(labels, weights=is_issue, minlength=len(names))
    return tuple(
        ClassIssues(name, int(tiles[c]), int(issues[c])) for c, name in enumerate(names) if tiles[c]
    )


def _figures(
    tiles: TileSet, scores: LabelScores, names: tuple[str, ...], true_labels: Mapping[str, str]
) -> AuditFigures:
    true = [true_labels[tile.id] for tile in tiles]
    wrong = np.array([tile.label != label for tile, label in zip(tiles, true)])
    right = np.array([names[p] == label for p, label in zip(scores.predicted, true)])
    return audit_figures(-scores.margin, scores.is_issue, wrong, right)
