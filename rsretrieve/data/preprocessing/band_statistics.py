"""Measure band statistics and pixel type on a sample of the training tiles."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsretrieve._core.seeded_random import hash_uniform
from rsretrieve.data.failures import Failure
from rsretrieve.data.pixels.expected import Expected, counts_stored_bands
from rsretrieve.data.preprocessing.preprocessing import (
    BandStatistics,
    Preprocessing,
    check_bands,
    check_size,
)
from rsretrieve.data.reading.raw_tile import RawTile, in_packing
from rsretrieve.data.reading.read_tiles import read_in_order
from rsretrieve.data.tile import TileSet
from rsretrieve.errors import InvalidArgument, NoUsableTiles, TileError

SAMPLED_TILES = 1000
SAMPLED_PIXELS = 4096
"""Per sampled tile: a thousand tiles give four million pixels a band."""

REFLECTANCE_TYPES = ("uint16", "int16")
_WHITE = 10_000.0

IMAGENET = BandStatistics(
    # Measured on ImageNet-1k's training images; torchvision's weights expect these values.
    mean=(123.675, 116.28, 103.53),
    deviation=(58.395, 57.12, 57.375),
    low=(0.0, 0.0, 0.0),
    high=(255.0, 255.0, 255.0),
)


def measure_preprocessing(
    tiles: TileSet,
    size_px: int,
    bands: Sequence[int] = (),
    *,
    rgb_statistics: BandStatistics | None = None,
    reflectance: bool = False,
) -> Preprocessing:
    """Choose the preprocessing of a set of tiles by measuring a sample.

    The number of bands and the pixel type are those of most sampled tiles. The sample depends
    on the tiles' ids alone.

    Args:
        tiles: the training tiles.
        size_px: the side that tiles are resized to.
        bands: the bands to use, counted from 1; all of them by default.
        rgb_statistics: what to normalise 8-bit RGB tiles by, instead of their own statistics.
        reflectance: divide the values by 10,000 instead.

    Raises:
        InvalidArgument: the size is out of range, or the tiles do not have these bands, or are
            divided and are not of 16 bits.
        NoUsableTiles: not one sampled tile can be read.
    """
    check_size(size_px)
    asked = Expected(
        least_bands=max(bands, default=0), stored_order=counts_stored_bands(tuple(bands))
    )
    raws, failures = _sample(tiles, asked)
    if not raws:
        raise NoUsableTiles(
            f"{tiles.source}: none of {len(failures)} tiles can be read "
            f"(the first, {failures[0].tile.id}: {failures[0].reason})"
        )
    kinds = Counter((len(raw.values), str(raw.values.dtype)) for raw in raws)
    (source_bands, dtype), _ = kinds.most_common(1)[0]
    chosen = tuple(bands) or tuple(range(1, source_bands + 1))
    check_bands(chosen, source_bands)
    if rgb_statistics is not None and dtype == "uint8" and len(chosen) == 3:
        return Preprocessing(size_px, source_bands, chosen, dtype, rgb_statistics, True)
    if reflectance and dtype not in REFLECTANCE_TYPES:
        raise InvalidArgument(
            f"{tiles.source}: tiles of {dtype} are not normalised as reflectance, which is stored "
            "in 16 bits, 10,000 being all of the light",
            hint="leave out --normalise-by reflectance",
        )
    alike = [r for r in raws if len(r.values) == source_bands and r.values.dtype == dtype]
    packing = Counter(raw.packing for raw in alike).most_common(1)[0][0]
    alike = [*_in_packing(alike, Expected(source_bands, packing=packing))]
    measured = [_band_statistics(alike, band - 1) for band in chosen]
    statistics = BandStatistics(*zip(*measured))
    statistics = as_reflectance(statistics) if reflectance else statistics
    reduced = dtype == "uint8"  # all JPEG images are
    return Preprocessing(size_px, source_bands, chosen, dtype, statistics, reduced, packing)


def as_reflectance(statistics: BandStatistics) -> BandStatistics:
    """Statistics that divide values by 10,000, which many weights for satellites expect."""
    count = statistics.bands
    return replace(statistics, mean=(0.0,) * count, deviation=(_WHITE,) * count)


def _sample(tiles: TileSet, expected: Expected) -> tuple[list[RawTile], list[Failure]]:
    order = sorted(range(len(tiles)), key=lambda i: hash_uniform(0, "statistics", tiles[i].id))
    raws: list[RawTile] = []
    failures: list[Failure] = []
    sample = order[:SAMPLED_TILES]
    if tiles.windows is not None:
        sample.sort()  # in the order of the scenes' blocks
    for read in read_in_order(tiles.select(sample), _thinned, expected=expected, fits=_is_row):
        if isinstance(read, Failure):
            failures.append(read)
        else:
            raws.append(read.content)
    return raws, failures


def _in_packing(raws: Sequence[RawTile], expected: Expected) -> Iterator[RawTile]:
    for raw in raws:
        with suppress(TileError):  # values beyond ±1e30; training tells which tile has them
            yield in_packing("", raw, expected)


def _is_row(content: object) -> bool:
    """Whether a content has the form of `_thinned`."""
    return isinstance(content, RawTile) and content.values.ndim == 2 and content.values.size > 0


def _thinned(_: str, raw: RawTile) -> RawTile:
    """Keep at most `SAMPLED_PIXELS` of a tile, evenly spread, as one row."""
    bands = len(raw.values)
    step = -(-raw.values[0].size // SAMPLED_PIXELS)  # rounded up
    values = raw.values.reshape(bands, -1)[:, ::step].copy()
    valid = None if raw.valid is None else raw.valid.reshape(bands, -1)[:, ::step].copy()
    return RawTile(values, valid, None, raw.packing)


def _band_statistics(raws: Sequence[RawTile], band: int) -> tuple[float, float, float, float]:
    """Mean, deviation, low and high of one band."""
    seen = np.concatenate([_valid_values(raw, band) for raw in raws]).astype(np.float64)
    if not seen.size:
        return 0.0, 1.0, 0.0, 1.0  # a band without a single measurement
    low, high = np.percentile(seen, (0.1, 99.9))
    seen = seen[(seen >= low) & (seen <= high)]
    deviation = float(seen.std())
    return float(seen.mean()), deviation if deviation > 1e-6 else 1.0, float(low), float(high)


def _valid_values(raw: RawTile, band: int) -> NDArray[Any]:
    values: NDArray[Any] = raw.values[band]
    return values if raw.valid is None else values[raw.valid[band]]
