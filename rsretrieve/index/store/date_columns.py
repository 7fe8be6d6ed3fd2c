"""The columns of dates in the id table of an index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow
import pyarrow.compute as pc

from rsretrieve.data.dates.acquisition_time import AcquisitionTime, DateSource
from rsretrieve.data.dates.periods import FIRST_US, LAST_US, Period

_TIMESTAMP = pyarrow.timestamp("us", "UTC")
DATE_FIELDS = (
    ("datetime", _TIMESTAMP),  # when it was taken, or where that period begins
    ("end_datetime", _TIMESTAMP),  # its last instant; null if `datetime` is an instant
    ("datetime_source", pyarrow.string()),  # `DateSource`; empty without a date
)
DATES = tuple(name for name, _ in DATE_FIELDS)


def date_columns(times: Sequence[AcquisitionTime | None]) -> dict[str, list[Any]]:
    """The columns of dates, by name."""
    return {
        "datetime": [None if one is None else one.period.start_us for one in times],
        "end_datetime": [
            None if one is None or one.period.is_instant else one.period.end_us for one in times
        ],
        "datetime_source": ["" if one is None else one.source.value for one in times],
    }


def check_dates(table: pyarrow.Table) -> None:
    """Check the dates of a table.

    Raises:
        ValueError: rsretrieve does not write such dates.
    """
    starts, ends = (table.column(name).cast(pyarrow.int64()) for name in DATES[:2])
    for numbers in (starts, ends):
        inside = pc.and_(pc.less_equal(FIRST_US, numbers), pc.less_equal(numbers, LAST_US))
        if not pc.all(inside, min_count=0).as_py():
            raise ValueError("a date lies outside the years 1 to 9999")
    if not pc.all(pc.less_equal(starts, ends), min_count=0).as_py():
        raise ValueError("a tile has a date that ends before it begins")
    sources = pc.filter(table.column(DATES[2]), starts.is_valid())
    if not {*sources.unique().to_pylist()} <= {*DateSource}:
        raise ValueError("a date has an unknown source")


def records_of(table: pyarrow.Table) -> list[dict[str, Any]]:
    """The rows of a table; times as microseconds, as Python's need the system's time zones."""
    for name in DATES[:2]:
        at = table.schema.get_field_index(name)
        table = table.set_column(at, name, table.column(at).cast(pyarrow.int64()))
    records: list[dict[str, Any]] = table.to_pylist()
    return records


def taken_of(values: Mapping[str, Any]) -> AcquisitionTime | None:
    """The date of a record of `records_of`."""
    start, end, source = (values[name] for name in DATES)
    if start is None:
        return None
    return AcquisitionTime(Period(start, start if end is None else end), DateSource(source))
