"""Read a CSV row by row."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from rsretrieve._core.formulas import restored
from rsretrieve._core.tables.csv_dialect import (
    CsvDialect,
    allow_long_fields,
    find_dialect,
    lines_of,
)
from rsretrieve._core.tables.header import require, unreadable
from rsretrieve.errors import TableError

Row = dict[str, str]


def csv_rows(path: Path, required: Sequence[str]) -> Iterator[tuple[int, Row]]:
    """Read a CSV; see `read_table`."""
    dialect = dialect_of(path, required)
    columns = dialect.columns
    require(path, required, columns)
    try:
        with path.open(encoding=dialect.encoding, newline="") as stream:
            for line, cells in _rows_below_the_header(stream, dialect):
                if len(cells) != len(columns):
                    cells = _of_length(path, line, cells, len(columns))
                if "'" in "".join(cells):
                    cells = list(map(restored, cells))
                yield line, dict(zip(columns, cells))
    except (OSError, UnicodeError, csv.Error) as error:
        raise unreadable(path, error) from error


def dialect_of(path: Path, required: Sequence[str] = ()) -> CsvDialect:
    """The dialect of a CSV.

    Raises:
        TableError: no such file, or not a table.
    """
    try:
        return find_dialect(path, required)
    except (OSError, ValueError, csv.Error) as error:
        raise unreadable(path, error) from error


def _rows_below_the_header(
    stream: Iterator[str], dialect: CsvDialect
) -> Iterator[tuple[int, list[str]]]:
    """The line and the cells of every row that has a value, without the header."""
    allow_long_fields()
    reader = csv.reader(
        lines_of(stream, dialect.separator_line),
        strict=True,
        delimiter=dialect.separator,
        skipinitialspace=True,
    )
    above, is_header = int(dialect.separator_line), True
    begun = above + 1
    try:
        for cells in reader:
            if any(cells):  # neither an empty line, nor one of separators alone
                if not is_header:
                    yield reader.line_num + above, cells
                is_header = False
            begun = reader.line_num + above + 1
    except csv.Error as error:
        raise csv.Error(f"the row that begins on line {begun}: {error}") from error


def _of_length(path: Path, line: int, cells: list[str], length: int) -> list[str]:
    """The cells without the empty ones that a spreadsheet adds after the last column."""
    if len(cells) > length and not any(cells[length:]):
        return cells[:length]
    raise TableError(
        f"{path}: line {line} has {len(cells)} fields, and the header has {length}",
        hint="put a field that holds a separator or a line break in double quotes",
    )
