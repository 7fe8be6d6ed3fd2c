"""GDAL's names for a part of a file, such as `netcdf:sea.nc:day`: which file on disk they name."""

from __future__ import annotations

import re
from dataclasses import dataclass

# Format, file, part. Some formats have other fields before the file (`HDF4_SDS:UNKNOWN:f.hdf:0`).
_FILE_FIRST = r"netcdf|hdf5|zarr|gpkg|bag|tiledb|s102|s104|s111"
_AFTER_A_FIELD = r"hdf4_sds|hdf4_eos|hdf4_gr|sentinel1_calib"
_FILE_LAST = r"nitf_im|heif|avif|pdf|radarsat_2_calib|rcm_calib"
_SENTINEL = r"sentinel[12]_[a-z0-9_]+"
FORMATS = rf"(?i:{_FILE_FIRST}|{_AFTER_A_FIELD}|{_FILE_LAST}|gtiff_dir|gtiff_raw|{_SENTINEL}):"
"""A regular expression for the beginning of such names."""

_QUOTED_OR_BARE = r'(?:"(?P<quoted>[^"]+)"|(?P<bare>[^":][^:]*))'
_NAMES = tuple(
    re.compile(rf"(?P<before>{before}){file}(?P<after>{after})\Z", re.IGNORECASE | re.DOTALL)
    for before, file, after in (
        (rf"(?:{_FILE_FIRST}|sentinel1_ds):", _QUOTED_OR_BARE, "(?::.*)?"),
        (rf"(?:{_AFTER_A_FIELD}):[^:]*:", _QUOTED_OR_BARE, "(?::.*)?"),
        (rf"gtiff_dir:(?:off:)?[^:]*:|gtiff_raw:|(?:{_FILE_LAST}):[^:]*:", "(?P<rest>.+)", ""),
        (r"sentinel2_(?:l1c|l2a):", "(?P<rest>.+?)", ":[^:]*:[^:]*"),
        (r"sentinel2_[a-z0-9_]+:", "(?P<rest>.+?)", ":[^:]*"),
        (r"vrt://", "(?P<rest>[^?]+)", r"(?:\?.*)?"),
    )
)
_ELSEWHERE = re.compile(r"/vsi[a-z0-9_]+/|[a-zA-Z][a-zA-Z0-9+.-]+://")
_SCHEMES = frozenset(("http", "https", "ftp", "s3", "gs", "az", "abfs", "abfss", "adl", "oss"))


@dataclass(frozen=True, slots=True)
class FilePart:
    """A name that has the path of a file in it.

    Attributes:
        before, file, after: the name is all three, one after the other.
        is_bare: the file ends at the next colon, as it has no quotes.
    """

    before: str
    file: str
    after: str
    is_bare: bool = False

    def at(self, path: str) -> str:
        """The name of the same part of the file at another path.

        >>> part = file_part("netcdf:sea.nc:day")
        >>> part.at("/data/sea.nc"), part.at("/10:30/sea.nc")
        ('netcdf:/data/sea.nc:day', 'netcdf:"/10:30/sea.nc":day')
        """
        quote = '"' if self.is_bare and ":" in path else ""
        return f"{self.before}{quote}{path}{quote}{self.after}"


def file_part(name: str) -> FilePart | None:
    """The local file in GDAL's name for a part of it; None if there is none, or it is remote.

    >>> file_part('HDF4_SDS:UNKNOWN:"a b.hdf":0').file, file_part("GTIFF_DIR:2:m.tif").file
    ('a b.hdf', 'm.tif')
    >>> file_part("netcdf:https://example.org/sea.nc:day") is None
    True
    """
    found = next((match for names in _NAMES if (match := names.match(name))), None)
    if found is None:
        return None
    groups = found.groupdict()
    quoted, before, after = groups.get("quoted"), groups["before"], groups["after"]
    file = quoted or groups.get("bare") or groups.get("rest") or ""
    if quoted:
        before, after = f'{before}"', f'"{after}'
    is_remote = _ELSEWHERE.match(file) or (file.lower() in _SCHEMES and after.startswith("://"))
    if is_remote or re.match(FORMATS, file):
        return None
    return FilePart(before, file, after, groups.get("bare") is not None)
