"""Which of GDAL's drivers a process has that decodes.

Some formats are no pixels but a description of where they are: a `.vrt`, a WMS service, a
kerchunk. So are sidecars, such as overviews that a `.aux.xml` names, and GDAL opens what they
name with every driver that it has, whatever list the first file was opened with. Therefore a
process that reads files of strangers has only the drivers below, which hold their pixels
themselves: all others are removed before it opens its first file. What the user typed is opened
with all that GDAL has (see `access`).
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

VARIABLE = "RSRETRIEVE_GDAL_DRIVERS"
"""Names more drivers, by commas, for files that are trusted; what these name is then fetched."""

_PIXELS_OF_THEIR_OWN = (
    *("GTiff", "PNG", "JPEG", "GIF", "BIGGIF", "BMP", "WEBP", "JPEGXL", "AVIF", "HEIF"),
    *("JP2OpenJPEG", "JP2KAK", "JP2ECW", "JP2MrSID", "ECW", "MrSID", "NITF", "ENVI"),
    *("EHdr", "AAIGrid", "DTED", "SRTMHGT", "USGSDEM", "GRIB", "PNM", "SGI", "TGA", "BSB", "RMF"),
)
CONFINED_ONLY = ("HFA",)
"""Formats whose files may name a second one with their pixels: only where the system sees to it
that it lies beside them."""
_SERVICES = (  # which ask their servers by ways of their own
    *("WMS", "WMTS", "WCS", "OGCAPI", "HTTP", "DAAS", "EEDA", "EEDAI", "PLMOSAIC", "NGW"),
)
_OFFLINE = {"CPL_VSIL_CURL_ALLOWED_FILENAME": "none", "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": ".none"}
_BY_NAME = {"GDAL_DISABLE_READDIR_ON_OPEN": "TRUE"}  # sidecars have these names, and no others
_ALONE = {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR"}  # none is asked for over a network

_IMAGE_STARTS = (
    b"\xff\xd8\xff",  # JPEG
    b"\x89PNG",
    b"II*\0",  # TIFF, little-endian
    b"MM\0*",  # TIFF, big-endian
    b"II+\0",  # BigTIFF
    b"MM\0+",
    b"\0\0\0\x0cjP  ",  # JPEG 2000
    b"\xff\x4f\xff\x51",  # JPEG 2000 code stream
)
_OTHER_STARTS = (
    *(b"GIF8", b"BM", b"RIFF", b"EHFA_HEADER_TAG", b"NITF", b"NSIF", b"GRIB", b"P4", b"P5", b"P6"),
    *(b"\x01\xda", b"\xff\x0a", b"\0\0\0\x0cJXL ", b"UHL1", b"ncols", b"NCOLS", b"RSW", b"RMTW"),
)
_WITHOUT_A_START = (
    *(".hgt", ".bil", ".bip", ".bsq", ".flt", ".raw", ".dem", ".tga", ".asc", ".kap", ".nos"),
    *(".avif", ".heif", ".heic", ".dt0", ".dt1", ".dt2"),
)
_KNOWN = ((b"<VRTDataset", "VRT"), (b"\x89HDF", "HDF5"), (b"CDF", "netCDF"), (b"<GDAL_WMS", "WMS"))


def begins_like_an_image(path: Path) -> bool:
    """Whether a file is, by its first bytes, of one of the formats that most images have.

    Raises:
        OSError: there is no such file.
    """
    with path.open("rb") as stream:
        return stream.read(12).startswith(_IMAGE_STARTS)


def holds_its_pixels(path: Path) -> bool:
    """Whether a file is of a format that names no other, as far as its bytes or its name tell.

    Raises:
        OSError: there is no such file.
    """
    with path.open("rb") as stream:
        start = stream.read(16)
    if start.startswith((*_IMAGE_STARTS, *_OTHER_STARTS)):
        return True
    # ENVI's pixels have no beginning of their own, and any suffix: their header lies beside them.
    headers = (path.with_suffix(".hdr"), path.with_name(f"{path.name}.hdr"))
    plain = path.suffix.lower() in _WITHOUT_A_START or any(map(Path.exists, headers))
    return plain and not start.lstrip().startswith((b"<", b"{", *(known for known, _ in _KNOWN)))


def trusted() -> tuple[str, ...]:
    """The drivers that the user trusts files to besides."""
    return tuple(name.strip() for name in os.environ.get(VARIABLE, "").split(",") if name.strip())


def for_files() -> list[str]:
    """The drivers that a file is tried with."""
    return [*_PIXELS_OF_THEIR_OWN, *trusted()]


def left_out() -> str:
    """The drivers that GDAL is started without, as its `GDAL_SKIP` takes them."""
    return ",".join(name for name in _SERVICES if name not in trusted())


def limit_drivers(allowed: tuple[str, ...]) -> None:
    """Remove, in this process and for ever, every driver of GDAL's but these.

    Raises:
        OSError: another driver is still there.
    """
    import rasterio
    from rasterio import _env

    gdal = rasterio.Env()
    gdal.__enter__()  # to the end of the process: GDAL registers drivers when one begins
    others = set(gdal.drivers()) - set(allowed)
    os.environ["GDAL_SKIP"] = ",".join(sorted(others))  # should it ever register them again
    # rasterio has no function for it; a symbol is found in what its module is linked to.
    library = ctypes.CDLL(_env.__file__)
    library.GDALGetDriverByName.restype = ctypes.c_void_p
    library.GDALDeregisterDriver.argtypes = [ctypes.c_void_p]
    for name in others:
        library.GDALDeregisterDriver(library.GDALGetDriverByName(name.encode()))
    if left := set(gdal.drivers()) - set(allowed):
        raise OSError(f"GDAL cannot do without its drivers {', '.join(sorted(left))}")


def settings_for(*, remote: bool) -> Mapping[str, Any]:
    """GDAL's settings while a stranger's file is read, from disk or from a public address."""
    if trusted():
        return {}
    return _ALONE if remote else {**_OFFLINE, **_BY_NAME}


def why_not(start: bytes) -> str | None:
    """Why a file that begins like this is not opened, if another driver would; else None."""
    for begins, driver in _KNOWN:
        if start.lstrip().startswith(begins) and driver not in trusted():
            return (
                f"its format is {driver}, in which a file may name others, or addresses: set "
                f"{VARIABLE}={driver} if you trust it"
            )
    return None
