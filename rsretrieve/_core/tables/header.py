"""Check the header of a table, and say why a file is none."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rsretrieve.errors import TableError


def require(path: Path, required: Sequence[str], found: Sequence[str]) -> None:
    """Check that a table has the required columns, and no column twice.

    Raises:
        TableError: it lacks one, or a name occurs twice.
    """
    missing = [name for name in required if name not in found]
    if missing:
        raise TableError(
            f"{path}: no column {missing[0]!r} (its columns are: {', '.join(found) or 'none'})",
            hint=f"the header must name the columns {', '.join(required)}",
        )
    for name in found:
        if name and found.count(name) > 1:
            raise TableError(
                f"{path}: the column {name!r} occurs more than once",
                hint="keep one column of that name",
            )


def unreadable(path: Path, error: Exception) -> TableError:
    """The error of a file that is no table."""
    if isinstance(error, FileNotFoundError):
        return TableError(f"{path}: no such file")
    return TableError(f"{path}: cannot be read as a table ({error})")
