"""Which of GDAL's drivers a process that decodes may use.

Some formats hold no pixels but say where they are: a `.vrt`, a WMS service, a kerchunk. So do some
sidecars, such as an `.aux.xml` that names overviews. GDAL opens the named files with every driver
that it has, whatever drivers the first file was opened with. Therefore a process that reads
untrusted files has only the drivers below, whose formats hold their own pixels; all others are
removed before it opens its first file. Paths that the user typed are opened with all drivers of
GDAL (see `access`).
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

VARIABLE = "RSRETRIEVE_GDAL_DRIVERS"
"""Names further drivers, separated by commas; files that their formats name are then read."""

_OWN_PIXELS = (
    *("GTiff", "PNG", "JPEG", "GIF", "BIGGIF", "BMP", "WEBP", "JPEGXL", "AVIF", "HEIF"),
    *("JP2OpenJPEG", "JP2KAK", "JP2ECW", "JP2MrSID", "ECW", "MrSID", "NITF", "ENVI"),
    *("EHdr", "AAIGrid", "DTED", "SRTMHGT", "USGSDEM", "GRIB", "PNM", "SGI", "TGA", "BSB", "RMF"),
)
CONFINED_ONLY = ("HFA",)
"""Formats whose files may name a second file with their pixels: only where the system limits
reading to their folder."""
_SERVICES = (  # which use the network in their own ways
    *("WMS", "WMTS", "WCS", "OGCAPI", "HTTP", "DAAS", "EEDA", "EEDAI", "PLMOSAIC", "NGW"),
)
_OFFLINE = {"CPL_VSIL_CURL_ALLOWED_FILENAME": "none", "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": ".none"}
_BY_NAME = {"GDAL_DISABLE_READDIR_ON_OPEN": "TRUE"}  # only sidecars with standard names are read
_ALONE = {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR"}  # no sidecars over a network

_IMAGE_SIGNATURES = (
    b"\xff\xd8\xff",  # JPEG
    b"\x89PNG",
    b"II*\0",  # TIFF, little-endian
    b"MM\0*",  # TIFF, big-endian
    b"II+\0",  # BigTIFF
    b"MM\0+",
    b"\0\0\0\x0cjP  ",  # JPEG 2000
    b"\xff\x4f\xff\x51",  # JPEG 2000 code stream
)
_OTHER_SIGNATURES = (
    *(b"GIF8", b"BM", b"RIFF", b"EHFA_HEADER_TAG", b"NITF", b"NSIF", b"GRIB", b"P4", b"P5", b"P6"),
    *(b"\x01\xda", b"\xff\x0a", b"\0\0\0\x0cJXL ", b"UHL1", b"ncols", b"NCOLS", b"RSW", b"RMTW"),
)
_SUFFIXES_WITHOUT_SIGNATURE = (
    *(".hgt", ".bil", ".bip", ".bsq", ".flt", ".raw", ".dem", ".tga", ".asc", ".kap", ".nos"),
    *(".avif", ".heif", ".heic", ".dt0", ".dt1", ".dt2"),
)
SIDECAR_SUFFIXES = frozenset(
    (
        *(".ovr", ".msk", ".aux", ".rrd", ".ige", ".xml", ".hdr", ".prj", ".rpb", ".clr", ".stx"),
        *(".wld", ".tfw", ".tifw", ".tiffw", ".jgw", ".jpgw", ".jpegw", ".pgw", ".pngw", ".gfw"),
        *(".bpw", ".j2w", ".jp2w", ".idx", ".imd", ".rpc", ".geo"),
    )
)
"""Files that GDAL reads with a raster beside them, and that are none themselves. Some are TIFFs:
overviews (`.ovr`) and masks (`.msk`)."""
READABLE_SUFFIXES = frozenset(
    (
        *(".nc", ".nc4", ".cdf", ".h4", ".h5", ".hdf", ".hdf4", ".hdf5", ".he5", ".zarr"),
        *(".grb", ".grb2", ".grib", ".grib2", ".gpkg", ".mbtiles", ".mrf", ".bag", ".kea"),
        *(".avif", ".heic", ".heif", ".jxl", ".jls", ".jpx", ".jpc", ".j2c", ".ecw", ".sid"),
        *(".pnm", ".pbm", ".pgm", ".ppm", ".tga", ".sgi", ".rgb", ".rsw", ".mtw", ".xpm"),
        *(".bil", ".bip", ".bsq", ".flt", ".asc", ".grd", ".hgt", ".dem", ".dt0", ".dt1", ".dt2"),
        *(".ers", ".pix", ".rst", ".cub", ".kap", ".nos", ".bt", ".ter", ".xyz", ".sdat", ".gtx"),
        *(".gti", ".til", ".pdf", ".lcp", ".hf2"),
    )
)
"""Formats of rasters that a folder is not searched for: many hold several images or none, and some
are not read without the user's trust."""
_KNOWN = ((b"<VRTDataset", "VRT"), (b"\x89HDF", "HDF5"), (b"CDF", "netCDF"), (b"<GDAL_WMS", "WMS"))


