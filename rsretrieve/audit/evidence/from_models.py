"""Evidence from one model, or from several of the same classes, such as trainings with other seeds.

The embeddings of several models are put side by side, so that the similarity of two tiles, or of a
tile and a prototype, is the mean over the models. The classifiers of each model are used beside
one another: see `classifiers_of_models`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsretrieve.audit.estimators.unit_vectors import UnitRows
from rsretrieve.audit.evidence.evidence import Evidence, EvidenceSource, mean_of_known
from rsretrieve.audit.evidence.from_model import ModelEvidence
from rsretrieve.audit.evidence.from_untrained_model import UntrainedEvidence
from rsretrieve.audit.evidence.same_classes import check_same_classes
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import TileSet
from rsretrieve.network.metadata import ModelFolder
from rsretrieve.network.model import Model


def evidence_by(models: Sequence[Model]) -> EvidenceSource:
    """The evidence by models.

    Args:
        models: one model that was trained on labels or not, or several that were.

    Raises:
        InputError: there are several, and they cannot be averaged; see `check_same_classes`.
    """
    if len(models) > 1:
        return SeveralModels(tuple(ModelEvidence(model) for model in models))
    is_trained = bool(models[0].description.class_names)
    return ModelEvidence(models[0]) if is_trained else UntrainedEvidence(models[0])


@dataclass(frozen=True)
class SeveralModels:
    """Collects evidence with several trained models.

    Attributes:
        sources: one for each model. Sizes, backbones and dimensions may differ.

    Raises:
        InputError: see `check_same_classes`.
    """

    sources: tuple[ModelEvidence, ...]

    def __post_init__(self) -> None:
        models = (source.model for source in self.sources)
        check_same_classes([ModelFolder(model.folder, model.description) for model in models])

    def class_names(self, tiles: TileSet) -> tuple[str, ...]:
        """The classes that the models were trained on."""
        return self.sources[0].class_names(tiles)

    def collect(self, tiles: TileSet, context: RunContext) -> Evidence:
        """Embed the tiles by every model; a tile that one of them cannot use is left out.

        Args:
            tiles: tiles whose labels are classes of the models.
            context: receives progress, and the tiles that cannot be read.

        Raises:
            NoUsableTiles: no tile can be read.
            TileError: a tile cannot be read, and the context is strict.
        """
        members: list[Evidence] = []
        for source in self.sources:
            members.append(source.collect(tiles, context))
            tiles = members[-1].tiles  # a tile that failed is not read again
        return joined([_of_tiles(each, tiles) for each in members])


def joined(members: Sequence[Evidence]) -> Evidence:
    """The evidence by several models as one.

    Args:
        members: of the same N tiles, by each model.
    """
    rows = np.arange(len(members[0].tiles))
    places = {name: place for each in reversed(members) for name, place in each.places.items()}
    is_known = all(each.trained_on is not None for each in members)
    return Evidence(
        tiles=members[-1].tiles,
        class_names=members[0].class_names,
        vectors=UnitRows(_side_by_side([each.vectors[rows] for each in members])),
        prototypes=_side_by_side([each.prototypes for each in members]),
        temperature=float(np.mean([each.temperature for each in members])),
        class_sizes=np.max([each.class_sizes for each in members], axis=0),
        places=places,
        trained_on=np.any([each.seen for each in members], axis=0) if is_known else None,
        has_pixels=True,
        area_under_margin=_mean([each.area_under_margin for each in members]),
        training_weight=_mean([each.training_weight for each in members]),
        members=tuple(members),
    )


def _side_by_side(rows: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Unit rows whose products are the mean of the products of the parts."""
    return np.concatenate(rows, axis=1) * np.float32(len(rows) ** -0.5)


def _mean(values: Sequence[NDArray[np.float32] | None]) -> NDArray[np.float32] | None:
    known = [each for each in values if each is not None]
    return mean_of_known(known) if known else None


def _of_tiles(evidence: Evidence, tiles: TileSet) -> Evidence:
    """The evidence of some of its tiles, with their decisions."""
    row_of = {tile.id: row for row, tile in enumerate(evidence.tiles)}
    rows = np.array([row_of[tile.id] for tile in tiles], np.int64)
    return evidence.taken(rows).of(tiles)
