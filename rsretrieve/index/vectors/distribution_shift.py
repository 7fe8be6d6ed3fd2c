"""Whether the new tiles of an index are like those that it was made of."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rsretrieve.index.vectors.tune import NEAREST, SAMPLED, Sample, kth_similarities
from rsretrieve.index.vectors.vector_index import VectorIndex

_USUAL = 0.99  # the share of vectors whose similarity is at the floor or above
_STRANGE_SHARE, _STRANGE_LEAST = 0.1, 5  # ten times what is usual, and more than a chance few
_FLOOR_SAMPLE = 20_000


def similarity_floor(
    index: VectorIndex, vectors: NDArray[np.float32], sample: Sample | None
) -> float | None:
    """The similarity that 99 of 100 vectors of an index reach.

    That to the centre of their cell; in an index without cells, to the tenth most similar of
    the other vectors. None for a single vector without a cell.

    Args:
        index: as it was trained.
        vectors: (N, D) what it was trained on.
        sample: of them.
    """
    rows = np.linspace(0, len(vectors) - 1, min(_FLOOR_SAMPLE, len(vectors))).astype(np.int64)
    similarities = index.centroid_similarities(vectors[rows])
    if similarities is None:
        similarities = None if sample is None else sample.bounds
    return None if similarities is None else float(np.quantile(similarities, 1 - _USUAL))


def cell_shift_warning(
    index: VectorIndex, new: NDArray[np.float32], floor: float | None
) -> str | None:
    """What to say of new vectors that lie off the cells that an index was trained to."""
    if floor is None or not len(new):
        return None
    similarities = index.centroid_similarities(new)
    share = None if similarities is None else _strange_share(similarities, floor)
    if share is None:
        return None
    return (
        f"{share:.0%} of {len(new)} new tiles lie farther from the cells of the index than "
        f"{_USUAL:.0%} of those it was trained on: recall falls as they grow in number; --update "
        "--index auto trains it anew, and embeds nothing again"
    )


def tile_shift_warning(
    old: NDArray[np.float32], new: NDArray[np.float32], floor: float | None
) -> str | None:
    """What to say of new vectors that are like none of an index's, which has no cells."""
    if floor is None or not len(new) or len(old) <= NEAREST:
        return None
    rows = np.linspace(0, len(new) - 1, min(SAMPLED, len(new))).astype(np.int64)
    share = _strange_share(kth_similarities(new[rows], old, NEAREST), floor)
    if share is None:
        return None
    return (
        f"{share:.0%} of {len(new)} new tiles are less like the tiles of the index than "
        f"{_USUAL:.0%} of those are like one another: the model may never have seen their like; "
        "search stays as exact as it was, and training it on them anew may tell them better apart"
    )


def _strange_share(similarities: NDArray[np.float32], floor: float) -> float | None:
    """The share below the floor; None where it is not worth a word."""
    strange = int((similarities < floor).sum())
    few = strange < _STRANGE_LEAST or strange < _STRANGE_SHARE * len(similarities)
    return None if few else strange / len(similarities)
