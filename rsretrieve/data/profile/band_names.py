"""The names that rasters give to their bands, and the bands that a user names."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rsretrieve._core.text import first_few, printable
from rsretrieve.data.access import Readable, policy_for
from rsretrieve.data.profile.sampled_files import one_a_file
from rsretrieve.data.reading.datasets import opened_raster
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.data.workers.limits import HEADER_BYTES, tile_limits
from rsretrieve.data.workers.pool import worker_slots
from rsretrieve.data.workers.worker import WorkerLost
from rsretrieve.errors import InvalidArgument, TileError

_SAMPLED_FILES, _SAMPLED_REMOTE = 16, 2
_LONGEST, _SHOWN = 64, 16
_NUMBERED = re.compile(r"(?:sr_)?b(?:and)?[ _]?0*(\d+)(a?)")

BandChoice = int | str
"""A band by its number, from 1, or by its name."""


def band_key(name: str) -> str:
    """A spelling for comparison: B04, b4, Band 4 and SR_B4 are the same band; B8 and B8A are not.

    >>> band_key("B04"), band_key("SR_B4"), band_key("B8A"), band_key("nir")
    ('B4', 'B4', 'B8A', 'nir')
    """
    found = _NUMBERED.fullmatch(name.strip().casefold())
    return f"B{found[1]}{found[2].upper()}" if found else name.strip().casefold()


def named_bands(tiles: TileSet) -> tuple[str, ...]:
    """The names of the bands of tiles, by the headers of a sample of their files.

    Returns:
        A name for each band; empty if a file gives none, or if files differ.
    """
    found = set(_names_of_files(tiles).values())
    names = next(iter(found)) if len(found) == 1 else ()
    keys = {band_key(name) for name in names}
    return names if all(names) and len(keys) == len(names) else ()


def band_numbers(tiles: TileSet, bands: Sequence[BandChoice]) -> tuple[int, ...]:
    """The numbers of bands that the user gave by number or by name.

    Args:
        tiles: the tiles; their files name the bands.
        bands: as the user gave them.

    Raises:
        InvalidArgument: a name is not a band of the tiles, or their bands have no names.
    """
    wanted = [band for band in bands if isinstance(band, str)]
    if not wanted:
        return tuple(int(band) for band in bands)
    names = named_bands(tiles)
    if not names:
        raise _unnamed(tiles, wanted[0])
    number_of = {band_key(name): number for number, name in enumerate(names, 1)}
    for name in wanted:
        if band_key(name) not in number_of:
            raise InvalidArgument(
                f"--bands: the tiles have no band named {name}; they have "
                f"{first_few(map(printable, names), _SHOWN)}"
            )
    return tuple(number_of[band_key(band)] if isinstance(band, str) else band for band in bands)


def _unnamed(tiles: TileSet, name: str) -> InvalidArgument:
    by_file = _names_of_files(tiles)
    first_with: dict[tuple[str, ...], str] = {}
    for tile_id, names in by_file.items():
        first_with.setdefault(names, tile_id)
    if len(first_with) > 1:
        told = "; ".join(
            f"{tile_id} has {printable(','.join(filter(None, names))) or 'no names'}"
            for names, tile_id in [*first_with.items()][:2]
        )
        why = f"name their bands differently ({told})"
    else:
        why = f"do not name their bands ({next(iter(by_file), tiles.source)})"
    return InvalidArgument(
        f"--bands {name}: the files of the tiles {why}",
        hint="give the bands by their numbers, counted from 1, for example --bands 3,2,1",
    )


def _names_of_files(tiles: TileSet) -> dict[str, tuple[str, ...]]:
    """The names of the bands of some files, by the ids of tiles; files that fail are left out."""
    found: dict[str, tuple[str, ...]] = {}
    readable = Readable.of(tiles, tiles.folders)
    with worker_slots(1) as [slot]:
        for tile in one_a_file(tiles, _SAMPLED_FILES, _SAMPLED_REMOTE):
            try:
                policy = policy_for(tile, readable)
                limit_s = tile.location.time_limit_s
                names = slot.thread.submit(slot.call, read_names, tile, limit_s, policy).result()
            except (TileError, WorkerLost):
                continue
            found[tile.id] = tuple(str(name)[:_LONGEST] for name in names)
    return found


def read_names(tile: Tile) -> tuple[str, ...]:
    """Read the names of the bands of a file, in a worker; empty for a band without one.

    Raises:
        TileError: it cannot be opened.
    """
    with tile_limits(HEADER_BYTES), opened_raster(tile) as raster:
        return tuple(str(name or "")[:_LONGEST] for name in raster.dataset.descriptions)
