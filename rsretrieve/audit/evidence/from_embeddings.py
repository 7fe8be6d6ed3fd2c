"""Evidence from embeddings alone: the prototypes are robust means of the classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from rsretrieve.audit.estimators.robust_prototypes import PASSES, robust_prototypes
from rsretrieve.audit.estimators.unit_vectors import UnitRows
from rsretrieve.audit.evidence.evidence import Evidence, at_least_two_classes, class_numbers
from rsretrieve.audit.evidence.external_embeddings import ExternalEmbeddings
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import TileSet


@dataclass(frozen=True)
class EmbeddingEvidence:
    """Collects evidence from embeddings made by another program."""

    embeddings: ExternalEmbeddings

    def class_names(self, tiles: TileSet) -> tuple[str, ...]:
        """The labels of the tiles."""
        return tiles.class_names

    def collect(self, tiles: TileSet, context: RunContext) -> Evidence:
        """Estimate the prototypes from the embeddings of the tiles.

        Args:
            tiles: tiles with labels.
            context: receives progress.

        Raises:
            InputError: a tile has no embedding.
            LabelsError: all tiles have the same label.
        """
        tiles, rows = self.embeddings.rows_for(tiles)
        names = at_least_two_classes(tiles)
        whole = len(rows) == len(self.embeddings.vectors)
        in_order = whole and bool((rows == np.arange(len(rows))).all())
        vectors = UnitRows(self.embeddings.vectors, None if in_order else rows)
        found = evidence_of_vectors(tiles, names, vectors, context)
        return replace(found, places=self.embeddings.places, has_pixels=self.embeddings.has_pixels)


def _as_one_pass(context: RunContext) -> Callable[[int], None]:
    """Reports the progress of `PASSES` passes over the tiles as that of one."""
    done = 0

    def advance(tiles: int) -> None:
        nonlocal done
        before, done = done, done + tiles
        context.advance(done // PASSES - before // PASSES)

    return advance


def evidence_of_vectors(
    tiles: TileSet, names: tuple[str, ...], vectors: UnitRows, context: RunContext
) -> Evidence:
    """The evidence of embeddings, with prototypes that are estimated from them.

    Args:
        tiles: N tiles, each with a label in `names`.
        names: the K classes.
        vectors: (N, D) the embeddings.
        context: receives progress.
    """
    labels = class_numbers(tiles, names)
    context.start_stage("estimating prototypes", len(tiles))
    # Samples do not depend on the order in which the tiles were given.
    by_id = np.array(sorted(range(len(tiles)), key=lambda row: tiles[row].id), np.int64)
    found = robust_prototypes(vectors, labels, len(names), _as_one_pass(context), by_id)
    return Evidence(
        tiles=tiles,
        class_names=names,
        vectors=vectors,
        prototypes=found.vectors,
        temperature=found.temperature,
        class_sizes=np.bincount(labels, minlength=len(names)),
        left_out=found.left_out,
    )
