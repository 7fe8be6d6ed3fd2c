"""Evidence from a trained model: its embeddings, its prototypes and its training history."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rsretrieve.audit.estimators.unit_vectors import UnitRows
from rsretrieve.audit.evidence.evidence import Evidence, class_numbers
from rsretrieve.data.profile.measure_scale import measure_scale
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import TileSet
from rsretrieve.index.common_packing import packing_of_tiles
from rsretrieve.index.compatibility import scale_warnings
from rsretrieve.index.embed_tiles import embed_tiles
from rsretrieve.network.metadata import ModelFolder
from rsretrieve.network.model import Model
from rsretrieve.training.history.tile_history import class_sizes, read_tile_history


@dataclass(frozen=True)
class ModelEvidence:
    """Collects evidence with a trained model."""

    model: Model

    def class_names(self, tiles: TileSet) -> tuple[str, ...]:
        """The classes that the model was trained on."""
        return self.model.description.class_names

    def collect(self, tiles: TileSet, context: RunContext) -> Evidence:
        """Embed the tiles and look up their training history.

        Args:
            tiles: tiles whose labels are classes of the model.
            context: receives progress, and the tiles that cannot be read.

        Raises:
            NoUsableTiles: no tile can be read.
            TileError: a tile cannot be read, and the context is strict.
        """
        names = self.class_names(tiles)
        packing = packing_of_tiles(self.model, tiles, context)
        embedded = embed_tiles(self.model, tiles, context, packing)
        scale = measure_scale(embedded.tiles, embedded.places)
        for text in scale_warnings(self.model.description, scale):
            context.notice(text)
        audited = np.bincount(class_numbers(embedded.tiles, names), minlength=len(names))
        described = ModelFolder(self.model.folder, self.model.description)
        record = read_tile_history(described, embedded.tiles, embedded.quadrants, context)
        if record.trained_on is None and record.starting_features is None:
            context.notice(
                "the model folder does not record which tiles the model was trained on; all tiles "
                "are audited as training tiles, and wrong labels that the model learned may be "
                "missed. Train the model again to record them"
            )
        trained = class_sizes(described, names)
        known = {tile.id for tile in embedded.tiles if tile.confirmed is not None}
        learned = {name: each for name, each in record.confirmed.items() if name not in known}
        return Evidence(
            tiles=embedded.tiles.with_confirmed(learned),
            class_names=names,
            vectors=UnitRows(embedded.vectors),
            prototypes=self.model.prototypes,
            temperature=self.model.temperature,
            # A class that is rare among these tiles may have been common in training.
            class_sizes=np.maximum(audited, trained),
            places={
                tile.id: place
                for tile, place in zip(embedded.tiles, embedded.places)
                if place is not None
            },
            trained_on=record.trained_on,
            has_pixels=True,
            starting_features=record.starting_features,
            area_under_margin=record.areas,
            training_weight=record.weights,
        )
