"""Read a Parquet file row by row, as the text that a person would write."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from rsretrieve._core.tables.csv_file import Row
from rsretrieve._core.tables.header import require, unreadable
from rsretrieve._core.tables.parquet_limits import refuse_bombs
from rsretrieve._core.tables.parquet_stream import open_parquet
from rsretrieve.errors import TableError

PARQUET_SUFFIXES = (".parquet", ".pq", ".geoparquet", ".gpq")
_MARK = b"PAR1"
_TEXT_COLUMNS = ("tile", "path", "label", "true_label")
_ROWS_AT_ONCE = 10_000


def is_parquet(path: Path) -> bool:
    """Whether a file is Parquet, by its suffix or its first bytes."""
    if path.suffix.lower() in PARQUET_SUFFIXES:
        return True
    try:
        with path.open("rb") as stream:
            return stream.read(len(_MARK)) == _MARK
    except OSError:
        return False


def parquet_columns(path: Path) -> tuple[str, ...]:
    """The names of the columns, in lower case, without blanks around them.

    Raises:
        TableError: no such file, or not a table.
    """
    return tuple(_column_names(_opened(path)))


def parquet_rows(path: Path, required: Sequence[str]) -> Iterator[tuple[int, Row]]:
    """Read a Parquet file; see `read_table`."""
    file = _opened(path)
    names = _column_names(file)
    require_flat(path, names, file.schema_arrow, (*required, *_TEXT_COLUMNS))
    require(path, required, names)
    flat = [entry.name for entry in file.schema_arrow if not _is_nested(entry.type)]
    keys = [name.strip().lower() for name in flat]
    texts = [text_maker(file.schema_arrow.field(name).type) for name in flat]
    number = 0
    try:
        for batch in file.iter_batches(_ROWS_AT_ONCE, columns=flat):
            columns = [
                _texts(number, key, as_text, column_values(batch.column(name)))
                for name, key, as_text in zip(flat, keys, texts)
            ]
            for cells in zip(*columns):
                number += 1
                if any(cells):
                    yield number, dict(zip(keys, cells))
    except parquet_errors() as error:
        raise unreadable(path, error) from error


def require_flat(path: Path, names: Sequence[str], schema: Any, texts: Sequence[str]) -> None:
    """Check that columns that hold a text or a number a row hold no lists or records.

    Args:
        path: the file, for messages.
        names: the names of its columns.
        schema: its `pyarrow.Schema`, in the same order.
        texts: the names of the columns to check, if the file has them.

    Raises:
        TableError: one of them does.
    """
    nested = {name for name, entry in zip(names, schema) if _is_nested(entry.type)}
    for name in texts:
        if name in nested:
            raise TableError(
                f"{path}: the column {name!r} holds lists or records; one text or number a row "
                "is expected",
                hint="write one label per tile",
            )


def text_maker(kind: Any) -> Callable[[Any], str]:
    """A function that writes the values of a `pyarrow.DataType` as text.

    Bytes are UTF-8, whole numbers have no decimal point, null and NaN are an empty text.
    """
    from pyarrow import types

    if types.is_dictionary(kind):
        return text_maker(kind.value_type)
    if types.is_float32(kind) or types.is_float16(kind):
        import numpy as np

        narrow = np.float16 if types.is_float16(kind) else np.float32
        # As a Python float, 0.1 would be 0.10000000149011612.
        return lambda value: text_of(value) if is_whole(value) else str(narrow(value))
    return text_of


def is_whole(value: Any) -> bool:
    """Whether a value is absent or a whole number."""
    return value is None or value != value or float(value).is_integer()


def text_of(value: Any) -> str:
    """A value as text: bytes are UTF-8, whole numbers have no decimal point, NaN is nothing."""
    if value is None or value != value:  # NaN alone differs from itself
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8")
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, Decimal) and value == value.to_integral_value():
        return str(int(value))
    return str(value)


def parquet_errors() -> tuple[type[Exception], ...]:
    """The errors of reading a file that is not Parquet, or a hostile one."""
    import pyarrow

    return (pyarrow.ArrowException, OSError, ValueError, OverflowError, TypeError, ArithmeticError)


def _texts(
    rows_before: int, column: str, as_text: Callable[[Any], str], values: list[Any]
) -> list[str]:
    if as_text is text_of and all(value is None or type(value) is str for value in values):
        return [value or "" for value in values]
    texts: list[str] = []
    try:
        for value in values:
            texts.append(as_text(value))
    except UnicodeDecodeError as error:
        row = rows_before + len(texts) + 1
        raise ValueError(f"row {row}, column {column!r}: its bytes are not UTF-8") from error
    return texts


def column_values(column: Any) -> list[Any]:
    """The values of a column. Times are cut to microseconds; those with a time zone become UTC.

    Python has no nanoseconds, and may not know the name of the zone, nor any.
    """
    from pyarrow import int64, timestamp, types

    if types.is_timestamp(column.type):
        column = column.cast(timestamp("us", column.type.tz), safe=False)
        column = column.cast(int64()).cast(timestamp("us"))
    values: list[Any] = column.to_pylist()
    return values


def _is_nested(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_nested(kind))


def _column_names(file: Any) -> list[str]:
    return [name.strip().lower() for name in file.schema_arrow.names]


def _opened(path: Path) -> Any:
    try:
        file = open_parquet(path)
        refuse_bombs(path, file)
        return file
    except parquet_errors() as error:
        raise unreadable(path, error) from error
