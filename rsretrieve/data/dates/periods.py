"""Dates and times as periods of UTC: an instant, a day, a month, a year, or from one to another.

A time without a time zone is UTC. A date without a time is the whole day, `2020-06` the whole month
and `2020` the whole year. Both ends of a period belong to it.
"""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from rsretrieve.errors import InvalidArgument

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
FIRST_US = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND
LAST_US = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND
DAY_US = 86_400_000_000
_DATE = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?|(\d{4})(\d{2})(\d{2})", re.ASCII)
_TIME = re.compile(
    r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?( ?(Z|UTC|[+-]\d{2}(:?\d{2})?))?", re.ASCII
)
_OPEN = ("", "..")
_LONGEST = 100
_HINT = "give a date or a time, such as 2020, 2020-06, 2020-06-30 or 2020-06-30T10:15:00Z"
_INTERVAL_HINT = (
    f"{_HINT}; or two of them with / between, .. for an open end: 2019/2020-06, ../2020"
)


@dataclass(frozen=True, slots=True)
class Period:
    """A period, both ends included.

    Attributes:
        start_us, end_us: microseconds since 1970-01-01T00:00:00Z.

    Raises:
        ValueError: it ends before it begins, or lies outside the years 1 to 9999.
    """

    start_us: int
    end_us: int

    def __post_init__(self) -> None:
        if not FIRST_US <= self.start_us <= self.end_us <= LAST_US:
            raise ValueError("a period must not end before it begins")

    @property
    def start(self) -> datetime:
        """Its first instant, in UTC."""
        return as_datetime(self.start_us)

    @property
    def end(self) -> datetime:
        """Its last instant, in UTC."""
        return as_datetime(self.end_us)

    @property
    def is_instant(self) -> bool:
        """Whether both ends are the same."""
        return self.start_us == self.end_us

    @property
    def text(self) -> str:
        """The period as `period_of` reads it: an instant, a day, or both ends.

        >>> period_of("2020-06-30").text, period_of("2020-06-30 12:00+02:00").text
        ('2020-06-30', '2020-06-30T10:00:00Z')
        """
        if self.is_instant:
            return instant_text(self.start)
        if not self.start_us % DAY_US and self.end_us - self.start_us == DAY_US - 1:
            return self.start.date().isoformat()
        return f"{instant_text(self.start)}/{instant_text(self.end)}"


@dataclass(frozen=True, slots=True)
class DateInterval:
    """An interval to filter by, both ends included.

    Attributes:
        start_us, end_us: microseconds since 1970-01-01T00:00:00Z; None for an open end.

    Raises:
        InvalidArgument: it ends before it begins, or both ends are open.
    """

    start_us: int | None
    end_us: int | None

    def __post_init__(self) -> None:
        if self.start_us is None and self.end_us is None:
            raise InvalidArgument("an interval of dates needs at least one end", hint=_HINT)
        if self.start_us is not None and self.end_us is not None and self.start_us > self.end_us:
            first, last = as_datetime(self.start_us), as_datetime(self.end_us)
            raise InvalidArgument(
                f"the interval of dates is empty: it begins at {instant_text(first)} and ends "
                f"before that, at {instant_text(last)}",
                hint="give the earlier date first",
            )


def as_datetime(microseconds: int) -> datetime:
    """The instant of some microseconds since 1970, in UTC."""
    return _EPOCH + microseconds * _MICROSECOND


def microseconds_of(moment: datetime) -> int:
    """Microseconds since 1970; without a time zone, the time is UTC."""
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return (aware - _EPOCH) // _MICROSECOND


def period_of(text: str) -> Period:
    """The period that a date, a time, or an interval of two with `/` between names.

    Args:
        text: `2020`, `2020-06`, `2020-06-30`, `20200630`, an RFC 3339 time (seconds and time zone
            may be missing), or two of these.

    Raises:
        ValueError: it is none of these.

    >>> (period_of("2020-06-30").end_us + 1 - period_of("2020-06-30").start_us) / 3.6e9
    24.0
    """
    if len(text) > _LONGEST:
        raise ValueError("too long for a date")
    first, slash, last = text.partition("/")
    if slash:
        return Period(_one(first).start_us, _one(last).end_us)
    return _one(text)


