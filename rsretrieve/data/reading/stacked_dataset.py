"""Several open rasters as one: the bands of a scene whose bands lie in separate files.

The stack has the grid of its finest file. Coarser files are enlarged without interpolation: a pixel
takes the value of the coarser pixel in which its centre lies, as in GDAL's virtual rasters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsretrieve.data.pixels.meaning import Meaning
from rsretrieve.errors import TileError

_OFF_BY = 1.0  # pixels of the coarser file: by so much its edges may differ from the stack's
_TURNED = 1e-6
_SAME = 1e-3  # pixels by which the edges of the same grid may differ
_Numbers = NDArray[np.float64]


class StackedDataset:
    """Reads several rasters as if they were one file; has what we use of rasterio's datasets.

    What all files share (reference system, transform, size) is that of the finest file. Its bands
    are those that each file's own meaning gives, without transparency, which stays their mask.

    Args:
        tile_id: the tile, for messages.
        files: rasterio's datasets and the meanings of their values, in the order of the bands;
            closed with the stack.

    Attributes:
        files: the datasets.

    Raises:
        TileError: the files do not cover the same area, or values of one are no measurements.
    """

    driver = "stack"
    subdatasets = ()

    def __init__(self, tile_id: str, files: Sequence[tuple[Any, Meaning]]) -> None:
        self.files = self._datasets = tuple(dataset for dataset, _ in files)
        for dataset, meaning in files:
            _require_measurements(tile_id, dataset, meaning)
        self._finest = max(self._datasets, key=lambda dataset: int(dataset.width * dataset.height))
        self._bands = [(dataset, band) for dataset, meaning in files for band in meaning.bands]
        self._masked = {id(dataset): meaning.masked for dataset, meaning in files}
        self._grids = {
            id(dataset): _grid_in(tile_id, self._finest, dataset) for dataset in self._datasets
        }
        self.count = len(self._bands)
        self.indexes = tuple(range(1, self.count + 1))

    def __getattr__(self, name: str) -> Any:
        """What a dataset has once a band, of every band; everything else, of the finest file."""
        if name in _ONCE_A_BAND:
            return tuple(getattr(dataset, name)[band - 1] for dataset, band in self._bands)
        return getattr(self._finest, name)

    @property
    def block_shapes(self) -> list[tuple[int, int]]:
        """The block of the finest file, for every band: they are read in its order."""
        return [self._finest.block_shapes[0]] * self.count

    @property
    def colorinterp(self) -> tuple[Any, ...]:
        """No band is a colour, an index or transparency."""
        from rasterio.enums import ColorInterp

        return (ColorInterp.undefined,) * self.count

    @property
    def mask_flag_enums(self) -> tuple[list[Any], ...]:
        """A mask of its own for every band whose file has one, by whatever means."""
        from rasterio.enums import MaskFlags

        flags = {False: MaskFlags.all_valid, True: MaskFlags.nodata}
        return tuple([flags[self._masked[id(dataset)]]] for dataset, _ in self._bands)

    @staticmethod
    def tags(*_: Any, **__: Any) -> dict[str, str]:
        """None: what a file says of its values is in its meaning."""
        return {}

    def read(self, indexes: Any = None, **how: Any) -> NDArray[Any]:
        """As rasterio's; bands of several types get their common type."""
        return self._read(lambda dataset: dataset.read, indexes, **how)

    def read_masks(self, indexes: Any = None, **how: Any) -> NDArray[Any]:
        """As rasterio's; 255 for the bands of files without a mask."""
        return self._read(self._mask_reader, indexes, **how)

    def _mask_reader(self, dataset: Any) -> Any:
        if self._masked[id(dataset)]:
            return dataset.read_masks

        def all_valid(bands: list[int], **how: Any) -> NDArray[np.uint8]:
            window, shape = how.get("window"), how.get("out_shape")
            full = (dataset.height, dataset.width)
            own = full if window is None else (round(window.height), round(window.width))
            return np.full((len(bands), *(shape[-2:] if shape else own)), 255, np.uint8)

        return all_valid

    def close(self) -> None:
        """Close all files."""
        for dataset in self._datasets:
            dataset.close()

    def _read(self, reader: Callable[[Any], Any], indexes: Any, **how: Any) -> NDArray[Any]:
        one = isinstance(indexes, int)
        wanted = [self._bands[i - 1] for i in ([indexes] if one else indexes or self.indexes)]
        parts = []
        for dataset, group in _consecutive(wanted):
            if how.get("out_shape"):
                how["out_shape"] = (len(group), *how["out_shape"][-2:])
            if dataset is self._finest or self._grids[id(dataset)] is None:
                parts.append(reader(dataset)(group, **how))
            else:
                parts.append(self._read_coarser(dataset, reader(dataset), group, **how))
        values = np.concatenate(parts)
        return values[0] if one else values

    def _read_coarser(self, dataset: Any, read: Any, bands: list[int], **how: Any) -> NDArray[Any]:
        window, out_shape = how.pop("window", None), how.pop("out_shape", None)
        col, row = (window.col_off, window.row_off) if window else (0, 0)
        shape = (
            (window.height, window.width) if window else (self._finest.height, self._finest.width)
        )
        height, width = out_shape[-2:] if out_shape else shape
        scale_y, start_y, scale_x, start_x = self._grids[id(dataset)] or (1.0, 0.0, 1.0, 0.0)
        edges_y = start_y + scale_y * (row + np.array([0, shape[0]]))
        edges_x = start_x + scale_x * (col + np.array([0, shape[1]]))
        rows = _Axis(edges_y, int(height), dataset.height)
        cols = _Axis(edges_x, int(width), dataset.width)
        if not out_shape or (rows.is_enlarged and cols.is_enlarged):
            how.pop("resampling", None)
            values = read(bands, window=_window(cols.whole, rows.whole), **how)
            return np.asarray(values[:, rows.nearest][:, :, cols.nearest])
        part = _window(cols.inside, rows.inside)
        return np.asarray(read(bands, window=part, out_shape=(len(bands), height, width), **how))


