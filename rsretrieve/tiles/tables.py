"""Read CSV and Parquet tables row by row, and write CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from rsretrieve.errors import TableError
from rsretrieve.storage import written_aside

PARQUET_SUFFIXES = (".parquet", ".pq")
TABLE_SUFFIXES = (".csv", *PARQUET_SUFFIXES)
_ROWS_AT_ONCE = 1000

Row = dict[str, str]


def read_table(path: Path, required: Sequence[str]) -> Iterator[tuple[int, Row]]:
    """Read a table with a header.

    Args:
        path: a CSV in UTF-8, or a Parquet file by its suffix.
        required: columns that must be there.

    Yields:
        The line of a CSV (its header is line 1) or the row of a Parquet file (from 1),
        and the fields by column; an absent value is an empty text.

    Raises:
        TableError: no such file, not such a file, a required column is missing, or a row
            has more or fewer fields than the header.
    """
    if path.suffix.lower() in PARQUET_SUFFIXES:
        yield from _parquet_rows(path, required)
    else:
        yield from _csv_rows(path, required)


def columns_of(path: Path) -> tuple[str, ...]:
    """The names of a table's columns.

    Raises:
        TableError: no such file, or not such a file.
    """
    if path.suffix.lower() in PARQUET_SUFFIXES:
        return tuple(_open_parquet(path).schema_arrow.names)
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
            return tuple(next(csv.reader(stream, strict=True), ()))
    except (OSError, csv.Error) as error:
        raise _unreadable(path, error) from error


def write_csv(
    path: Path, columns: Sequence[str], rows: Iterable[Iterable[object]], *, overwrite: bool
) -> None:
    """Write a CSV (UTF-8, a header line) aside and switch it in."""
    with (
        written_aside(path, overwrite=overwrite) as aside,
        aside.open("w", encoding="utf-8", newline="", errors="surrogateescape") as stream,
    ):
        stream.write(_as_csv([columns]))
        remaining = map(tuple, rows)
        # Many at once: looked at one by one, the rows of a million tiles take seconds.
        while chunk := list(islice(remaining, _ROWS_AT_ONCE)):
            stream.write(_as_csv(chunk))


def _as_csv(rows: Sequence[Sequence[object]]) -> str:
    lines = io.StringIO(newline="")
    csv.writer(lines, lineterminator="\n").writerows(rows)
    # The writer knows only its own line end as one; the reader knows "\r", too.
    if "\r" not in lines.getvalue():
        return lines.getvalue()
    if len(rows) > 1:
        return "".join(_as_csv([row]) for row in rows)
    lines = io.StringIO(newline="")
    csv.writer(lines, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(rows)
    return lines.getvalue()


def _csv_rows(path: Path, required: Sequence[str]) -> Iterator[tuple[int, Row]]:
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
            reader = csv.DictReader(stream, strict=True)
            _require(path, required, reader.fieldnames or ())
            for row in reader:
                if None in row or None in row.values():
                    raise TableError(
                        f"{path}: line {reader.line_num} has not as many fields as the header",
                        hint="put a field that holds a comma or a line break in double quotes",
                    )
                yield reader.line_num, row
    except (OSError, csv.Error) as error:
        raise _unreadable(path, error) from error


def _parquet_rows(path: Path, required: Sequence[str]) -> Iterator[tuple[int, Row]]:
    import pyarrow

    file = _open_parquet(path)
    _require(path, required, file.schema_arrow.names)
    number = 0
    try:
        for batch in file.iter_batches():
            for values in batch.to_pylist():
                number += 1
                yield number, {n: "" if v is None else str(v) for n, v in values.items()}
    except (pyarrow.ArrowException, OSError) as error:
        raise _unreadable(path, error) from error


def _open_parquet(path: Path) -> Any:
    import pyarrow
    from pyarrow import parquet

    try:
        return parquet.ParquetFile(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise _unreadable(path, error) from error


def _require(path: Path, required: Sequence[str], found: Sequence[str]) -> None:
    missing = [name for name in required if name not in found]
    if missing:
        raise TableError(
            f"{path}: no column {missing[0]!r} (its columns are: {', '.join(found) or 'none'})",
            hint=f"the header must name the columns {', '.join(required)}",
        )


def _unreadable(path: Path, error: Exception) -> TableError:
    if isinstance(error, FileNotFoundError):
        return TableError(f"{path}: no such file")
    return TableError(f"{path}: cannot be read as a table ({error})")
