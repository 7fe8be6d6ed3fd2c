"""Find tiles with equal embeddings and different labels, in groups of any size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from rsretrieve._core.knn import Neighbours
from rsretrieve.audit.estimators.unit_vectors import UnitRows, blocks_of
from rsretrieve.data.splitting.joined_groups import Rows, grouped_by, joined

SAME_VECTOR = 1 - 1e-6
"""Unit vectors with this cosine or a higher one count as equal."""

NO_OTHER = -1


def equal_with_another_label(
    vectors: UnitRows, neighbours: Neighbours, labels: Rows, ids: Sequence[str]
) -> Rows:
    """Find for every tile one with an equal embedding and another label.

    The neighbours of a tile are few, and which of many equal ones they are is chance. So rows
    with the same bytes are joined, too.

    Args:
        vectors: N unit rows.
        neighbours: at least one of each of N tiles.
        labels: (N,) int64 class numbers of the given labels.
        ids: N ids; of several such tiles, the one with the lowest id is taken.

    Returns:
        (N,) int64 rows, or `NO_OTHER`.
    """
    found = np.full(len(labels), NO_OTHER, np.int64)
    ones, places = np.nonzero((neighbours.similarities >= SAME_VECTOR) & (neighbours.rows >= 0))
    others = neighbours.rows[ones, places]
    rows = np.union1d(ones, others)
    if not len(rows):
        return found
    groups = grouped_by(_digests(vectors, rows), np.arange(len(rows)))
    groups = joined(groups, np.searchsorted(rows, ones), np.searchsorted(rows, others))
    names = [ids[row] for row in rows.tolist()]
    by_id = np.array(sorted(range(len(rows)), key=names.__getitem__), np.int64)
    by_group = by_id[np.argsort(groups[by_id], kind="stable")]
    ends = np.flatnonzero(np.diff(groups[by_group])) + 1
    for members in np.split(rows[by_group], ends):
        first = members[0]
        differ = members[labels[members] != labels[first]]
        if len(differ):
            found[members] = differ[0]
            found[differ] = first
    return found


def _digests(vectors: UnitRows, rows: NDArray[np.int64]) -> Iterator[bytes]:
    for block in blocks_of(len(rows), vectors.dimensions):
        for vector in vectors[rows[block]] + np.float32(0):  # −0 becomes 0
            yield blake2b(vector.tobytes(), digest_size=16).digest()
