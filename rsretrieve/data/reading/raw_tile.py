"""A tile as it is stored in its file, and the limits that it must satisfy."""

from __future__ import annotations

import errno
import stat
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsretrieve._core.regular_files import is_of_system
from rsretrieve.data.dates.acquisition_time import AcquisitionTime
from rsretrieve.data.geo.place import Place
from rsretrieve.data.notes import Note, known_notes
from rsretrieve.data.pixels.expected import Expected
from rsretrieve.data.pixels.meaning import READ_AS_FLOAT32, READ_AS_THEY_ARE
from rsretrieve.data.pixels.packing import Packing
from rsretrieve.data.window import MAX_PIXELS, MIN_SIDE_PX, is_like_a_window
from rsretrieve.data.workers.limits import MEMORY_BYTES
from rsretrieve.errors import InvalidArgument, TileError

_FILE_TROUBLES = {
    errno.ENOENT: "no such file",
    errno.ENOTDIR: "no such file",
    errno.ELOOP: "a link that leads back to itself",
    errno.EACCES: "may not be read (permission denied)",
    errno.EPERM: "may not be read (permission denied)",
    errno.EISDIR: "is a folder, not a file",
    errno.ENAMETOOLONG: "no such file: its name is too long",
    errno.EIO: "the disk cannot read it (input/output error)",
}


@dataclass(frozen=True)
class RawTile:
    """A tile as it is stored in its file.

    Attributes:
        values: (C, H, W), uint8, uint16, int16 or float32; read-only by convention.
        valid: (C, H, W) bool, False where there is no measurement (nodata, NaN,
            transparent); None where everything is valid.
        place: its place on Earth; None without georeference.
        packing: scale and offset of its bands; None where the file declares none.
        notes: what the user should know about it.
        taken: when it was taken, as its file says; None where it does not say.
    """

    values: NDArray[Any]
    valid: NDArray[np.bool_] | None
    place: Place | None
    packing: Packing | None = None
    notes: tuple[Note, ...] = ()
    taken: AcquisitionTime | None = None

    @property
    def is_blank(self) -> bool:
        """Whether every value is 0. The first value, or the first row, decides for most tiles."""
        if self.values[0, 0, 0]:
            return False
        return not (self.values[:, :1].any() or self.values.any())

    @property
    def nodata_share(self) -> float:
        """The share of values without a measurement, 0…1; 1 where every value is 0."""
        if self.is_blank:
            return 1.0
        return 0.0 if self.valid is None else 1 - float(self.valid.mean())


def received_tile(
    values: NDArray[Any],
    valid: NDArray[np.bool_] | None,
    place: object,
    packing: object,
    notes: tuple[str, ...],
    taken: object,
) -> RawTile:
    """A tile that a worker sent.

    Raises:
        ValueError: it is none: workers are not trusted.
    """
    if str(values.dtype) not in READ_AS_THEY_ARE and values.dtype != np.float32:
        raise ValueError(f"pixels of {values.dtype}")
    if valid is not None and (valid.dtype != np.bool_ or valid.shape != values.shape):
        raise ValueError("a mask that does not fit the pixels")
    if not isinstance(place, Place | None) or not isinstance(packing, Packing | None):
        raise ValueError("a tile without a place or a packing")
    if not isinstance(taken, AcquisitionTime | None):
        raise ValueError("a tile without a time")
    return RawTile(values, valid, place, packing, known_notes(notes), taken)


def in_packing(tile_id: str, raw: RawTile, expected: Expected) -> RawTile:
    """The same tile, its values in the scale and offset that are expected.

    Values whose packing is unknown, or is not expected, stay as they are stored, with a note.

    Raises:
        TileError: the values cannot be converted.
    """
    if expected.source_bands is None or raw.packing == expected.packing:
        return raw
    found, wanted = raw.packing, expected.packing
    if found is None or wanted is None:
        return replace(raw, notes=(*raw.notes, Note.UNPACKED if wanted else Note.PACKED))
    if len(found.scales) != len(wanted.scales):
        return raw  # another number of bands: the model refuses it
    try:
        values = found.convert(raw.values, wanted, raw.valid)
    except InvalidArgument as error:
        raise TileError(tile_id, str(error)) from error
    return replace(raw, values=values, packing=wanted, notes=(*raw.notes, Note.REPACKED))


