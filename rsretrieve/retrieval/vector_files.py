"""Vectors made elsewhere, as queries."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rsretrieve.errors import InputError


def is_vector_file(name: str) -> bool:
    """Whether a name is one of a file of vectors."""
    return name.lower().endswith(".npy")


def read_vectors(path: Path, dimensions: int) -> NDArray[np.float32]:
    """Read a `.npy` file of one vector (D,) or of several (Q, D), and make them unit.

    Raises:
        InputError: no such file, another shape, numbers that are not finite, or all zero.
    """
    wanted = f"a NumPy file of one vector ({dimensions},) or of several (Q, {dimensions})"
    try:
        with path.open("rb") as stream:
            found = np.lib.format.read_array(stream, allow_pickle=False)
        if found.dtype.kind not in "fiu":
            raise ValueError("it holds no numbers")
        vectors = np.atleast_2d(found).astype(np.float64)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file", hint=f"give {wanted}") from error
    except (OSError, ValueError, EOFError) as error:
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
