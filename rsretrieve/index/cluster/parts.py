"""Divide tiles into parts; each part becomes one shard."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from rsretrieve._core.atomic_write import sha256_of_json
from rsretrieve.data.tile import Tile, TileSet

_DIGITS = 24


class PartTiles(Protocol):
    """The tiles of a part, which the process that embeds them makes."""

    def load(self) -> TileSet:
        """The tiles."""


@dataclass(frozen=True)
class GivenTiles:
    """Tiles that travel with the part.

    Attributes:
        tiles: the tiles.
    """

    tiles: TileSet

    def load(self) -> TileSet:
        """The tiles."""
        return self.tiles


@dataclass(frozen=True)
class Part:
    """A part of the tiles.

    Attributes:
        number: its number, from 0.
        digest: of the ids and paths of its tiles, the model and the preprocessing.
        count: the number of its tiles.
        tiles: makes its tiles.
    """

    number: int
    digest: str
    count: int
    tiles: PartTiles

    @property
    def shard(self) -> str:
        """The name of its shard: the same part of the same list has the same name."""
        return f"{self.number:06}-{self.digest}.parquet"


def run_digest(facts: Mapping[str, Any]) -> str:
    """The digest of what all embeddings of a run depend on.

    Args:
        facts: the fingerprint of the model (which covers its preprocessing), windows, packing.
    """
    return sha256_of_json(dict(facts))


def digest_of_part(run: str, tiles: Iterable[Tile]) -> str:
    """The digest of a part; labels and dates do not count, which change no embedding.

    Args:
        run: see `run_digest`.
        tiles: the tiles of the part.
    """
    content = hashlib.sha256(run.encode())
    for tile in tiles:
        side = None if tile.window is None else tile.window.read_px
        named = [tile.id, tile.location.absolute(), side]
        content.update(json.dumps(named).encode(errors="surrogatepass"))
    return content.hexdigest()[:_DIGITS]


def parts_of(tiles: TileSet, rows: int, run: str) -> Iterator[Part]:
    """The parts of a set of tiles, in its order.

    Args:
        tiles: the tiles.
        rows: the number of tiles in each part but the last.
        run: see `run_digest`.
    """
    for number, start in enumerate(range(0, len(tiles), rows)):
        some = tiles.select(range(start, min(start + rows, len(tiles))))
        yield Part(number, digest_of_part(run, some), len(some), GivenTiles(some))
