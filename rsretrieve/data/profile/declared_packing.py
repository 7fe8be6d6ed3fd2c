"""The scales and offsets that the files of a set of tiles declare."""

from __future__ import annotations

from collections import Counter

from rsretrieve.data.pixels.expected import Expected
from rsretrieve.data.pixels.packing import Packing
from rsretrieve.data.reading.chunk_reader import Read
from rsretrieve.data.reading.read_tiles import read_headers_in_order
from rsretrieve.data.tile import TileSet

_SAMPLED_FILES, _SAMPLED_REMOTE = 64, 4


def declared_packings(tiles: TileSet, expected: Expected) -> list[Packing]:
    """The scales and offsets that a sample of files declares, the most frequent first.

    Args:
        tiles: the tiles; the headers of some of their files are read.
        expected: what a model expects of them; files of another number of bands do not count.
    """
    counts: Counter[Packing] = Counter()
    for read in read_headers_in_order(_one_a_file(tiles), expected):
        packing = read.content[0] if isinstance(read, Read) else None
        if packing is not None and len(packing.scales) == expected.source_bands:
            counts[packing] += 1
    return [packing for packing, _ in counts.most_common()]


def _one_a_file(tiles: TileSet) -> TileSet:
    """The first tile of some of the files, evenly spaced; of remote files only a few."""
    first: dict[str, int] = {}
    for position, tile in enumerate(tiles):
        first.setdefault(tile.path, position)
    local = [at for at in first.values() if tiles[at].location.is_local]
    chosen = local or list(first.values())
    apart = -(-len(chosen) // (_SAMPLED_FILES if local else _SAMPLED_REMOTE)) or 1
    return tiles.select(chosen[::apart])
