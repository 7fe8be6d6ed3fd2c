"""Judge by a trained model: its embedding, its prototypes, its temperature."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rsretrieve.audit.estimators.unit_vectors import UnitRows
from rsretrieve.audit.evidence.evidence import Evidence, class_numbers
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import TileSet
from rsretrieve.index.embed_tiles import embed_tiles
from rsretrieve.network.metadata import ModelFolder
from rsretrieve.network.model import Model
from rsretrieve.training.history.tile_history import class_sizes, read_tile_history


@dataclass(frozen=True)
class ModelBasis:
    """A trained model as the basis of an audit."""

    model: Model

    def class_names(self, tiles: TileSet) -> tuple[str, ...]:
        """The classes that the model was trained on, whatever labels the tiles have."""
        return self.model.description.class_names

    def evidence(self, tiles: TileSet, context: RunContext) -> Evidence:
        """Embed the tiles.

        Raises:
            NoUsableTiles: not one can be read.
            TileError: one cannot, and `log` is strict.
        """
        names = self.class_names(tiles)
        embedded = embed_tiles(self.model, tiles, context)
        audited = np.bincount(class_numbers(embedded.tiles, names), minlength=len(names))
        described = ModelFolder(self.model.folder, self.model.description)
        record = read_tile_history(described, embedded.tiles, embedded.quadrants, context)
        trained = class_sizes(described, names)
        return Evidence(
            tiles=embedded.tiles,
            class_names=names,
            vectors=UnitRows(embedded.vectors),
            prototypes=self.model.prototypes,
            temperature=self.model.temperature,
            # Of a class that is rare here the model may have seen many.
            class_sizes=np.maximum(audited, trained),
            places={
                tile.id: place
                for tile, place in zip(embedded.tiles, embedded.places)
                if place is not None
            },
            has_pixels=True,
            first_view=record.starting_features,
            areas=record.areas,
            weights=record.weights,
        )
