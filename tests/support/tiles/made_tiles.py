"""Small tiles, tables and records, made by hand for the tests of the tiles' modules."""

from __future__ import annotations

import csv

import numpy as np
import rasterio
from hypothesis import settings
from PIL import Image

from rsretrieve.data.preprocessing.preprocessing import BandStatistics, Preprocessing
from rsretrieve.data.tile import Tile, TileSet

UTM = {"crs": "EPSG:32618", "transform": rasterio.Affine(10, 0, 500_000, 0, -10, 4_000_000)}

unhurried = settings(deadline=None)  # of a machine that is busy


def noise(shape, dtype="uint8", seed=0):
    """Random values without a zero, (C, H, W)."""
    rng = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "f":
        return rng.uniform(1, 100, shape).astype(dtype)
    return rng.integers(1, np.iinfo(dtype).max, shape, dtype)


def save_picture(path, values, **options):
    """Write (C, H, W) or (H, W) uint8 values with Pillow, in the format of the suffix."""
    values = values.transpose(1, 2, 0) if values.ndim == 3 else values
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.ascontiguousarray(values)).save(path, **options)
    return path


def save_raster(path, values, driver="GTiff", **profile):
    """Write (C, H, W) values with rasterio; without a place unless the profile gives one."""
    bands, height, width = values.shape
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path, "w", driver, width, height, bands, dtype=values.dtype, **profile
    ) as dataset:
        dataset.write(values)
    return path


def save_table(path, columns, *rows):
    """Write rows of texts as CSV or Parquet, by the suffix."""
    if path.suffix.lower() == ".csv":
        with path.open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream).writerows([columns, *rows])
    else:
        import pyarrow
        from pyarrow import parquet

        values = [[row[i] for row in rows] for i in range(len(columns))]
        parquet.write_table(pyarrow.table(values, names=columns), path)
    return path


def tile_at(path, label=None, window=None):
    """The tile that is a file."""
    name = path.name if window is None else f"{path.name}{window}"
    return Tile(name, str(path), label, window)


def tiles_at(*paths):
    """The tiles that are these files."""
    return TileSet("the files", tuple(map(tile_at, paths)))


def labelled_tiles(**counts):
    """So many tiles of each class, without files."""
    ids = [(f"{label}/{i}.png", label) for label, count in counts.items() for i in range(count)]
    return TileSet("made up", tuple(Tile(name, name, label) for name, label in ids))


def in_order(tiles, positions):
    """The same tiles in another order."""
    return tiles.select(list(positions))


def preprocessing(size_px=8, bands=(1, 2, 3), source_bands=3, dtype="uint8", mean=50.0, high=100.0):
    """A preprocessing whose bands all have the same statistics."""
    count = len(bands)
    statistics = BandStatistics((mean,) * count, (20.0,) * count, (1.0,) * count, (high,) * count)
    return Preprocessing(size_px, source_bands, bands, dtype, statistics)
