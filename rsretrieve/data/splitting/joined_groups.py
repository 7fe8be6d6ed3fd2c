"""Join rows into groups by pairs: the connected components of a graph."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]


def joined(groups: Rows, ones: Rows, others: Rows) -> Rows:
    """Unite the groups of the rows of each pair.

    Args:
        groups: (N,) the group of each row, named by the lowest row in it.
        ones: (P,) rows.
        others: (P,) rows.

    Returns:
        (N,) the groups afterwards, named alike.
    """
    while True:
        a, b = groups[ones], groups[others]
        differ = a != b
        if not differ.any():
            return groups
        low, high = np.minimum(a, b)[differ], np.maximum(a, b)[differ]
        parents = np.arange(len(groups))
        np.minimum.at(parents, high, low)
        while (above := parents[parents]).tobytes() != parents.tobytes():
            parents = above
        groups = parents[groups]


def grouped_by(keys: Iterable[Hashable | None], groups: Rows) -> Rows:
    """Unite the groups of all rows with equal keys.

    Args:
        keys: a key for each of N rows; a row whose key is None stays as it is.
        groups: (N,) as for `joined`.
    """
    first: dict[Hashable, int] = {}
    ones, others = [], []
    for row, key in enumerate(keys):
        if key is not None and (known := first.setdefault(key, row)) != row:
            ones.append(known)
            others.append(row)
    return joined(groups, np.array(ones, np.int64), np.array(others, np.int64))
