"""Read vectors from the bands of a raster. These functions run in a confined worker."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rsretrieve.data.embedding_rasters.quantization import Quantization, quantization_of
from rsretrieve.data.geo.window_places import places_of
from rsretrieve.data.reading.datasets import opened_raster
from rsretrieve.data.tile import Tile
from rsretrieve.data.window import Window
from rsretrieve.data.workers.limits import HEADER_BYTES, allow_values, tile_limits
from rsretrieve.errors import TileError

if TYPE_CHECKING:
    from rasterio import DatasetReader

    from rsretrieve.data.geo.place import Place

_READ_AS = ("int8", "uint8", "int16", "uint16", "int32", "float32", "float64")


@dataclass(frozen=True)
class VectorsRequest:
    """A rectangle of windows to read.

    Attributes:
        tile: the raster.
        cols, rows: where windows begin.
        side_px: the side of a window.
        dimensions: the first bands, to be kept.
        quantization: how values are stored.
        max_nodata: windows with a larger share of pixels without a vector are left out.
    """

    tile: Tile
    cols: tuple[int, ...]
    rows: tuple[int, ...]
    side_px: int
    dimensions: int
    quantization: Quantization
    max_nodata: float


@dataclass(frozen=True)
class BandFacts:
    """The header of a raster of embeddings."""

    width: int
    height: int
    bands: int
    dtype: str
    names: tuple[str, ...]
    scales: tuple[float, ...]
    offsets: tuple[float, ...]

    @property
    def quantization(self) -> Quantization:
        """How its values are stored."""
        return quantization_of(self.names, np.dtype(self.dtype), self.scales, self.offsets)


def read_band_facts(tile: Tile) -> BandFacts:
    """Read the header of a raster of embeddings.

    Raises:
        TileError: it cannot be opened, or its bands cannot be vectors.
    """
    with _opened(tile) as dataset:
        kinds = set(dataset.dtypes)
        if len(kinds) > 1 or not kinds <= set(_READ_AS):
            raise TileError(tile.id, f"its bands are {', '.join(sorted(kinds))}, not vectors")
        return BandFacts(
            dataset.width,
            dataset.height,
            dataset.count,
            str(dataset.dtypes[0]),
            names=tuple(str(name or "") for name in dataset.descriptions),
            scales=tuple(map(float, dataset.scales)),
            offsets=tuple(map(float, dataset.offsets)),
        )


def read_band_vectors(
    request: VectorsRequest,
) -> tuple[NDArray[np.int64], NDArray[np.float32], list[tuple[Place | None, Any]]]:
    """Read the vectors of windows; each is the mean of the unit vectors of its pixels.

    Returns:
        (M, 2) column and row where each window begins that has enough data; (M, D) float32 their
        vectors; and the place of each, with a remark, as `Placing` has it.

    Raises:
        TileError: the raster cannot be read.
    """
    side = request.side_px
    left, top = request.cols[0], request.rows[0]
    width, height = request.cols[-1] + side - left, request.rows[-1] + side - top
    with _opened(request.tile) as dataset:
        allow_values(width * height * dataset.count)
        unit, valid = _unit_vectors(dataset, Window(left, top, width, height), request)
        means, shares = _means(unit, valid, request)
        keep = (shares > 0) & (1 - shares <= request.max_nodata)
        keep &= np.linalg.norm(means, axis=-1) > 0
        rows, cols = np.nonzero(keep)
        starts = np.stack((np.array(request.cols)[cols], np.array(request.rows)[rows]), axis=1)
        windows = [Window(col, row, side, side) for col, row in starts.tolist()]
        placed = places_of(dataset, windows) if windows else []
        places = [(placing.place, placing.remark) for placing in placed]
        return starts.astype(np.int64), np.ascontiguousarray(means[rows, cols]), places


@contextmanager
def _opened(tile: Tile) -> Iterator[DatasetReader]:
    size_bytes = max(HEADER_BYTES, tile.location.state()[0])
    with tile_limits(size_bytes), opened_raster(tile) as raster:
        yield raster.dataset


def _unit_vectors(
    dataset: DatasetReader, part: Window, request: VectorsRequest
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """(H, W, D) unit vectors, and (H, W) which pixels have one."""
    from rasterio.windows import Window as RasterWindow

    window = RasterWindow(part.col, part.row, part.width, part.height)
    bands = list(range(1, request.dimensions + 1))
    stored = dataset.read(bands, window=window)
    valid = np.ones(stored.shape[1:], bool)
    nodata = dataset.nodata
    if nodata is not None and np.isfinite(nodata):  # zero may be both nodata and a value
        valid &= (stored != nodata).any(axis=0)
    vectors = request.quantization.restored(np.moveaxis(stored, 0, -1))
    norms = np.linalg.norm(vectors.astype(np.float64), axis=-1)
    valid &= np.isfinite(norms) & (norms > 0)
    vectors[~valid] = 0
    vectors /= np.where(valid, norms, 1)[..., None].astype(np.float32)
    return vectors, valid


def _means(
    unit: NDArray[np.float32], valid: NDArray[np.bool_], request: VectorsRequest
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """(R, C, D) the mean unit vector of each window, and (R, C) the share of pixels with one."""
    side = request.side_px
    rows, cols = np.array(request.rows) - request.rows[0], np.array(request.cols) - request.cols[0]
    if side == 1:
        return unit[np.ix_(rows, cols)], valid[np.ix_(rows, cols)].astype(np.float64)
    sums = _window_sums(unit, rows, cols, side)
    counts = _window_sums(valid[..., None], rows, cols, side)[..., 0]
    norms = np.linalg.norm(sums, axis=-1, keepdims=True)
    means = np.where(norms > _CANCELLED * side**2, sums / np.maximum(norms, 1e-30), 0)
    return means.astype(np.float32), counts / side**2


_CANCELLED = 1e-6  # a mean this short has no direction


def _window_sums(
    values: NDArray[Any], rows: NDArray[np.int64], cols: NDArray[np.int64], side: int
) -> NDArray[np.float64]:
    """Sums over square windows, by cumulative sums along both axes."""
    for axis, starts in ((0, rows), (1, cols)):
        total = np.cumsum(values, axis=axis, dtype=np.float64)
        total = np.concatenate((np.zeros_like(total.take([0], axis)), total), axis)
        values = total.take(starts + side, axis) - total.take(starts, axis)
    return values
