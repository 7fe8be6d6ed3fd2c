"""Every error that rsretrieve raises on purpose, in one tree.

    RsretrieveError                        what went wrong, and what to do about it
    ├── InvalidArgument   (ValueError)     an argument whose value makes no sense: wrong usage
    ├── InputError        (ValueError)     the user's files say something that cannot be used
    │   ├── TilesNotFound (FileNotFoundError)
    │   ├── TableError                     a CSV or Parquet file that is not the table it should be
    │   ├── LabelsError                    labels, classes and noise tables
    │   └── NoUsableTiles                  tiles were found, but too few can be used
    ├── TileError         (OSError)        one tile cannot be used; a run goes on without it
    ├── OutputExists      (FileExistsError)
    ├── OutputRefused     (ValueError)     an output is an input, or lies in an index or a model
    ├── OutputBusy        (OSError)        another run is writing it
    ├── ModelError
    │   ├── ModelNotFound (FileNotFoundError)
    │   ├── ModelDamaged                   cut short, edited, or written by a newer version
    │   └── WeightsError                   pre-trained weights that cannot be had or do not fit
    ├── CheckpointError                    an unfinished training that cannot be gone on with
    ├── TrainingDiverged  (ArithmeticError)
    ├── IndexStoreError
    │   ├── IndexNotFound (FileNotFoundError)
    │   ├── IndexDamaged                   cut short, edited, or written by a newer version
    │   └── ModelMismatch                  a query by another model than the index was built with
    ├── DeviceUnavailable (RuntimeError)
    └── MissingPackage    (ImportError)

Leaves also inherit the builtin that a caller of a library would expect, so that
`except FileNotFoundError` works for those who know nothing of this tree.
"""

from __future__ import annotations


class RsretrieveError(Exception):
    """Root of the tree.

    Args:
        message: what went wrong, where, and what was expected.
        hint: what the user can do about it; may be empty.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message


class InvalidArgument(RsretrieveError, ValueError):
    """An argument's value makes no sense, whatever the files say."""


class InputError(RsretrieveError, ValueError):
    """The user's files say something that cannot be used."""


class TilesNotFound(InputError, FileNotFoundError):
    """There is no such folder or list, or there are no tiles in it."""


class TableError(InputError):
    """A CSV or Parquet file that is not the table it should be."""


class LabelsError(InputError):
    """Labels, classes or a noise table that do not fit the tiles."""


class NoUsableTiles(InputError):
    """Tiles were found, but none, or too few, can be used."""


class TileError(RsretrieveError, OSError):
    """One tile cannot be used.

    Args:
        tile_id: the tile's id.
        reason: why, in words a user can act on.
    """

    def __init__(self, tile_id: str, reason: str) -> None:
        super().__init__(f"{tile_id}: {reason}")
        self.tile_id = tile_id
        self.reason = reason

    def __reduce__(self) -> tuple[type[TileError], tuple[str, str]]:
        return type(self), (self.tile_id, self.reason)  # it comes from another process


class OutputExists(RsretrieveError, FileExistsError):
    """The output is there already and overwriting was not asked for."""


class OutputRefused(RsretrieveError, ValueError):
    """An output is an input, or lies in an index or a model: it is never replaced."""


class OutputBusy(RsretrieveError, OSError):
    """Another run is writing the same output."""


class ModelError(RsretrieveError):
    """A model folder that cannot be used."""


class ModelNotFound(ModelError, FileNotFoundError):
    """There is no model folder at that place."""


class ModelDamaged(ModelError):
    """A model folder that is incomplete, was edited, or comes from a newer version."""


class WeightsError(ModelError):
    """Pre-trained weights that cannot be had, or do not fit the backbone."""


class CheckpointError(RsretrieveError):
    """An unfinished training that cannot be gone on with."""


class TrainingDiverged(RsretrieveError, ArithmeticError):
    """The loss is no longer a finite number."""


class IndexStoreError(RsretrieveError):
    """An index folder that cannot be used."""


class IndexNotFound(IndexStoreError, FileNotFoundError):
    """There is no index folder at that place."""


class IndexDamaged(IndexStoreError):
    """An index folder that is incomplete, was edited, or comes from a newer version."""


class ModelMismatch(IndexStoreError):
    """The model, or its preprocessing, is not the one that the index was built with."""


class DeviceUnavailable(RsretrieveError, RuntimeError):
    """The device asked for is not there."""


class MissingPackage(RsretrieveError, ImportError):
    """A package that this command needs is not installed."""


class RsretrieveWarning(UserWarning):
    """What the Python interface tells its caller and what stops nothing."""


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, of the machine or of its GPU, whoever raised the error."""
    # PyTorch's own class is told by its name: to import it would take longer than most commands.
    # On a processor it has none.
    named = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return named or (isinstance(error, RuntimeError) and "can't allocate memory" in str(error))
