"""The scales and offsets that the files of a set of tiles declare."""

from __future__ import annotations

from collections import Counter

from rsretrieve.data.pixels.expected import Expected
from rsretrieve.data.pixels.packing import Packing
from rsretrieve.data.profile.sampled_files import one_a_file
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
    some = one_a_file(tiles, _SAMPLED_FILES, _SAMPLED_REMOTE)
    for read in read_headers_in_order(some, expected):
        packing = read.content[0] if isinstance(read, Read) else None
        if packing is not None and len(packing.scales) == expected.source_bands:
            counts[packing] += 1
    return [packing for packing, _ in counts.most_common()]
