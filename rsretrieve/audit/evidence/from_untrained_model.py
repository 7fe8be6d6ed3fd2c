"""Evidence from a model that was not trained on the classes of the tiles: its embeddings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rsretrieve.audit.estimators.robust_prototypes import PASSES, robust_prototypes
from rsretrieve.audit.estimators.unit_vectors import UnitRows
from rsretrieve.audit.evidence.evidence import Evidence, at_least_two_classes, class_numbers
from rsretrieve.data.profile.measure_scale import measure_scale
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import TileSet
from rsretrieve.index.compatibility import scale_warnings
from rsretrieve.index.embed_tiles import embed_tiles
from rsretrieve.network.model import Model


@dataclass(frozen=True)
class UntrainedEvidence:
    """Collects evidence with a model whose classes are not those of the tiles.

    Attributes:
        model: embeds the tiles; its prototypes are not used.
    """

    model: Model

    def class_names(self, tiles: TileSet) -> tuple[str, ...]:
        """The labels of the tiles."""
        return tiles.class_names

    def collect(self, tiles: TileSet, context: RunContext) -> Evidence:
        """Embed the tiles, and estimate the prototypes from the embeddings.

        Args:
            tiles: tiles with labels.
            context: receives progress, and the tiles that cannot be read.

        Raises:
            LabelsError: all tiles have the same label.
            NoUsableTiles: no tile can be read.
            TileError: a tile cannot be read, and the context is strict.
        """
        at_least_two_classes(tiles)
        embedded = embed_tiles(self.model, tiles, context)
        names = at_least_two_classes(embedded.tiles)
        scale = measure_scale(embedded.tiles, embedded.places)
        for text in scale_warnings(self.model.description, scale):
            context.notice(text)
        vectors, labels = UnitRows(embedded.vectors), class_numbers(embedded.tiles, names)
        context.start_stage("estimating prototypes", PASSES * len(embedded.tiles))
        found = robust_prototypes(vectors, labels, len(names), context.advance)
        pairs = zip(embedded.tiles, embedded.places)
        return Evidence(
            tiles=embedded.tiles,
            class_names=names,
            vectors=vectors,
            prototypes=found.vectors,
            temperature=found.temperature,
            class_sizes=np.bincount(labels, minlength=len(names)),
            left_out=found.left_out,
            places={tile.id: place for tile, place in pairs if place is not None},
            has_pixels=True,
        )
