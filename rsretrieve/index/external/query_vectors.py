"""Read `.npy` files of vectors. The only module that does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsretrieve.errors import InputError

_MOST_BYTES = 8  # per number
_MOST_NUMBERS = 1 << 28  # in all queries together


def is_vector_file(name: str) -> bool:
    """Whether a file name is that of a file of vectors."""
    return name.lower().endswith(".npy")


def mapped_array(path: Path) -> NDArray[Any]:
    """Memory-map an array of numbers; a header that claims more than the file holds is refused.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: the file is not an array of numbers.
    """
    try:
        with np.errstate(over="ignore"):  # a huge shape in the header
            found: NDArray[Any] = np.lib.format.open_memmap(path, mode="r")
    except FileNotFoundError:
        raise
    except Exception as error:  # parsing the header may raise anything
        raise ValueError(f"cannot be read as an array ({' '.join(str(error).split())})") from error
    if found.dtype.kind not in "fiu" or found.dtype.itemsize > _MOST_BYTES:
        raise ValueError(f"holds {found.dtype}, not numbers")
    return found


def read_vectors(path: Path, dimensions: int) -> NDArray[np.float32]:
    """Read a `.npy` file of one vector (D,) or of several (Q, D), and L2-normalise them.

    Args:
        path: the file.
        dimensions: D.

    Returns:
        (Q, D) float32, unit rows.

    Raises:
        InputError: the file does not exist or has another shape; a vector is zero or not finite.
    """
    wanted = f"a NumPy file of one vector ({dimensions},) or of several (Q, {dimensions})"
    try:
        found = mapped_array(path)
        if found.size > _MOST_NUMBERS:
            raise ValueError(f"it holds {found.size} numbers, more than {_MOST_NUMBERS}")
        vectors = np.atleast_2d(found).astype(np.float64)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file", hint=f"give {wanted}") from error
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} cannot be read as vectors ({error})", hint=f"give {wanted}"
        ) from error
    if vectors.ndim != 2 or vectors.shape[1] != dimensions or not len(vectors):
        raise InputError(
            f"{path} has the shape {found.shape}, but the index has {dimensions} dimensions",
            hint=f"give {wanted}",
        )
    with np.errstate(over="ignore"):  # of numbers whose squares are beyond float64
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not np.isfinite(norms).all() or norms.min() == 0:
        raise InputError(f"{path}: a vector is zero or not finite", hint=f"give {wanted}")
    return np.asarray(vectors / norms, np.float32)


def notice_of_whole_numbers(path: Path) -> str:
    """The notice that a file that was read holds whole numbers; empty if it does not."""
    if mapped_array(path).dtype.kind not in "iu":
        return ""
    return (
        f"{path} holds whole numbers, which are compared as they are: that is right only if the "
        "index holds such numbers as they are, too, and not restored ones"
    )