def interval_of(text: str, name: str) -> DateInterval:
    """The interval of a filter, as in STAC: an instant or a date, or two with `/` between.

    Args:
        text: as for `period_of`; one of the two may be `..` or empty, which is open.
        name: the option, for messages.

    Raises:
        InvalidArgument: it is no interval, is empty, or both ends are open.
    """
    first, slash, last = text.partition("/")
    if not slash:
        period = _given(text, name, _INTERVAL_HINT)
        return DateInterval(period.start_us, period.end_us)
    start = None if first.strip() in _OPEN else _given(first, name, _INTERVAL_HINT).start_us
    end = None if last.strip() in _OPEN else _given(last, name, _INTERVAL_HINT).end_us
    return DateInterval(start, end)


def interval_between(first: str | None, last: str | None) -> DateInterval:
    """The interval of `--from` and `--to`; of dates without a time, all of the day.

    Raises:
        InvalidArgument: one is not a date, or the interval is empty.
    """
    start = None if first is None else _given(first, "--from").start_us
    return DateInterval(start, None if last is None else _given(last, "--to").end_us)


def interval_of_values(value: object, name: str) -> DateInterval:
    """The interval that Python values name.

    Args:
        value: a text, as for `interval_of`; a `datetime.date`, which is the whole day; a
            `datetime.datetime`; or a pair of these, of which one may be None, which is open.
        name: the argument, for messages.

    Raises:
        InvalidArgument: it is none of these.
    """
    if isinstance(value, tuple | list) and len(value) == 2:
        start, end = (None if one is None else _of_value(one, name) for one in value)
        return DateInterval(start.start_us if start else None, end.end_us if end else None)
    if isinstance(value, str):
        return interval_of(value, name)
    period = _of_value(value, name)
    return DateInterval(period.start_us, period.end_us)


def _of_value(value: object, name: str) -> Period:
    if isinstance(value, datetime):
        return Period(*[microseconds_of(value)] * 2)
    if isinstance(value, date):
        return _one(value.isoformat())
    if isinstance(value, str):
        return _given(value, name)
    raise InvalidArgument(f"{name}: {value!r} is not a date", hint=_HINT)


def _given(text: str, name: str, hint: str = _HINT) -> Period:
    try:
        return _one(text)
    except ValueError as error:
        raise InvalidArgument(f"{name}: {text!r} is not a date", hint=hint) from error


def _one(text: str) -> Period:
    """The period of one date or time.

    Raises:
        ValueError: it is neither.
    """
    text = text.strip().upper()
    if match := _DATE.fullmatch(text):
        year, month, day = match[1] or match[4], match[2] or match[5], match[3] or match[6]
        return _whole(int(year), *(None if one is None else int(one) for one in (month, day)))
    if not _TIME.fullmatch(text):
        raise ValueError(f"{text[:_LONGEST]!r} is not a date")
    moment = microseconds_of(datetime.fromisoformat(text.replace("UTC", "Z").replace(" Z", "Z")))
    return Period(moment, moment)


def _whole(year: int, month: int | None = None, day: int | None = None) -> Period:
    """A year, a month of it, or a day.

    Raises:
        ValueError: the calendar has no such month or day.
    """
    first = date(year, 1 if month is None else month, 1 if day is None else day)
    last_month = 12 if month is None else month
    last_day = calendar.monthrange(year, last_month)[1] if day is None else day
    last = date(year, last_month, last_day)
    start, end = (
        microseconds_of(datetime(one.year, one.month, one.day, tzinfo=UTC)) for one in (first, last)
    )
    return Period(start, end + DAY_US - 1)


def instant_text(moment: datetime) -> str:
    """RFC 3339, with fractions of a second only where there are any."""
    return moment.isoformat().replace("+00:00", "Z")
