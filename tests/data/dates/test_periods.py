"""Dates and times as periods, compared with the calendar of Python."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsretrieve.data.dates.periods import (
    DateInterval,
    Period,
    interval_between,
    interval_of,
    interval_of_values,
    microseconds_of,
    period_of,
)
from rsretrieve.errors import InvalidArgument

LAST = timedelta(microseconds=1)


def instants(*parts: datetime) -> tuple[int, ...]:
    return tuple((part - datetime(1970, 1, 1, tzinfo=UTC)) // LAST for part in parts)


def at(*numbers: int) -> datetime:
    return datetime(*numbers, tzinfo=UTC)  # type: ignore[arg-type, misc]


def ends(period: Period | DateInterval) -> tuple[int | None, int | None]:
    return period.start_us, period.end_us


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2020", at(2020, 1, 1), at(2021, 1, 1) - LAST),
        ("2020-02", at(2020, 2, 1), at(2020, 3, 1) - LAST),
        ("2019-12", at(2019, 12, 1), at(2020, 1, 1) - LAST),
        ("2020-02-29", at(2020, 2, 29), at(2020, 3, 1) - LAST),
        (" 20200229 ", at(2020, 2, 29), at(2020, 3, 1) - LAST),
        ("9999-12-31", at(9999, 12, 31), at(9999, 12, 31, 23, 59, 59, 999999)),
        ("2020-06-30T10:15:00Z", at(2020, 6, 30, 10, 15), at(2020, 6, 30, 10, 15)),
        ("2020-06-30t10:15:00z", at(2020, 6, 30, 10, 15), at(2020, 6, 30, 10, 15)),
        ("2020-06-30 10:15", at(2020, 6, 30, 10, 15), at(2020, 6, 30, 10, 15)),
        ("2020-06-30 10:15:00 UTC", at(2020, 6, 30, 10, 15), at(2020, 6, 30, 10, 15)),
        ("2020-01-01T00:30:00+02:00", at(2019, 12, 31, 22, 30), at(2019, 12, 31, 22, 30)),
        ("2020-01-01T00:30:00-0230", at(2020, 1, 1, 3), at(2020, 1, 1, 3)),
        ("1969-12-31T23:59:59.5Z", at(1969, 12, 31, 23, 59, 59, 500000), None),
        ("2020-01-01T00:00:00.123456789Z", at(2020, 1, 1, 0, 0, 0, 123456), None),
        ("2019-03/2020", at(2019, 3, 1), at(2021, 1, 1) - LAST),
    ],
)
def test_a_text_names_the_period_of_the_calendar(
    text: str, first: datetime, last: datetime | None
) -> None:
    assert ends(period_of(text)) == instants(first, last or first)


@pytest.mark.parametrize(
    "text",
    [
        *("", "yesterday", "2020-13", "2020-02-30", "0000", "20", "2020-6-1", "2020-W01-1", "nan"),
        *("2020-06-30T25:00Z", "2020-06-30T10", "1593512100", "٢٠٢٠", "2020/2019", "..", "../2020"),
        *("2020-00", "2020-00-00", "2020-06-00", "2020-00-30", "20200600", "20200030", "20200000"),
        *("2020-06-00/2020-07", "2019/2020-00", "2020-00-00T00:00Z"),
        *("2020-06-30T10:15:00 CET", "0001-01-01T00:00+05:00", "2020" * 99, "2020/2021/2022"),
    ],
)
def test_anything_else_is_no_date(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        period_of(text)


@given(
    st.datetimes(
        timezones=st.just(UTC)
        | st.builds(
            timezone,
            st.timedeltas(timedelta(hours=-14), timedelta(hours=14)).map(
                lambda d: timedelta(minutes=d.seconds // 60)
            ),
        )
    ),
)
def test_any_time_in_any_zone_is_its_instant(moment: datetime) -> None:
    try:
        expected = moment.astimezone(UTC)
    except OverflowError:
        return
    period = period_of(moment.isoformat())
    assert ends(period) == instants(expected, expected)
    assert period.start == period.end == expected
    assert period_of(period.text) == period
    assert microseconds_of(moment) == period.start_us


@given(st.dates())
def test_a_day_begins_and_ends_at_midnight_and_is_written_as_a_day(day: date) -> None:
    period = period_of(day.isoformat())
    assert period.text == day.isoformat()
    assert period.start == datetime(day.year, day.month, day.day, tzinfo=UTC)
    assert period.end - period.start == timedelta(days=1) - LAST


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2020", at(2020, 1, 1), at(2021, 1, 1) - LAST),
        ("2020-01-01/2020-12-31", at(2020, 1, 1), at(2021, 1, 1) - LAST),
        ("../2020", None, at(2021, 1, 1) - LAST),
        ("2020-06-30/..", at(2020, 6, 30), None),
        ("/2020", None, at(2021, 1, 1) - LAST),
        ("2020/", at(2020, 1, 1), None),
        ("2020-06-30T10:15:00Z", at(2020, 6, 30, 10, 15), at(2020, 6, 30, 10, 15)),
    ],
)
def test_an_interval_is_written_as_in_stac(
    text: str, first: datetime | None, last: datetime | None
) -> None:
    expected = tuple(None if one is None else instants(one)[0] for one in (first, last))
    assert ends(interval_of(text, "--datetime")) == expected


@pytest.mark.parametrize(
    "text",
    ["", "/", "../..", "..", "2021/2020", "x/2020", "2020/x", "2020/2021/2022", "2020-02-30"],
)
def test_what_is_no_interval_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        interval_of(text, "--datetime")
    assert refused.value.hint


def test_from_and_to_are_the_ends_and_a_date_without_a_time_is_whole() -> None:
    assert ends(interval_between("2020-06-30", "2020-06-30")) == ends(period_of("2020-06-30"))
    assert ends(interval_between(None, "2020"))[0] is None
    assert ends(interval_between("2020", None)) == (period_of("2020").start_us, None)
    with pytest.raises(InvalidArgument, match=r"--to.*soon.* is not a date"):
        interval_between("2020", "soon")
    with pytest.raises(InvalidArgument, match="empty"):
        interval_between("2020-07-01", "2020-06-30")


def test_python_values_name_the_same_intervals() -> None:
    day = interval_of("2020-06-30", "")
    moment = at(2020, 6, 30, 10)
    assert interval_of_values(date(2020, 6, 30), "") == day
    assert interval_of_values(moment, "") == interval_of("2020-06-30T10:00Z", "")
    assert interval_of_values(moment.replace(tzinfo=None), "") == interval_of_values(moment, "")
    assert interval_of_values((date(2020, 6, 30), "2020-06-30"), "") == day
    assert interval_of_values((None, "2020"), "") == interval_of("../2020", "")
    for wrong in (2020, ("2020",), (None, None), (1, 2), ("2021", "2020"), b"2020"):
        with pytest.raises(InvalidArgument):
            interval_of_values(wrong, "datetime")


def test_a_period_does_not_end_before_it_begins() -> None:
    with pytest.raises(ValueError, match="before"):
        Period(1, 0)
