"""Files of vectors: the only reader of `.npy`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsretrieve.errors import InputError

_MOST_BYTES = 8  # of a number
_MOST_NUMBERS = 1 << 28  # of all queries together


def is_vector_file(name: str) -> bool:
    """Whether a name is one of a file of vectors."""
    return name.lower().endswith(".npy")


def mapped_array(path: Path) -> NDArray[Any]:
    """An array of numbers, memory-mapped: a header that promises more than there is costs nothing.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no such array.
    """
    try:
        with np.errstate(over="ignore"):  # of a shape beyond all memory
            found: NDArray[Any] = np.lib.format.open_memmap(path, mode="r")
    except FileNotFoundError:
        raise
    except Exception as error:  # a header is parsed as Python text, which raises what it likes
        raise ValueError(f"cannot be read as an array ({' '.join(str(error).split())})") from error
    if found.dtype.kind not in "fiu" or found.dtype.itemsize > _MOST_BYTES:
        raise ValueError(f"holds {found.dtype}, not numbers")
    return found


def read_vectors(path: Path, dimensions: int) -> NDArray[np.float32]:
    """Read a `.npy` file of one vector (D,) or of several (Q, D), and make them unit.

    Raises:
        InputError: no such file, another shape, numbers that are not finite, or all zero.
    """
    wanted = f"a NumPy file of one vector ({dimensions},) or of several (Q, {dimensions})"
    try:
        found = mapped_array(path)
        if found.size > _MOST_NUMBERS:
            raise ValueError(f"{found.size} numbers are too many for queries")
        vectors = np.atleast_2d(found).astype(np.float64)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file", hint=f"give {wanted}") from error
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} cannot be read as vectors ({error})", hint=f"give {wanted}"
        ) from error
    if vectors.ndim != 2 or vectors.shape[1] != dimensions or not len(vectors):
        raise InputError(
            f"{path} is of shape {found.shape}, and the index is of {dimensions} dimensions",
            hint=f"give {wanted}",
        )
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not np.isfinite(norms).all() or norms.min() == 0:
        raise InputError(f"{path}: a vector in it is zero, or not finite", hint=f"give {wanted}")
    return np.asarray(vectors / norms, np.float32)
