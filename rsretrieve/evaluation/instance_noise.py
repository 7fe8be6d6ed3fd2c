"""Instance-dependent label noise: tiles similar to another class get its label."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rsretrieve.data.labels.label_noise import corrupt_by_instance
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import TileSet
from rsretrieve.index.common_packing import packing_of_tiles
from rsretrieve.index.embed_tiles import embed_tiles
from rsretrieve.network.model import Model


def corrupt_with_model(
    model: Model,
    tiles: TileSet,
    rate: float,
    seed: int,
    context: RunContext,
    *,
    exact: bool = False,
) -> dict[str, str]:
    """Corrupt labels by `corrupt_by_instance`, with similarities in a model's embedding.

    Tiles that cannot be read keep their label.

    Args:
        model: embeds the tiles.
        tiles: tiles, of which those with labels are used.
        rate: share of labels to corrupt, 0…1.
        seed: random seed.
        context: receives the tiles that cannot be read, and progress.
        exact: exactly this share of the tiles that can be read gets a wrong label.

    Returns:
        Tile id → label.

    Raises:
        NoUsableTiles: no labelled tile can be read.
    """
    labelled = tiles.labelled()
    packing = packing_of_tiles(model, labelled, context)
    embedded = embed_tiles(model, labelled, context, packing)
    names = embedded.tiles.class_names
    labels = np.array([names.index(str(tile.label)) for tile in embedded.tiles], np.int64)
    similarities = embedded.vectors @ class_means(embedded.vectors, labels, len(names)).T
    corrupted = corrupt_by_instance(embedded.tiles, rate, similarities, names, seed, exact=exact)
    return {tile.id: corrupted.get(tile.id, str(tile.label)) for tile in labelled}


def class_means(
    vectors: NDArray[np.float32], labels: NDArray[np.int64], classes: int
) -> NDArray[np.float32]:
    """The L2-normalised mean vector of each class.

    Args:
        vectors: (N, D) float32, unit rows.
        labels: (N,) int64, class numbers.
        classes: K.

    Returns:
        (K, D) float32; zero for a class without tiles.
    """
    sums = np.zeros((classes, vectors.shape[1]), np.float64)
    np.add.at(sums, labels, vectors)
    norms = np.linalg.norm(sums, axis=1, keepdims=True)
    return np.asarray(sums / np.maximum(norms, 1e-12), np.float32)
