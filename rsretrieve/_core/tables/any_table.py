"""Read a table row by row, whether it is CSV or Parquet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from rsretrieve._core.tables.csv_file import Row, csv_rows, dialect_of
from rsretrieve._core.tables.header import require
from rsretrieve._core.tables.parquet_file import (
    PARQUET_SUFFIXES,
    is_parquet,
    parquet_columns,
    parquet_rows,
)

TABLE_SUFFIXES = (".csv", ".tsv", *PARQUET_SUFFIXES)


def read_table(path: Path, required: Sequence[str]) -> Iterator[tuple[int, Row]]:
    """Read a table with a header.

    Args:
        path: a Parquet file, by its suffix or its first bytes, or else a CSV; see `csv_dialect`
            for the encodings and separators of a CSV. Columns are named in any case, with blanks
            around them or not.
        required: columns that must be there, in lower case.

    Yields:
        The line of a CSV (its header is line 1) or the row of a Parquet file (from 1),
        and the fields by column; an absent value (null, NaN) is an empty text, a whole number has
        no decimal point. Rows without any value are skipped.

    Raises:
        TableError: no such file, or not a table; a required column is missing, or holds lists;
            a column is given twice; a row has more or fewer fields than the header.
    """
    yield from (parquet_rows if is_parquet(path) else csv_rows)(path, required)


def columns_of(path: Path, required: Sequence[str]) -> tuple[str, ...]:
    """The names of a table's columns, in lower case.

    Args:
        path: the table.
        required: columns that `read_table` will ask for. They need not be there, but tell which
            character separates the columns of a CSV: a name may hold the others.

    Raises:
        TableError: no such file, or not a table.
    """
    return parquet_columns(path) if is_parquet(path) else dialect_of(path, required).columns


def header_of_csv(path: Path, required: Sequence[str]) -> tuple[str, ...]:
    """As `columns_of` for a CSV, with the names as they are written."""
    return dialect_of(path, required).header


def require_columns(path: Path, required: Sequence[str]) -> None:
    """Check that a table has some columns, each once, without reading its rows.

    Raises:
        TableError: no such file, or not a table; a column is missing, or is given twice.
    """
    require(path, required, columns_of(path, required))


def encoding_notices(path: Path) -> tuple[str, ...]:
    """The notice that the encoding of a CSV was guessed; none where it is known.

    Raises:
        TableError: no such file, or not a table.
    """
    if is_parquet(path) or not dialect_of(path).is_guessed:
        return ()
    return (
        f"{path} is not UTF-8 and was read as Windows-1252; if names look wrong, save it as UTF-8",
    )
