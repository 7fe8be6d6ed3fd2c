"""Evidence from a model that was not trained on the classes of the tiles: its embeddings."""

from __future__ import annotations

from dataclasses import dataclass, replace

from rsretrieve.audit.estimators.unit_vectors import UnitRows
from rsretrieve.audit.evidence.evidence import Evidence, at_least_two_classes
from rsretrieve.audit.evidence.from_embeddings import evidence_of_vectors
from rsretrieve.data.profile.measure_scale import measure_scale
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import TileSet
from rsretrieve.index.common_packing import packing_of_tiles
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
        packing = packing_of_tiles(self.model, tiles, context)
        embedded = embed_tiles(self.model, tiles, context, packing)
        names = at_least_two_classes(embedded.tiles)
        scale = measure_scale(embedded.tiles, embedded.places)
        for text in scale_warnings(self.model.description, scale):
            context.notice(text)
        found = evidence_of_vectors(embedded.tiles, names, UnitRows(embedded.vectors), context)
        pairs = zip(embedded.tiles, embedded.places)
        places = {tile.id: place for tile, place in pairs if place is not None}
        return replace(found, places=places, has_pixels=True)
