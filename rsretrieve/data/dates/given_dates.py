"""The dates that lists and STAC items give."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rsretrieve.data.dates.acquisition_time import AcquisitionTime
from rsretrieve.data.dates.periods import Period, period_of

DATE_COLUMNS = ("datetime", "start_datetime", "end_datetime")
"""As in a STAC item, and in stac-geoparquet."""
_ABSENT = frozenset(("nan", "nat", "none", "null", "<na>"))


class GivenDates:
    """Reads dates, and counts what is not a date.

    Args:
        place: the list or document, for messages.
    """

    def __init__(self, place: Path | str) -> None:
        self._place = place
        self._bad, self._first = 0, ""

    def read(self, cells: Mapping[str, object], where: object) -> AcquisitionTime | None:
        """The date of a row or of an item; None if it has none, or has something else.

        `datetime` counts if it is there, and with `end_datetime` alone it is where a period
        begins. Otherwise `start_datetime` and `end_datetime` count.

        Args:
            cells: the fields by name.
            where: the row or item, for messages.
        """
        moment, start, end = (_text(cells.get(name)) for name in DATE_COLUMNS)
        if not (moment or start or end):
            return None
        try:
            if moment and (start or not end):
                return AcquisitionTime(period_of(moment))
            first, last = period_of(moment or start), period_of(end)
            return AcquisitionTime(Period(first.start_us, last.end_us))
        except ValueError:
            self._bad += 1
            shown = moment or f"{start}/{end}"
            self._first = self._first or f"{where}: {shown[:60]!r}"
            return None

    @property
    def notices(self) -> tuple[str, ...]:
        """The notice that some dates cannot be read; empty if all can."""
        if not self._bad:
            return ()
        return (
            f"{self._place}: {self._bad} dates cannot be read and count as absent (the first, "
            f"{self._first}); dates are written like 2020-06-30 or 2020-06-30T10:15:00Z",
        )


def _text(value: object) -> str:
    text = "" if value is None else str(value).strip()
    return "" if text.lower() in _ABSENT else text
