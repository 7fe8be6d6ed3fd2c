"""The errors that rsretrieve raises, as one tree.

    RsretrieveError                        message and hint
    ├── InvalidArgument   (ValueError)     an invalid argument: wrong usage
    ├── InputError        (ValueError)     an input file that cannot be used
    │   ├── TilesNotFound (FileNotFoundError)
    │   ├── TableError                     a CSV or Parquet file with wrong content
    │   ├── LabelsError                    labels, classes and noise tables
    │   └── NoUsableTiles                  there are tiles, but too few can be used
    ├── TileError         (OSError)        one tile cannot be used; the run continues without it
    ├── OutputExists      (FileExistsError)
    ├── OutputRefused     (ValueError)     an output is an input, or lies in a model or index
    ├── OutputBusy        (OSError)        another run is writing this output
    ├── ModelError
    │   ├── ModelNotFound (FileNotFoundError)
    │   ├── ModelDamaged                   truncated, edited, or written by a newer version
    │   └── WeightsError                   pretrained weights that cannot be loaded or do not fit
    ├── CheckpointError                    an unfinished training that cannot be resumed
    ├── TrainingDiverged  (ArithmeticError)
    ├── ProcessLost       (RuntimeError)   another process of the same training ended
    ├── IndexStoreError
    │   ├── IndexNotFound (FileNotFoundError)
    │   ├── IndexDamaged                   truncated, edited, or written by a newer version
    │   └── ModelMismatch                  the index was built with another model
    ├── DeviceUnavailable (RuntimeError)
    └── MissingPackage    (ImportError)

Many also inherit the built-in error in brackets, so that `except FileNotFoundError` works without
knowledge of this tree.
"""

from __future__ import annotations

from pathlib import Path


class RsretrieveError(Exception):
    """Root of the tree.

    Args:
        message: what went wrong, where, and what was expected.
        hint: what the user can do; may be empty.

    Example:
        >>> import rsretrieve
        >>> try:
        ...     rsretrieve.open_tiles("no-such-folder")
        ... except rsretrieve.RsretrieveError as error:
        ...     print(error.message)
        no-such-folder: no such folder or list
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message


class InvalidArgument(RsretrieveError, ValueError):
    """An argument has an invalid value."""


class InputError(RsretrieveError, ValueError):
    """An input file cannot be used."""


class TilesNotFound(InputError, FileNotFoundError):
    """The folder or list does not exist, or contains no tiles."""


class TableError(InputError):
    """A CSV or Parquet file does not have the expected content."""


class LabelsError(InputError):
    """Labels, classes or a noise table do not fit the tiles."""


class NoUsableTiles(InputError):
    """Tiles were found, but none or too few of them can be used."""


class TileError(RsretrieveError, OSError):
    """One tile cannot be used.

    Args:
        tile_id: the tile's id.
        reason: why it cannot be used.
    """

    def __init__(self, tile_id: str, reason: str) -> None:
        super().__init__(f"{tile_id}: {reason}")
        self.tile_id = tile_id
        self.reason = reason

    def __reduce__(self) -> tuple[type[TileError], tuple[str, str]]:
        return type(self), (self.tile_id, self.reason)  # raised in a worker process


class OutputExists(RsretrieveError, FileExistsError):
    """The output exists, and overwriting is not allowed."""


class OutputRefused(RsretrieveError, ValueError):
    """An output is an input, lies in an index or model folder, or cannot be written or replaced.

    It is never replaced.
    """


class OutputBusy(RsretrieveError, OSError):
    """Another run is writing the same output."""


class ModelError(RsretrieveError):
    """A model folder cannot be used."""


class ModelNotFound(ModelError, FileNotFoundError):
    """There is no model folder at this path."""


class ModelDamaged(ModelError):
    """A model folder is incomplete, was edited, or was written by a newer version."""


class WeightsError(ModelError):
    """Pretrained weights cannot be loaded, or do not fit the backbone."""


class CheckpointError(RsretrieveError):
    """An unfinished training cannot be resumed."""


class TrainingDiverged(RsretrieveError, ArithmeticError):
    """The loss or a weight is not a finite number, or the network learned nothing."""


class ProcessLost(RsretrieveError, RuntimeError):
    """Another process of the same training ended."""


class IndexStoreError(RsretrieveError):
    """An index folder cannot be used."""


class IndexNotFound(IndexStoreError, FileNotFoundError):
    """There is no index folder at this path."""


class IndexDamaged(IndexStoreError):
    """An index folder is incomplete, was edited, or was written by a newer version."""


class ModelMismatch(IndexStoreError):
    """The index was built with another model or another preprocessing."""


class DeviceUnavailable(RsretrieveError, RuntimeError):
    """The requested device does not exist."""


class MissingPackage(RsretrieveError, ImportError):
    """A required package is not installed."""


class RsretrieveWarning(UserWarning):
    """A notice of the Python interface. The work goes on.

    Example:
        >>> import warnings, rsretrieve
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("ignore", rsretrieve.RsretrieveWarning)
        ...     audit = rsretrieve.audit_labels("tiles")
        >>> len(audit)
        144
    """


_NO_MEMORY = ("can't allocate memory", "out of memory", "_ALLOC_FAILED", "cudaMalloc error")


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that main memory or GPU memory ran out."""
    # PyTorch's class is recognised by its name, because importing PyTorch takes longer than most
    # commands. On a CPU, and from CUDA's libraries and FAISS, it is another RuntimeError.
    named = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    texts = _NO_MEMORY if isinstance(error, RuntimeError) else ()
    return named or any(text in str(error) for text in texts)


def missing_weights(path: Path) -> WeightsError:
    """The error of `--weights` that names no file."""
    return WeightsError(
        f"--weights {path}: no such file",
        hint="give imagenet, none, a .safetensors or .pth file, or a model folder",
    )