def begins_like_an_image(path: Path) -> bool:
    """Whether a file has the signature of a common image format.

    Raises:
        OSError: no such file.
    """
    with path.open("rb") as stream:
        return stream.read(12).startswith(_IMAGE_SIGNATURES)


def holds_its_pixels(path: Path) -> bool:
    """Whether a file's format holds its own pixels, judged by its signature or its name.

    Raises:
        OSError: no such file.
    """
    with path.open("rb") as stream:
        start = stream.read(16)
    if start.startswith((*_IMAGE_SIGNATURES, *_OTHER_SIGNATURES)):
        return True
    # ENVI files have no signature and any suffix, but a header file beside them.
    headers = (path.with_suffix(".hdr"), path.with_name(f"{path.name}.hdr"))
    plain = path.suffix.lower() in _SUFFIXES_WITHOUT_SIGNATURE or any(map(Path.exists, headers))
    return plain and not start.lstrip().startswith((b"<", b"{", *(known for known, _ in _KNOWN)))


def trusted() -> tuple[str, ...]:
    """The further drivers that the user trusts."""
    return tuple(name.strip() for name in os.environ.get(VARIABLE, "").split(",") if name.strip())


def for_files() -> list[str]:
    """The drivers with which an untrusted file is tried."""
    return [*_OWN_PIXELS, *trusted()]


def left_out() -> str:
    """The drivers that GDAL never loads, in the format of `GDAL_SKIP`."""
    return ",".join(name for name in _SERVICES if name not in trusted())


def limit_drivers(allowed: tuple[str, ...]) -> None:
    """Remove, permanently in this process, all drivers of GDAL except these.

    Raises:
        OSError: another driver cannot be removed.
    """
    import rasterio
    from rasterio import _env

    gdal = rasterio.Env()
    gdal.__enter__()  # never left: GDAL registers drivers when an environment starts
    others = set(gdal.drivers()) - set(allowed)
    os.environ["GDAL_SKIP"] = ",".join(sorted(others))  # in case it registers them again
    # rasterio has no function for this: the symbols come from the library that it links to.
    library = ctypes.CDLL(_env.__file__)
    library.GDALGetDriverByName.restype = ctypes.c_void_p
    library.GDALDeregisterDriver.argtypes = [ctypes.c_void_p]
    for name in others:
        library.GDALDeregisterDriver(library.GDALGetDriverByName(name.encode()))
    if left := set(gdal.drivers()) - set(allowed):
        raise OSError(f"GDAL needs its drivers {', '.join(sorted(left))}")


def settings_for(*, remote: bool) -> Mapping[str, Any]:
    """GDAL's settings while an untrusted file is read, from disk or from a public address."""
    if trusted():
        return {}
    return _ALONE if remote else {**_OFFLINE, **_BY_NAME}


def why_not(start: bytes) -> str | None:
    """Why a file with this beginning is refused although GDAL could open it; else None."""
    for begins, driver in _KNOWN:
        if start.lstrip().startswith(begins) and driver not in trusted():
            return (
                f"its format is {driver}, whose files may name other files or addresses: set "
                f"{VARIABLE}={driver} if you trust it"
            )
    return None
