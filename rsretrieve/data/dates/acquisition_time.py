"""When a tile was taken, and what says so."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from rsretrieve.data.dates.periods import Period


class DateSource(StrEnum):
    """What says when a tile was taken."""

    GIVEN = "given"  # a list, a STAC item, or a table of embeddings
    METADATA = "metadata"  # the acquisition time in the metadata of its file
    TIFF_TAG = "tiff-tag"  # the tag DateTime of its file, which many programs set when they write


@dataclass(frozen=True, slots=True)
class AcquisitionTime:
    """When a tile was taken.

    Attributes:
        period: the instant, or a period that contains it.
        source: what says so.
    """

    period: Period
    source: DateSource = DateSource.GIVEN

    def __reduce__(self) -> tuple[Any, ...]:
        return received_time, self.sent()

    def sent(self) -> tuple[int, int, str]:
        """What a worker sends, for `received_time`."""
        return self.period.start_us, self.period.end_us, self.source.value

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> AcquisitionTime:
        """A time from its fields, as `dataclasses.asdict` gives them.

        Raises:
            KeyError, TypeError, ValueError: it is none.
        """
        period = content["period"]
        ends = period["start_us"], period["end_us"]
        return cls(Period(*ends), DateSource(content["source"]))

    @property
    def is_given(self) -> bool:
        """Whether a list or an item says so, not the tile's file."""
        return self.source is DateSource.GIVEN


def received_time(start_us: int, end_us: int, source: str) -> AcquisitionTime:
    """A time that a worker sent.

    Raises:
        UnpicklingError: it is none: workers are not trusted.
    """
    try:
        if type(start_us) is not int or type(end_us) is not int:
            raise ValueError("the ends of a period are no whole numbers")
        return AcquisitionTime(Period(start_us, end_us), DateSource(source))
    except (TypeError, ValueError) as error:
        raise pickle.UnpicklingError(str(error)) from error


def time_over(times: Sequence[AcquisitionTime]) -> AcquisitionTime | None:
    """The time of a tile whose bands lie in several files: from the first to the last of them."""
    if not times:
        return None
    start = min(time.period.start_us for time in times)
    end = max(time.period.end_us for time in times)
    order = list(DateSource)
    source = max((time.source for time in times), key=order.index)
    return AcquisitionTime(Period(start, end), source)
