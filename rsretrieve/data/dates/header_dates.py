"""The acquisition times that the headers of rasters hold."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING

from rsretrieve.data.dates.acquisition_time import AcquisitionTime, DateSource, time_over
from rsretrieve.data.dates.periods import period_of

if TYPE_CHECKING:
    from rasterio import DatasetReader

_ACQUIRED, _TIFF_TAG = "ACQUISITIONDATETIME", "TIFFTAG_DATETIME"
_ITEM = re.compile(rf'<Item name="{_ACQUIRED}"[^<>]*>([^<>]*)</Item>')
_OF_TIFF = re.compile(r"(\d{4}):(\d{2}):(\d{2}) (\d{2}:\d{2}:\d{2})", re.ASCII)


def time_in_header(dataset: DatasetReader) -> AcquisitionTime | None:
    """When a raster was taken, as its file says.

    The acquisition time in GDAL's metadata comes first, then the TIFF tag DateTime. Only the file
    itself is read: GDAL's domain IMAGERY also reads the metadata files that providers deliver.

    Args:
        dataset: an open raster, or several as one (`StackedDataset`).

    Returns:
        None where the header has no such entry, or it is not a date.
    """
    files = getattr(dataset, "files", None)
    if isinstance(files, tuple):
        return time_over([time for time in map(time_in_header, files) if time is not None])
    tags = dataset.tags()
    for text in (_in_metadata_of_tiff(dataset), tags.get(_ACQUIRED)):
        if text:
            with suppress(ValueError):
                return AcquisitionTime(period_of(text), DateSource.METADATA)
    return time_of_tiff_tag(tags.get(_TIFF_TAG))


def time_of_tiff_tag(text: object) -> AcquisitionTime | None:
    """The time of the TIFF tag DateTime (`YYYY:MM:DD HH:MM:SS`, in UTC); None for any other text.

    >>> time_of_tiff_tag("2020:06:30 10:15:00").period.text
    '2020-06-30T10:15:00Z'
    """
    match = _OF_TIFF.fullmatch(text.strip(" \0")) if isinstance(text, str) else None
    if match is None:
        return None
    year, month, day, clock = match.groups()
    with suppress(ValueError):  # 0000:00:00, which some programs write
        return AcquisitionTime(period_of(f"{year}-{month}-{day}T{clock}"), DateSource.TIFF_TAG)
    return None


def _in_metadata_of_tiff(dataset: DatasetReader) -> str | None:
    """The acquisition time in the tag GDAL_METADATA of a TIFF, whatever its domain."""
    if dataset.driver != "GTiff":
        return None
    written = dataset.get_tag_item("TIFFTAG_GDAL_METADATA", "_DEBUG_")
    match = _ITEM.search(written) if written else None
    return None if match is None else match[1]