def require_measurement(tile_id: str, raw: RawTile) -> RawTile:
    """The same tile; a `TileError` if it holds no measurement at all."""
    if raw.valid is not None and not raw.valid.any():
        raise TileError(tile_id, "every pixel is nodata")
    if raw.is_blank:
        raise TileError(tile_id, "every pixel is 0 in every band, which is taken for nodata")
    return raw


def check_tile_size(tile_id: str, width: int, height: int) -> None:
    """Raise a `TileError` for a tile that is too small or too large."""
    if min(width, height) < MIN_SIDE_PX:
        raise TileError(
            tile_id, f"{width}×{height} px is too small: a side has at least {MIN_SIDE_PX} px"
        )
    if width * height > MAX_PIXELS:
        raise TileError(tile_id, f"{width}×{height} px: {too_many_pixels()}")


def require_openable(tile_id: str, path: str) -> None:
    """Raise a `TileError` for what is not a file (reading a pipe or device may block indefinitely).

    And for names that are not UTF-8: neither GDAL nor the table of an index accepts them.

    Raises:
        OSError: no such file, or a broken link.
    """
    try:
        f"{tile_id}{path}".encode()
    except UnicodeEncodeError as error:
        raise TileError(tile_id, "its name is not UTF-8: rename it") from error
    if "\0" in path:
        raise TileError(tile_id, "no such file: no name holds a NUL character")
    if is_like_a_window(path):
        raise TileError(tile_id, "its name ends like a window (#col,row,width,height): rename it")
    status = Path(path).stat()
    mode = status.st_mode
    kinds = {stat.S_ISFIFO: "a pipe", stat.S_ISSOCK: "a socket"}
    kinds |= {stat.S_ISCHR: "a device", stat.S_ISBLK: "a device", stat.S_ISDIR: "a folder"}
    for is_kind, name in kinds.items():
        if is_kind(mode):
            raise TileError(tile_id, f"is {name}, not a file")
    if is_of_system(status):
        raise TileError(tile_id, "is a file of the system, not of a disk")


def decoding_trouble(error: Exception) -> str:
    """The error of a decoder or of the system, in words that a user can act on."""
    if isinstance(error, MemoryError):
        return too_much_memory()
    if isinstance(error, OSError) and error.errno in _FILE_TROUBLES:
        return _FILE_TROUBLES[error.errno]
    cause: BaseException = error
    if type(error).__module__.startswith("rasterio"):  # "see previous exception" helps nobody
        cause = error.__cause__ or error
    return f"cannot be decoded: {' '.join(str(cause).split()) or type(cause).__name__}"


def require_readable_type(tile_id: str, kind: str) -> None:
    """Raise a `TileError` for an unsupported pixel type (see `data.pixels.meaning`)."""
    if kind in (*READ_AS_THEY_ARE, *READ_AS_FLOAT32):
        return
    if kind.startswith("complex"):
        raise TileError(
            tile_id,
            f"pixels are {kind}, amplitude and phase in one number: write the amplitude as a "
            "raster first (gdal_translate DERIVED_SUBDATASET:AMPLITUDE:FILE amplitude.tif)",
        )
    readable = ", ".join((*READ_AS_THEY_ARE, *READ_AS_FLOAT32))
    raise TileError(tile_id, f"pixels are {kind}; what is read is {readable}")


def too_many_pixels() -> str:
    """The reason why a tile with too many pixels is refused."""
    return f"too large for a tile: at most {MAX_PIXELS / 1e6:.0f} million pixels"


def too_much_memory() -> str:
    """The reason why a tile that takes too much memory is refused."""
    return f"takes more than {MEMORY_BYTES >> 30} GiB of memory to decode"


def none_if_all(valid: NDArray[np.bool_] | None) -> NDArray[np.bool_] | None:
    """A mask of valid values; None if every value is valid."""
    return None if valid is None or valid.all() else valid
