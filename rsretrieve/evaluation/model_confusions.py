"""Which classes a model confuses: a noise table made from its embeddings."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rsretrieve.data.labels.label_noise import Transitions
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import TileSet
from rsretrieve.errors import LabelsError
from rsretrieve.index.common_packing import packing_of_tiles
from rsretrieve.index.embed_tiles import embed_tiles
from rsretrieve.network.model import Model

_TEMPERATURE = 0.1
_LEAST_SHARE = 0.01


def transitions_of_model(model: Model, tiles: TileSet, context: RunContext) -> Transitions:
    """The classes that the tiles of each class are confused with, in a model's embedding.

    Args:
        model: embeds the tiles; its own classes do not matter.
        tiles: tiles, of which those with labels are used.
        context: receives the tiles that cannot be read, and progress.

    Returns:
        See `confusions`.

    Raises:
        LabelsError: fewer than two classes.
        NoUsableTiles: no labelled tile can be read.
    """
    labelled = tiles.labelled()
    packing = packing_of_tiles(model, labelled, context)
    embedded = embed_tiles(model, labelled, context, packing)
    names = embedded.tiles.class_names
    if missing := sorted({*labelled.class_names} - {*names}):
        raise LabelsError(
            f"no tile of {missing[0]!r} can be read, so that its confusions are unknown"
        )
    if len(names) < 2:
        raise LabelsError(f"{tiles.source}: label noise needs at least two classes")
    numbers = np.array([names.index(str(tile.label)) for tile in embedded.tiles], np.int64)
    shares = confusions(embedded.vectors, numbers, len(names))
    return {
        name: {other: float(share) for other, share in zip(names, row) if share > 0}
        for name, row in zip(names, shares)
    }


def confusions(
    vectors: NDArray[np.float32], labels: NDArray[np.int64], classes: int
) -> NDArray[np.float64]:
    """For each class, the shares of the other classes that its tiles are taken for.

    The probability of a class for a tile is the softmax of its similarities to the mean vectors of
    all classes, at the temperature 0.1; the mean of its own class is taken without the tile. The
    share of class b for class a is the mean probability of b over the tiles of a, scaled so that
    the shares of a sum to 1. Shares below 0.01 are dropped first.

    Args:
        vectors: (N, D) float32, unit rows.
        labels: (N,) int64, class numbers; every class has a tile.
        classes: K.

    Returns:
        (K, K) float64; rows sum to 1, zeros on the diagonal.
    """
    sums = np.zeros((classes, vectors.shape[1]), np.float64)
    np.add.at(sums, labels, vectors)
    similarities = vectors @ _unit(sums).T
    rows, without_own = np.arange(len(labels)), _unit(sums[labels] - vectors)
    similarities[rows, labels] = (without_own * vectors).sum(axis=1)
    scaled = np.exp((similarities - similarities.max(axis=1, keepdims=True)) / _TEMPERATURE)
    probabilities = scaled / scaled.sum(axis=1, keepdims=True)
    found = np.zeros((classes, classes), np.float64)
    np.add.at(found, labels, probabilities)
    np.fill_diagonal(found, 0.0)
    found /= found.sum(axis=1, keepdims=True)
    found[found < min(_LEAST_SHARE, 1 / (2 * classes))] = 0.0
    return np.asarray(found / found.sum(axis=1, keepdims=True), np.float64)


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12), np.float64)
