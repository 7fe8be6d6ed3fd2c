"""Where each tile of an index lies: on the Earth, and in a flat map of the embedding."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from rsretrieve.index.store.columns import Footprints
from rsretrieve.index.store.folder import IndexStore

FlatMap = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Makes (N, 2) points of (N, D) vectors."""
COLUMNS = ("longitude", "latitude", "x", "y", "label")
_SAMPLED, _BLOCK = 20_000, 65_536


def points_of(
    store: IndexStore, label_numbers: NDArray[np.int32], flat: FlatMap
) -> NDArray[np.float32]:
    """The points of all tiles.

    Args:
        store: the index.
        label_numbers: (N,) the number of each tile's label, −1 without one.
        flat: makes the map of similarity.

    Returns:
        (N, 5) float32, see `COLUMNS`: centre of the footprint in degrees (NaN without a place), the
        place on the map of similarity, −1…1, and the label's number.
    """
    points = np.full((len(store.rows), len(COLUMNS)), np.nan, np.float32)
    footprints = Footprints.of(store.rows)
    if len(footprints):
        west, south, east, north = footprints.boxes().T
        middle = (west + east) / 2 + 180.0 * (east < west)
        points[footprints.rows, 0] = (middle + 180.0) % 360.0 - 180.0
        points[footprints.rows, 1] = (south + north) / 2
    points[:, 2:4] = flat(store.vectors)
    points[:, 4] = label_numbers
    return points


def principal_plane(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, 2) the two largest principal components of (N, D) vectors, scaled to −1…1.

    The axes are those of at most 20,000 evenly spaced rows; each points to where its largest
    weight is positive, so that the map does not depend on the library.

    >>> principal_plane(np.array([[1, 0], [0, 1], [0.8, 0.6]], np.float32)).round(2).shape
    (3, 2)
    """
    sample = np.asarray(vectors[:: -(-len(vectors) // _SAMPLED)], np.float64)
    mean = sample.mean(axis=0)
    _, axes = np.linalg.eigh((sample - mean).T @ (sample - mean))
    axes = axes[:, ::-1][:, :2]
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    flat = np.zeros((len(vectors), 2))
    for start in range(0, len(vectors), _BLOCK):
        block = np.asarray(vectors[start : start + _BLOCK], np.float64)
        flat[start : start + _BLOCK, : axes.shape[1]] = (block - mean) @ axes
    return scaled(flat)


def scaled(flat: NDArray[np.float64]) -> NDArray[np.float32]:
    """(N, 2) points, each axis scaled to −1…1 around 0."""
    largest = np.abs(flat).max(axis=0)
    return (flat / np.where(largest > 0, largest, 1.0)).astype(np.float32)
