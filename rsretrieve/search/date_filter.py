"""Find the tiles of an index that were taken within an interval of dates."""

from __future__ import annotations

import numpy as np
import pyarrow
import pyarrow.compute as pc
from numpy.typing import NDArray

from rsretrieve.data.dates.acquisition_time import DateSource
from rsretrieve.data.dates.periods import FIRST_US, LAST_US, DateInterval
from rsretrieve.errors import InputError
from rsretrieve.index.store.tile_table import TileTable


def taken_within(table: TileTable, interval: DateInterval) -> NDArray[np.bool_]:
    """Which tiles have a date that has an instant in common with an interval.

    A tile whose date is a day, or another period, may have been taken at any instant of it.

    Args:
        table: N tiles.
        interval: both ends included.

    Returns:
        (N,) bool; False for tiles without a date.

    Raises:
        InputError: no tile has a date.
    """
    dated = _are_dated(table)
    if not dated.any():
        raise InputError(
            "no tile of the index has a date: filters by date find nothing",
            hint="dates come from STAC items, a column datetime of a list, or the files' headers; "
            "if an earlier version wrote the index, bring it up to date: rsretrieve index --update",
        )
    starts = _microseconds(table, "datetime")
    ends = _microseconds(table, "end_datetime", otherwise=starts)
    first = FIRST_US if interval.start_us is None else interval.start_us
    last = LAST_US if interval.end_us is None else interval.end_us
    return dated & (starts <= last) & (ends >= first)


def date_notices(table: TileTable) -> list[str]:
    """What to say about the dates of an index whose tiles are filtered by them."""
    count, said = len(table), []
    if undated := int(table.columns.column("datetime").null_count):
        said.append(f"{undated:,} of {count:,} tiles of the index have no date and are left out")
    of_tag = pc.equal(table.columns.column("datetime_source"), DateSource.TIFF_TAG.value)
    if by_tag := int(pc.sum(of_tag, min_count=0).as_py()):
        said.append(
            f"the dates of {by_tag:,} of {count:,} tiles come from the TIFF tag DateTime, which "
            "many programs set to the time when they write a file"
        )
    return said


def _are_dated(table: TileTable) -> NDArray[np.bool_]:
    return np.asarray(table.columns.column("datetime").is_valid())


def _microseconds(
    table: TileTable, column: str, otherwise: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """(N,) a column of times; where there is none, 0 or the value of `otherwise`."""
    values = table.columns.column(column)
    numbers = pc.fill_null(values.cast(pyarrow.int64()), 0)
    found: NDArray[np.int64] = np.asarray(numbers, np.int64)
    if otherwise is None:
        return found
    return np.where(np.asarray(values.is_valid()), found, otherwise)
