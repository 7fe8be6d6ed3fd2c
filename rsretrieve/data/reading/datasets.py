"""Open rasters with rasterio, only here."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from numpy.typing import NDArray

from rsretrieve.data.access import gdal_name_of, is_trusted
from rsretrieve.data.dates.acquisition_time import AcquisitionTime
from rsretrieve.data.dates.header_dates import time_in_header
from rsretrieve.data.gdal_drivers import for_files, limit_drivers, settings_for, why_not
from rsretrieve.data.pixels.declared import meaning_of
from rsretrieve.data.pixels.expected import ANYTHING, Expected
from rsretrieve.data.pixels.jpeg_end import require_end
from rsretrieve.data.pixels.meaning import Meaning
from rsretrieve.data.pixels.pages import require_one_image
from rsretrieve.data.pixels.png_chunks import require_whole_png
from rsretrieve.data.reading.raw_tile import (
    decoding_trouble,
    require_openable,
    require_readable_type,
)
from rsretrieve.data.reading.sidecars import (
    require_harmless_sidecars,
    require_own_header,
    require_own_overviews,
)
from rsretrieve.data.tile import Tile, Trust
from rsretrieve.data.workers.limits import measure_base
from rsretrieve.data.workers.process import current_policy
from rsretrieve.errors import TileError

if TYPE_CHECKING:
    from rasterio import DatasetReader

    from rsretrieve.data.reading.plain_images import PlainImage

_UNRECOGNISED = "not recognized as being in a supported file format"


@contextmanager
def raster_errors(tile_id: str) -> Iterator[None]:
    """Turn every error of rasterio into a `TileError`."""
    try:
        yield
    except TileError:
        raise
    except ImportError as error:
        raise TileError(
            tile_id, "neither JPEG nor plain PNG or TIFF, and rasterio is not installed"
        ) from error
    except Exception as error:  # drivers raise any type of error for damaged files
        known = _UNRECOGNISED in str(error)
        reason = "not an image that can be read" if known else decoding_trouble(error)
        raise TileError(tile_id, reason) from error


def reading_from(tile: Tile) -> AbstractContextManager[object]:
    """The rasterio environment in which a tile's raster is opened and read.

    Raises:
        OSError, TileError: there is no file that can be opened.
    """
    import rasterio

    _limit_gdal()
    is_local = tile.location.is_local
    if is_local:
        for path in tile.location.files:
            require_openable(tile.id, path)
            if Path(path).stat().st_size == 0:
                raise TileError(tile.id, "the file is empty (0 bytes)")
    if is_trusted(tile):
        return nullcontext()
    environment: AbstractContextManager[object] = rasterio.Env(**settings_for(remote=not is_local))
    return environment


@cache
def _limit_gdal() -> None:
    """In a worker, limit GDAL to the drivers of its policy, once."""
    policy = current_policy()
    if policy is not None and policy.drivers is not None:
        limit_drivers(policy.drivers)
        measure_base()


@dataclass
class Raster:
    """An open raster, with properties that are read once, when it is opened.

    After a failed read, rasterio would raise the same error for some of them again.

    Attributes:
        dataset: rasterio's.
        tile: the tile that it was opened for.
        meaning: how its values become pixels.
        taken: when it was taken, as its header says, or None.
    """

    dataset: DatasetReader
    tile: Tile
    meaning: Meaning
    taken: AcquisitionTime | None = None
    _picture: NDArray[Any] | None = None
    _looked: bool = False
    _damage: str | None = None

    def picture(self) -> NDArray[Any] | None:
        """(C, H, W) all pixels of a JPEG, which GDAL decodes otherwise; else None.

        Raises:
            TileError: its end is missing.
        """
        if self._damage:
            raise TileError(self.tile.id, self._damage)
        if not self._looked:
            self._looked = True
            dataset = self.dataset
            if dataset.driver == "JPEG" and dataset.dtypes[0] == "uint8":
                from rsretrieve.data.reading.plain_images import read_jpeg  # Pillow

                picture = read_jpeg(self.tile, dataset.width, dataset.height)
                shape = (dataset.count, dataset.height, dataset.width)
                if picture is not None and picture.values.shape == shape:
                    self._require_end(picture)
                    self._picture = picture.values
        return self._picture

    def require_whole(self, tile_id: str) -> None:
        """Raise a `TileError` if it is a damaged PNG, which GDAL reads without an error."""
        if self._damage is None:
            self._damage = ""
            if self.dataset.driver == "PNG" and self.tile.location.is_local:
                try:
                    require_whole_png(tile_id, self.tile.path)
                except TileError as error:
                    self._damage = error.reason
        if self._damage:
            raise TileError(tile_id, self._damage)

    def _require_end(self, picture: PlainImage) -> None:
        if picture.may_lack_end:
            try:
                require_end(self.tile.id, self.dataset)
            except TileError as error:
                self._damage = error.reason
                raise

    def close(self) -> None:
        """Close it."""
        self.dataset.close()


@contextmanager
def opened_raster(tile: Tile, expected: Expected = ANYTHING) -> Iterator[Raster]:
    """The raster of a tile, which is closed in the end.

    Raises:
        TileError: it cannot be opened, or what is read from it cannot be decoded.
    """
    with raster_errors(tile.id), reading_from(tile), closing(open_raster(tile, expected)) as raster:
        yield raster


def open_raster(tile: Tile, expected: Expected = ANYTHING) -> Raster:
    """Open a raster; to be called within `raster_errors` and `reading_from`."""
    import rasterio.errors

    # Plain images have no georeference, and need none.
    warnings.filterwarnings("ignore", category=rasterio.errors.NotGeoreferencedWarning)
    # Alpha and nodata in one file: `Meaning` uses both.
    warnings.filterwarnings("ignore", category=rasterio.errors.NodataShadowWarning)
    dataset = _opened(tile)
    if not tile.location.stack:
        _require_usable(tile, dataset)
    return Raster(dataset, tile, meaning_of(dataset, expected), time_in_header(dataset))


def _require_usable(tile: Tile, dataset: DatasetReader) -> None:
    if not is_trusted(tile):
        require_own_overviews(tile.id, dataset)
    require_one_image(tile, dataset)
    require_readable_type(tile.id, dataset.dtypes[0])


def _opened(tile: Tile) -> DatasetReader:
    return _opened_file(tile) if not tile.location.stack else _opened_stack(tile)


def _opened_stack(tile: Tile) -> DatasetReader:
    """Open the files that hold the bands of one tile, each as carefully as a file of its own."""
    from rsretrieve.data.reading.stacked_dataset import StackedDataset

    opened: list[DatasetReader] = []
    try:
        files = []
        for path in tile.location.stack:
            trust = tile.trust if tile.trust is Trust.TRUSTED else Trust.STRANGER
            file = replace(tile, path=path, trust=trust)
            opened.append(_opened_file(file))
            _require_usable(file, opened[-1])
            files.append((opened[-1], meaning_of(opened[-1], Expected(stored_order=True))))
        return cast("DatasetReader", StackedDataset(tile.id, files))
    except BaseException:
        for dataset in opened:
            dataset.close()
        raise


def _opened_file(tile: Tile) -> DatasetReader:
    import rasterio
    from rasterio.errors import RasterioIOError

    path = tile.path
    if not is_trusted(tile):
        if not tile.location.is_local:
            path = gdal_name_of(path)
        else:
            require_harmless_sidecars(tile.id, path)
        try:
            # `rasterio.open` accepts one driver only; `DatasetReader` accepts several.
            dataset = rasterio.DatasetReader(path, driver=_drivers_here())
        except RasterioIOError as error:
            reason = None
            if _UNRECOGNISED in str(error) and tile.location.is_local:
                with Path(path).open("rb") as stream:
                    reason = why_not(stream.read(64))
            if reason is None:
                raise
            raise TileError(tile.id, reason) from error
        require_own_header(tile.id, path, dataset)
        return dataset
    try:
        return rasterio.open(path)
    except RasterioIOError as error:
        if tile.location.is_local:
            raise
        reason = " ".join(str(error.__cause__ or error).split())
        raise TileError(tile.id, f"cannot be opened: {reason}") from error


def _drivers_here() -> list[str]:
    """The drivers for an untrusted file; in a worker, those of its policy."""
    policy = current_policy()
    known = None if policy is None else policy.drivers
    return for_files() if known is None else list(known)
