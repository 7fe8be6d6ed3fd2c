"""Read preprocessed tiles from the cache, or from their files if they are not in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from numpy.typing import NDArray

from rsretrieve.data.dates.acquisition_time import AcquisitionTime
from rsretrieve.data.failures import Failure
from rsretrieve.data.geo.place import Place
from rsretrieve.data.loading.tile_cache import KeptTile, PixelCache, key_of, open_cache
from rsretrieve.data.preprocessing.preprocessing import Preprocessing
from rsretrieve.data.reading.chunk_reader import Read
from rsretrieve.data.reading.raw_tile import RawTile
from rsretrieve.data.reading.read_tiles import read_in_order
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.data.workers.content_forms import ArrayForm, TupleForm

Content = tuple[NDArray[Any], Place | None, AcquisitionTime | None]
"""The pixels of a tile, (C, S, S), its place, and when it was taken, as its file says."""


@dataclass(frozen=True)
class _Preprocessed:
    """Makes the preprocessed content of a raw tile, in a worker."""

    preprocessing: Preprocessing

    def __call__(self, tile_id: str, raw: RawTile) -> Content:
        return self.preprocessing.apply(tile_id, raw), raw.place, raw.taken


def read_preprocessed(
    tiles: TileSet, preprocessing: Preprocessing, workers: int | None = None
) -> Iterator[Read[Content] | Failure]:
    """Yield tiles in their order, each as (C, S, S) pixels, place and time, or as a failure.

    Args:
        tiles: the tiles.
        preprocessing: makes their pixels.
        workers: the number of processes that decode; by default one a core.
    """
    cache = open_cache(preprocessing, tiles)
    if cache is None:
        return _from_files(tiles, preprocessing, workers)
    return _through(cache, tiles, preprocessing, workers)


def _from_files(
    tiles: TileSet, preprocessing: Preprocessing, workers: int | None = None
) -> Iterator[Read[Content] | Failure]:
    size_px = preprocessing.size_px
    pixels = ArrayForm(preprocessing.dtype, (len(preprocessing.bands), size_px, size_px), True)
    return read_in_order(
        tiles,
        _Preprocessed(preprocessing),
        workers,
        jpeg_px=preprocessing.jpeg_px,
        expected=preprocessing.expected,
        fits=TupleForm((pixels, Place | None, AcquisitionTime | None)),
    )


def _through(
    cache: PixelCache, tiles: TileSet, preprocessing: Preprocessing, workers: int | None
) -> Iterator[Read[Content] | Failure]:
    keys = [
        key_of(tile) for tile in tiles
    ]  # taken before the tiles are read, so that a later change is noticed
    missing = [i for i, key in enumerate(keys) if key not in cache]
    fresh = _from_files(tiles.select(missing), preprocessing, workers)
    try:
        for tile, key in zip(tiles, keys):
            if key in cache:
                read = _kept(cache, tile, key) or _alone(tiles, tile, preprocessing)
            else:
                read = next(fresh)
                if isinstance(read, Read):
                    cache.put(key, KeptTile(*read.content, read.notes))
            yield read
    finally:
        cache.flush()  # also after an interruption


def _kept(cache: PixelCache, tile: Tile, key: bytes | None) -> Read[Content] | None:
    found = cache.get(key)
    return None if found is None else Read(tile, found[:3], found.notes)


def _alone(tiles: TileSet, tile: Tile, preprocessing: Preprocessing) -> Read[Content] | Failure:
    """Read one tile from its file: its cached copy is damaged."""
    return next(_from_files(replace(tiles, tiles=(tile,)), preprocessing))
