"""Detect new tiles that differ from the tiles that an index was built from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rsretrieve._core.knn import knn_search
from rsretrieve.index.vectors.tune import (
    COMPARED_BLOCK,
    NEAREST,
    SAMPLED,
    Sample,
    evenly_spaced_rows,
)
from rsretrieve.index.vectors.vector_index import VectorIndex

_USUAL = 0.99  # the share of vectors whose similarity is at least the floor
_LEAST_SHARE, _LEAST_COUNT = 0.1, 5  # ten times the usual share, and more than a few by chance
_FLOOR_SAMPLE = 20_000


def similarity_floor(
    index: VectorIndex, vectors: NDArray[np.float32], sample: Sample | None
) -> float | None:
    """The similarity that 99% of the vectors of an index reach.

    The similarity is that to the centroid of the vector's cell; in an index without cells, that
    to its tenth nearest neighbour.

    Args:
        index: as it was trained.
        vectors: (N, D) float32, the vectors that it was trained on.
        sample: some of them; None if there is only one vector.

    Returns:
        The first percentile of the similarities; None for a single vector without a cell.
    """
    similarities = index.centroid_similarities(
        vectors[evenly_spaced_rows(len(vectors), _FLOOR_SAMPLE)]
    )
    if similarities is None:
        similarities = None if sample is None else sample.kth_similarities
    return None if similarities is None else float(np.quantile(similarities, 1 - _USUAL))


def cell_shift_warning(
    index: VectorIndex, new: NDArray[np.float32], floor: float | None
) -> str | None:
    """A warning if many new vectors are far from the cells that an index was trained with.

    Args:
        index: an index with cells.
        new: (M, D) float32, the vectors that an update adds.
        floor: see `similarity_floor`; None gives no warning.
    """
    if floor is None or not len(new):
        return None
    similarities = index.centroid_similarities(new)
    share = None if similarities is None else _outlying_share(similarities, floor)
    if share is None:
        return None
    return (
        f"{share:.0%} of {len(new)} new tiles are farther from the cells of the index than "
        f"{_USUAL:.0%} of the tiles it was trained on; recall falls as their number grows. "
        "--update --index auto, or --index with its own kind, trains the index again, without "
        "embedding tiles again"
    )


def tile_shift_warning(
    old: NDArray[np.float32], new: NDArray[np.float32], floor: float | None
) -> str | None:
    """A warning if many new vectors resemble no vector of an index without cells.

    Args:
        old: (N, D) float32, the vectors of the index.
        new: (M, D) float32, the vectors that an update adds.
        floor: see `similarity_floor`; None gives no warning.
    """
    if floor is None or not len(new) or len(old) <= NEAREST:
        return None
    queries = new[evenly_spaced_rows(len(new), SAMPLED)]
    found = knn_search(queries, old, NEAREST, gallery_block=COMPARED_BLOCK)
    share = _outlying_share(found.similarities[:, -1], floor)
    if share is None:
        return None
    return (
        f"{share:.0%} of {len(new)} new tiles are less similar to the tiles of the index than "
        f"{_USUAL:.0%} of those are to each other: the model may not have been trained on such "
        "tiles. Search stays exact; a model trained on the new tiles may separate them better"
    )


def _outlying_share(similarities: NDArray[np.float32], floor: float) -> float | None:
    """The share of similarities below the floor; None if it is not remarkable."""
    outlying = int((similarities < floor).sum())
    few = outlying < _LEAST_COUNT or outlying < _LEAST_SHARE * len(similarities)
    return None if few else outlying / len(similarities)
