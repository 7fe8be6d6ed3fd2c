"""Read CSV and Parquet tables row by row, and write CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from rsretrieve._core.atomic_write import written_aside
from rsretrieve._core.csv_dialect import CsvDialect, find_dialect
from rsretrieve._core.formulas import begins_suspiciously, needs_quotes, neutralised, restored
from rsretrieve.errors import TableError

PARQUET_SUFFIXES = (".parquet", ".pq")
TABLE_SUFFIXES = (".csv", *PARQUET_SUFFIXES)
_ROWS_AT_ONCE = 1000
_TEXT_COLUMNS = ("tile", "path", "label", "true_label")
_PARQUET_ROWS_AT_ONCE = 10_000
_FEW_BYTES, _EXPANSION = 1 << 27, 64  # limits of a Parquet file's size in memory

Row = dict[str, str]


def read_table(path: Path, required: Sequence[str]) -> Iterator[tuple[int, Row]]:
    """Read a table with a header.

    Args:
        path: a CSV, or a Parquet file by its suffix; see `csv_dialect` for the encodings and
            separators of a CSV. Columns are named in any case, with blanks around them or not.
        required: columns that must be there, in lower case.

    Yields:
        The line of a CSV (its header is line 1) or the row of a Parquet file (from 1),
        and the fields by column; an absent value (null, NaN) is an empty text, a whole number has
        no decimal point. Rows without any value are skipped.

    Raises:
        TableError: no such file, or not a table; a required column is missing, or holds lists;
            a column stands there twice; a row has more or fewer fields than the header.
    """
    if path.suffix.lower() in PARQUET_SUFFIXES:
        yield from _parquet_rows(path, required)
    else:
        yield from _csv_rows(path, required)


def columns_of(path: Path) -> tuple[str, ...]:
    """The names of a table's columns, in lower case.

    Raises:
        TableError: no such file, or not a table.
    """
    if path.suffix.lower() in PARQUET_SUFFIXES:
        return tuple(_column_names(_open_parquet(path)))
    return _dialect(path).columns


def require_columns(path: Path, required: Sequence[str]) -> None:
    """Check that a table has some columns, without reading its rows.

    Raises:
        TableError: no such file, or not a table; a column is missing.
    """
    _require(path, required, columns_of(path))


def encoding_notices(path: Path) -> tuple[str, ...]:
    """The notice that the encoding of a CSV was guessed; none where it is known.

    Raises:
        TableError: no such file, or not a table.
    """
    if path.suffix.lower() in PARQUET_SUFFIXES or not _dialect(path).is_guessed:
        return ()
    return (
        f"{path} is not UTF-8 and was read as Windows-1252; if names look wrong, save it as UTF-8",
    )


def write_csv(
    path: Path, columns: Sequence[str], rows: Iterable[Iterable[object]], *, overwrite: bool
) -> None:
    """Write a CSV (UTF-8, with a header) atomically.

    Cells that a spreadsheet would run as a formula are marked; `read_table` removes the marks.
    """
    with (
        written_aside(path, overwrite=overwrite) as aside,
        aside.open("w", encoding="utf-8", newline="", errors="surrogateescape") as stream,
    ):
        stream.write(_as_csv([columns]))
        remaining = map(tuple, rows)
        # Many rows at once: one by one, a million rows take seconds longer.
        while chunk := list(islice(remaining, _ROWS_AT_ONCE)):
            stream.write(_as_csv(chunk))


def _as_csv(rows: Sequence[Sequence[object]]) -> str:
    lines = _lines_of(rows)
    # Checked all together: most tables hold nothing to mark.
    breaks = len(rows) + lines.count("\r") + lines.count(";") + lines.count("\t")
    if lines.count("\n") == len(rows) == breaks and not any(map(_begins_suspiciously, rows)):
        return lines
    return "".join(map(_marked_line, rows))


def _begins_suspiciously(row: Sequence[object]) -> bool:
    """Whether a text of a row may begin like a formula."""
    # A loop, not `any`, which takes twice as long: a million tiles have ten million cells.
    for cell in row:
        if not isinstance(cell, float | int) and begins_suspiciously(str(cell)[:1]):
            return True
    return False


def _marked_line(row: Sequence[object]) -> str:
    cells = [_marked(cell) for cell in row]
    texts = [cell for cell in cells if isinstance(cell, str)]
    # The writer knows only its own line end as one; the reader knows "\r", too.
    # And it skips blanks at the beginning of a cell without quotes.
    quoted = any("\r" in text or text[:1] == " " or needs_quotes(text) for text in texts)
    return _lines_of([cells], csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL)


def _marked(cell: object) -> object:
    """A cell that no spreadsheet runs; numbers stay as they are."""
    return cell if cell is None or isinstance(cell, int | float) else neutralised(str(cell))


def _lines_of(rows: Iterable[Sequence[object]], quoting: Literal[0, 1] = csv.QUOTE_MINIMAL) -> str:
    lines = io.StringIO(newline="")
    csv.writer(lines, lineterminator="\n", quoting=quoting).writerows(rows)
    return lines.getvalue()


def _csv_rows(path: Path, required: Sequence[str]) -> Iterator[tuple[int, Row]]:
    dialect = _dialect(path, required)
    _require(path, required, dialect.columns)
    _refuse_repeated(path, dialect.columns)
    try:
        with path.open(encoding=dialect.encoding, newline="") as stream:
            reader = csv.reader(
                stream, strict=True, delimiter=dialect.separator, skipinitialspace=True
            )
            rows = filter(any, reader)  # empty lines, and lines of separators alone, are no rows
            next(rows, None)
            for cells in rows:
                if len(cells) != len(dialect.columns):
                    raise TableError(
                        f"{path}: line {reader.line_num} has {len(cells)} fields, and the header "
                        f"has {len(dialect.columns)}",
                        hint="put a field that holds a separator or a line break in double quotes",
                    )
                if "'" in "".join(cells):
                    cells = list(map(restored, cells))
                yield reader.line_num, dict(zip(dialect.columns, cells))
    except (OSError, csv.Error) as error:
        raise _unreadable(path, error) from error


def _dialect(path: Path, required: Sequence[str] = ()) -> CsvDialect:
    try:
        return find_dialect(path, required)
    except (OSError, ValueError, csv.Error) as error:
        raise _unreadable(path, error) from error


def _refuse_repeated(path: Path, columns: Sequence[str]) -> None:
    for name in columns:
        if name and columns.count(name) > 1:
            raise TableError(
                f"{path}: the column {name!r} stands there twice",
                hint="keep one column of that name",
            )


def _parquet_rows(path: Path, required: Sequence[str]) -> Iterator[tuple[int, Row]]:
    from pyarrow import types

    file = _open_parquet(path)
    names = _column_names(file)
    _refuse_repeated(path, names)
    nested = {name for name, entry in zip(names, file.schema_arrow) if types.is_nested(entry.type)}
    for name in (*required, *_TEXT_COLUMNS):
        if name in nested:
            raise TableError(
                f"{path}: the column {name!r} holds lists or records; one text or number a row "
                "is expected",
                hint="write one label per tile",
            )
    _require(path, required, names)
    flat = [entry.name for name, entry in zip(names, file.schema_arrow) if name not in nested]
    number = 0
    try:
        for batch in file.iter_batches(_PARQUET_ROWS_AT_ONCE, columns=flat):
            for values in batch.to_pylist():
                number += 1
                row = {name.strip().lower(): _text_of(value) for name, value in values.items()}
                if any(row.values()):
                    yield number, row
    except _parquet_errors() as error:
        raise _unreadable(path, error) from error


def _column_names(file: Any) -> list[str]:
    return [name.strip().lower() for name in file.schema_arrow.names]


def _text_of(value: Any) -> str:
    """A value as text: bytes are UTF-8, whole numbers have no decimal point, NaN is nothing."""
    if value is None or value != value:  # NaN alone differs from itself
        return ""
    if isinstance(value, bytes):
        return value.decode("utf-8")
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _parquet_errors() -> tuple[type[Exception], ...]:
    """The errors of reading a file that is not Parquet, or a hostile one."""
    import pyarrow

    return (pyarrow.ArrowException, OSError, ValueError, OverflowError, TypeError)


def refuse_bombs(path: Path, file: Any, rows: int | None = None) -> None:
    """Refuse a Parquet file that declares far more content than its size allows, before reading.

    Args:
        path: the file.
        file: a `pyarrow.parquet.ParquetFile`.
        rows: the number of rows it must have, if known.

    Raises:
        ValueError: it declares too much.
    """
    metadata, groups = file.metadata, range(file.metadata.num_row_groups)
    chunks = [metadata.row_group(g).column(c) for g in groups for c in range(metadata.num_columns)]
    stored = sum(max(0, chunk.total_compressed_size) for chunk in chunks) + metadata.serialized_size
    most = _FEW_BYTES + _EXPANSION * stored
    if rows is not None and metadata.num_rows != rows:
        raise ValueError(f"{metadata.num_rows} rows for {rows} tiles")
    if not 0 <= metadata.num_rows <= most:
        raise ValueError(f"it says that it holds {metadata.num_rows} rows")
    if sum(chunk.total_uncompressed_size for chunk in chunks) > most:
        raise ValueError("it says that it holds far more than a file of its size does")
    if 8 * sum(chunk.num_values for chunk in chunks) > 4 * most:
        raise ValueError("it says that it holds far more values than a file of its size does")
    for name in dict.fromkeys(chunk.path_in_schema for chunk in chunks):
        own = [chunk for chunk in chunks if chunk.path_in_schema == name]
        # Each value may be as long as everything stored of the column.
        longest = sum(chunk.num_values * chunk.total_uncompressed_size for chunk in own)
        if longest > most and "." not in name and _decoded_bytes(path, file, name) > most:
            raise ValueError(f"the texts of its column {name!r} are far longer than it")


def _decoded_bytes(path: Path, file: Any, name: str) -> int:
    """Size of a text column's values in memory, by its dictionary; 0 for other columns."""
    import pyarrow
    from pyarrow import parquet

    types, kind = pyarrow.types, file.schema_arrow.field(name).type
    kind = kind.value_type if types.is_dictionary(kind) else kind
    texts = (types.is_string, types.is_large_string, types.is_binary, types.is_large_binary)
    if not any(is_text(kind) for is_text in texts):
        return 0
    total = 0
    with parquet.ParquetFile(path, read_dictionary=[name]) as encoded:
        for batch in encoded.iter_batches(columns=[name]):
            column = batch.column(0)
            if not types.is_dictionary(column.type):
                column = column.dictionary_encode()
            total += _bytes_of_texts(column)
    return total


def _bytes_of_texts(column: Any) -> int:
    """Size of the texts of a dictionary array in memory.

    Computed from the buffers: `to_numpy` imports pandas where that is installed, and
    `pyarrow.compute` takes longer to import than a query takes.
    """
    import numpy as np
    import pyarrow

    texts, indices = column.dictionary, column.indices
    large = pyarrow.types.is_large_string(texts.type) or pyarrow.types.is_large_binary(texts.type)
    ends = np.frombuffer(texts.buffers()[1], np.int64 if large else np.int32)
    lengths = np.diff(ends[texts.offset : texts.offset + len(texts) + 1].astype(np.int64))
    kind = np.dtype(str(indices.type))
    used = np.frombuffer(indices.buffers()[1], kind)[indices.offset : indices.offset + len(indices)]
    if len(lengths) == 0:
        return 0
    return int(
        lengths[np.clip(used, 0, len(lengths) - 1)].sum()
    )  # the index of a null is arbitrary


def _open_parquet(path: Path) -> Any:
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(path)
        refuse_bombs(path, file)
        return file
    except _parquet_errors() as error:
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