_ONCE_A_BAND = frozenset((*("dtypes", "nodatavals", "scales", "offsets", "descriptions", "units"),))


class _Axis:
    """The part of one axis of a coarser file that is read, and which of its pixels is where.

    Args:
        edges: where it begins and ends, in the file's pixels.
        count: the number of pixels it is read as.
        length: the length of the file's axis.

    Attributes:
        is_enlarged: every pixel of the file becomes at least one pixel.
        whole: first and last + 1 pixel of the file that are needed.
        nearest: the pixel within `whole` of each pixel that is read.
        inside: the edges, within the file.
    """

    def __init__(self, edges: _Numbers, count: int, length: int) -> None:
        start, stop = edges.tolist()
        step = (stop - start) / count
        centres = np.floor(start + step * (np.arange(count) + 0.5)).astype(np.int64)
        pixels = np.clip(centres, 0, length - 1)
        self.is_enlarged = step <= 1 + _TURNED
        self.whole = int(pixels[0]), int(pixels[-1]) + 1
        self.nearest = pixels - pixels[0]
        first = min(max(start, 0.0), length - 1.0)
        self.inside = first, max(min(stop, float(length)), first + 1e-3)


def _window(cols: tuple[float, float], rows: tuple[float, float]) -> Any:
    from rasterio.windows import Window

    return Window(cols[0], rows[0], cols[1] - cols[0], rows[1] - rows[0])


def _consecutive(bands: Iterable[tuple[Any, int]]) -> Iterable[tuple[Any, list[int]]]:
    """Consecutive bands of one file, which are read in one call."""
    for _, pairs in groupby(bands, key=lambda pair: id(pair[0])):
        group = list(pairs)
        yield group[0][0], [band for _, band in group]


def _grid_in(tile_id: str, finest: Any, other: Any) -> tuple[float, float, float, float] | None:
    """Scale and start of the finest file's rows and columns, in pixels of another file.

    None if both have the same grid.

    Raises:
        TileError: the files do not cover the same area.
    """
    if other is finest:
        return None
    trouble = f"its bands do not fit together: {_name(other)} and {_name(finest)} "
    if other.crs != finest.crs:
        raise TileError(tile_id, f"{trouble}have different reference systems")
    if finest.transform.is_identity and other.transform.is_identity:
        height, width = other.height / finest.height, other.width / finest.width
        if abs(height / width - 1) > 0.01:
            raise TileError(tile_id, f"{trouble}have other shapes, and no georeference")
        grid = (height, 0.0, width, 0.0)
    else:
        to_other = ~other.transform * finest.transform
        if max(abs(to_other.b), abs(to_other.d)) > _TURNED or min(to_other.a, to_other.e) <= 0:
            raise TileError(tile_id, f"{trouble}are rotated against each other")
        grid = (to_other.e, to_other.f, to_other.a, to_other.c)
    ends = (
        (grid[1], grid[1] + grid[0] * finest.height - other.height),
        (grid[3], grid[3] + grid[2] * finest.width - other.width),
    )
    # One pixel of the coarser file: a 15 m band of Landsat begins half a pixel beside a 30 m band.
    if max(abs(end) for axis in ends for end in axis) > _OFF_BY * max(1.0, grid[0], grid[2]):
        raise TileError(tile_id, f"{trouble}cover different areas")
    away = max(abs(end) for axis in ends for end in axis)
    return None if other.shape == finest.shape and away < _SAME else grid


def _require_measurements(tile_id: str, dataset: Any, meaning: Meaning) -> None:
    """Refuse a file whose stored values must be decoded: colour tables, ink, grey levels.

    Raises:
        TileError: naming the file.
    """
    if meaning.has_more_masks:
        raise TileError(
            tile_id,
            f"{_name(dataset)} declares several of nodata, a mask and transparency: index it by "
            "itself, or leave all but one of them out",
        )
    decoded = meaning.grey_levels or meaning.inks
    if meaning.table is None and meaning.white is None and not decoded:
        return
    raise TileError(
        tile_id,
        f"{_name(dataset)} holds colours or grey levels of a picture, not the values of a band: "
        "leave it out of the stack",
    )


def _name(dataset: Any) -> str:
    return str(dataset.name).replace("\\", "/").rpartition("/")[2]
