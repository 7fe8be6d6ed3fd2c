"""Judge by embeddings alone: no images, no training; the classes' robust means are prototypes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rsretrieve.audit.estimators.robust_prototypes import PASSES, robust_prototypes
from rsretrieve.audit.estimators.unit_vectors import UnitRows
from rsretrieve.audit.evidence.evidence import Evidence, class_numbers
from rsretrieve.audit.evidence.external_embeddings import GivenEmbeddings
from rsretrieve.data.labels.labels import some_of
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import TileSet
from rsretrieve.errors import LabelsError


@dataclass(frozen=True)
class EmbeddingBasis:
    """Embeddings made elsewhere as the basis of an audit."""

    embeddings: GivenEmbeddings

    def class_names(self, tiles: TileSet) -> tuple[str, ...]:
        """The labels that the tiles have."""
        return tiles.class_names

    def evidence(self, tiles: TileSet, context: RunContext) -> Evidence:
        """Estimate the prototypes from the tiles' own embeddings.

        Raises:
            InputError: a tile has no embedding.
            LabelsError: all have one label.
        """
        tiles, rows = self.embeddings.of(tiles)
        names = self._two_or_more(tiles)
        whole = len(rows) == len(self.embeddings.vectors)
        in_order = whole and bool((rows == np.arange(len(rows))).all())
        vectors = UnitRows(self.embeddings.vectors, None if in_order else rows)
        labels = class_numbers(tiles, names)
        context.start_stage("estimating the classes' prototypes", PASSES * len(tiles))
        found = robust_prototypes(vectors, labels, len(names), _advancing(context))
        return Evidence(
            tiles=tiles,
            class_names=names,
            vectors=vectors,
            prototypes=found.vectors,
            temperature=found.temperature,
            class_sizes=np.bincount(labels, minlength=len(names)),
            left_out=found.left_out,
            places=self.embeddings.places,
            has_pixels=self.embeddings.has_pixels,
        )

    def _two_or_more(self, tiles: TileSet) -> tuple[str, ...]:
        names = tiles.class_names
        if len(names) < 2:
            raise LabelsError(
                f"{tiles.source}: every tile has the same label ({some_of(names)}); wrong ones "
                "are told by another class that is nearer"
            )
        return names


def _advancing(context: RunContext) -> Callable[[int], None]:
    return context.advance
