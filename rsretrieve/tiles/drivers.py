"""What GDAL may do over a file on this machine's disk: a file that somebody made is not trusted.

Some formats are no pixels but a description of where they are: a `.vrt`, a WMS service, a
kerchunk. So are sidecars, such as overviews that a `.aux.xml` names. A stranger's folder would
read any file of the user's, or have any server asked, as soon as it is indexed. Therefore files
are opened with the formats below alone, which hold their pixels themselves, and nothing that
they name is fetched over a network. A URL or a `/vsi…` path is the user's own word, and is
opened with all that GDAL has; and so is a file that the user named by itself, if it is
none of those whose pixels are their own.
"""

from __future__ import annotations

import os
from pathlib import Path

from rsretrieve.tiles.records import Tile
from rsretrieve.tiles.sources import is_elsewhere

VARIABLE = "RSRETRIEVE_GDAL_DRIVERS"
"""Names more drivers, by commas, for files that are trusted; what these name is then fetched."""

_PIXELS_OF_THEIR_OWN = (
    *("GTiff", "PNG", "JPEG", "GIF", "BIGGIF", "BMP", "WEBP", "JPEGXL", "AVIF", "HEIF"),
    *("JP2OpenJPEG", "JP2KAK", "JP2ECW", "JP2MrSID", "ECW", "MrSID", "HFA", "NITF", "ENVI"),
    *("EHdr", "AAIGrid", "DTED", "SRTMHGT", "USGSDEM", "GRIB", "PNM", "SGI", "TGA", "BSB", "RMF"),
)
_SERVICES = (  # which ask their servers by ways of their own
    *("WMS", "WMTS", "WCS", "OGCAPI", "HTTP", "DAAS", "EEDA", "EEDAI", "PLMOSAIC", "NGW"),
)
OFFLINE = {"CPL_VSIL_CURL_ALLOWED_FILENAME": "none", "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": ".none"}
"""GDAL's settings while a file is read that may name no address."""

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
_KNOWN = ((b"<VRTDataset", "VRT"), (b"\x89HDF", "HDF5"), (b"CDF", "netCDF"), (b"<GDAL_WMS", "WMS"))


def is_trusted(tile: Tile) -> bool:
    """Whether a tile is opened with all that GDAL has, and whatever it names, too.

    Raises:
        OSError: there is no such file.
    """
    if is_elsewhere(tile.path):
        return True
    return tile.named and not begins_like_an_image(Path(tile.path))


def begins_like_an_image(path: Path) -> bool:
    """Whether a file is, by its first bytes, of one of the formats that most images have.

    Raises:
        OSError: there is no such file.
    """
    with path.open("rb") as stream:
        return stream.read(12).startswith(_IMAGE_STARTS)


def trusted() -> tuple[str, ...]:
    """The drivers that the user trusts files to besides."""
    return tuple(name.strip() for name in os.environ.get(VARIABLE, "").split(",") if name.strip())


def for_files() -> list[str]:
    """The drivers that a file is tried with."""
    return [*_PIXELS_OF_THEIR_OWN, *trusted()]


def left_out() -> str:
    """The drivers that GDAL is started without, as its `GDAL_SKIP` takes them."""
    return ",".join(name for name in _SERVICES if name not in trusted())


def why_not(start: bytes) -> str | None:
    """Why a file that begins like this is not opened, if another driver would; else None."""
    for begins, driver in _KNOWN:
        if start.lstrip().startswith(begins) and driver not in trusted():
            return (
                f"its format is {driver}, in which a file may name others, or addresses: set "
                f"{VARIABLE}={driver} if you trust it"
            )
    return None
