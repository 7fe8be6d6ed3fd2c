"""Check that FAISS can build a kind of index, before the work starts."""

from __future__ import annotations

import difflib
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsretrieve.errors import InvalidArgument
from rsretrieve.index.vectors.choose_kind import predicted_bytes
from rsretrieve.index.vectors.faiss_loader import (
    faiss_module,
    inverted_lists_of,
    last_line,
    new_index,
    parts_of,
    quiet_training,
)

_COMMON_KEYS = ("Flat", "IVF256,Flat", "IVF1024,SQ8", "IVF4096,PQ64", "HNSW32", "SQ8", "PQ64")
_TRIED, _MOST_CELLS_TRIED = 256, 4096
_TAKE_ANY_NUMBER = ("IndexFlat", "IndexFlatIP", "IndexFlatL2", "IndexHNSWFlat")


def check_cells(key: str, count: int) -> None:
    """Refuse an index with more cells than vectors.

    Raises:
        InvalidArgument: it has.
    """
    cells = re.search(r"IVF(\d+)", key)
    if cells is not None and not 1 <= int(cells[1]) <= count:
        # FAISS would allocate all of them before it checks.
        raise InvalidArgument(
            f"FAISS cannot build {key!r} over {count} vectors "
            f"({cells[1]} cells; there can be 1 to {count})",
            hint="give --index Flat, which is exact and always fits, or another FAISS key",
        )


def check_key(key: str, dimensions: int, most: int | None = None) -> None:
    """Check that FAISS knows a kind of index and can fill it, before embeddings are computed.

    Args:
        key: kind of index in FAISS's notation.
        dimensions: D of the vectors.
        most: the largest number of vectors that there can be; None if it is not known yet.

    Raises:
        InvalidArgument: it does not, or the index has more cells than there are vectors.
    """
    if most is not None:
        check_cells(key, most)
    small = re.sub(r"IVF\d+", "IVF1", key)  # its cells are allocated
    try:
        index = new_index(small, dimensions)
        if predicted_bytes(key, 1, dimensions) is None:
            _try_to_fill(index, key)
    except RuntimeError as error:
        near = difflib.get_close_matches(key, _COMMON_KEYS, n=2, cutoff=0.4)
        raise InvalidArgument(
            f"FAISS cannot build {key!r} of {dimensions} dimensions "
            f"({last_line(error).rpartition(': ')[2]})",
            hint=f"did you mean {' or '.join(near)}?" if near else "give --index auto or Flat",
        ) from error


def _try_to_fill(index: Any, key: str) -> None:
    """Try what fails for unusual kinds at once; to train them whole would take seconds.

    Raises:
        RuntimeError: the kind takes no vectors without ids; none can be added; or there are too
            few cells to train what finds them.
    """
    ids_needed = (faiss_module().IndexIDMap, faiss_module().IndexIDMap2)
    if any(isinstance(part, ids_needed) for part in parts_of(index)):
        raise RuntimeError("IDMap needs ids, and the rows of an index have none")
    some = np.random.default_rng(0).standard_normal((_TRIED, index.d), np.float32)
    if index.is_trained:
        index.add(some)
    ivf, cells = inverted_lists_of(index), re.search(r"IVF(\d+)", key)
    if ivf is not None and cells is not None:
        count = min(int(cells[1]), _MOST_CELLS_TRIED)
        _try_to_find_cells(ivf.quantizer, np.resize(some, (count, ivf.d)))


def _try_to_find_cells(quantizer: Any, centroids: NDArray[np.float32]) -> None:
    """Fill what finds the cell of a vector, unless it is one that takes any number of centroids."""
    if type(faiss_module().downcast_index(quantizer)).__name__ in _TAKE_ANY_NUMBER:
        return
    if not quantizer.is_trained:
        with quiet_training(quantizer):
            quantizer.train(centroids)
    quantizer.add(centroids[:_TRIED])
