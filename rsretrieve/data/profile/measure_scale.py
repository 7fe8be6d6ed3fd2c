"""Measure the size of tiles in pixels and on the ground."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import numpy as np

from rsretrieve.data.geo.place import Place
from rsretrieve.data.profile.tile_scale import LONGEST, Range, TileScale
from rsretrieve.data.reading.chunk_reader import Read
from rsretrieve.data.reading.raw_tile import RawTile
from rsretrieve.data.reading.read_tiles import read_in_order
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.data.workers.content_forms import TupleForm

_EARTH_RADIUS_M = 6_371_007.2  # of the sphere with the area of the WGS 84 ellipsoid
_READ_TILES, _MOST_PLACES = 16, 1000


def measure_scale(tiles: TileSet, places: Sequence[Place | None] | None = None) -> TileScale:
    """Measure the size of some tiles of a set.

    The size of a window is known. Of other tiles, a few files are read.

    Args:
        tiles: N tiles that can be read.
        places: the place of each, if it is known already.
    """
    if places is None:
        measured = _read_sizes(tiles.select(_spread(len(tiles), _READ_TILES)))
    else:
        rows = _spread(len(tiles), _MOST_PLACES)
        measured = [(_window_px(tiles[i]), ground_side_m(places[i])) for i in rows]
        if not any(side_px for side_px, _ in measured):
            local = [i for i in range(len(tiles)) if tiles[i].location.is_local]
            some = tiles.select([local[i] for i in _spread(len(local), _READ_TILES)])
            measured += _read_sizes(some)
    pixels = [ground / side for side, ground in measured if side and ground]
    return TileScale(
        side_px=_percentiles([side for side, _ in measured if side]),
        tile_m=_percentiles([ground for _, ground in measured if ground]),
        pixel_m=_percentiles(pixels),
    )


def _spread(count: int, most: int) -> list[int]:
    """At most `most` evenly spaced positions."""
    return list(range(0, count, -(-max(1, count) // most)))[:most]


def _percentiles(lengths: list[float]) -> Range | None:
    if not lengths:
        return None
    low, high = np.percentile(lengths, (10, 90)).tolist()
    return (low, high) if 0 < low <= high < LONGEST else None


def _window_px(tile: Tile) -> float | None:
    return None if tile.window is None else _side_of(tile.window.shape_px)


def _side_of(shape: tuple[int, int]) -> float:
    return sqrt(shape[0] * shape[1])


def _read_sizes(tiles: TileSet) -> list[tuple[float | None, float | None]]:
    """The sides in pixels and in metres of tiles, of those that can be read."""
    if not len(tiles):
        return []
    reads = read_in_order(tiles, _size_of, fits=_SIZE_AND_PLACE)
    found = [read.content for read in reads if isinstance(read, Read)]
    return [(_side_of(shape), ground_side_m(place)) for shape, place in found]


_SIZE_AND_PLACE = TupleForm((TupleForm((int, int)), Place | None))


def _size_of(_: str, raw: RawTile) -> tuple[tuple[int, int], Place | None]:
    height, width = raw.values.shape[1:]
    return (height, width), raw.place


def ground_side_m(place: Place | None) -> float | None:
    """The side of the square that has the area of a tile, in metres; None if it has no place.

    The area is that of the footprint on a sphere: the sum of the areas between its edges and a
    parallel, or the pole if the footprint contains it.
    """
    if place is None or len(place.footprint) < 3:
        return None
    lon, lat = np.radians(np.array(place.footprint, np.float64)).T
    step = (np.roll(lon, -1) - lon + np.pi) % (2 * np.pi) - np.pi  # across the antimeridian, too
    height = np.sin(lat)
    base = np.sign(lat[np.abs(lat).argmax()]) if abs(step.sum()) > np.pi else height.mean()
    below = (height + np.roll(height, -1)) / 2 - base
    area = abs(float((step * below).sum())) * _EARTH_RADIUS_M**2
    return sqrt(area) if area > 0 else None
