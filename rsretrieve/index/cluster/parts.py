"""Divide tiles into parts; each part becomes one shard."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
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
        return shard_name(self.number, self.digest)


def shard_name(number: int, digest: str) -> str:
    """The name of the shard of a part; see `Part`."""
    return f"{number:06}-{digest}.parquet"


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


def divided(tiles: TileSet, rows: int) -> Iterator[TileSet]:
    """Sets of `rows` tiles, and the rest, in their order."""
    for start in range(0, len(tiles), rows):
        yield tiles.select(range(start, min(start + rows, len(tiles))))


def parts_of(sets: Iterable[TileSet], run: str) -> Iterator[Part]:
    """The parts of a run, numbered in their order.

    Args:
        sets: the tiles of each part.
        run: see `run_digest`.
    """
    for number, some in enumerate(map(_absolute, sets)):
        yield Part(number, digest_of_part(run, some), len(some), GivenTiles(some))


def _absolute(tiles: TileSet) -> TileSet:
    """The same tiles under absolute paths: other processes have other working folders."""
    here = os.getcwd()  # noqa: PTH109  (its text is joined with a million others)
    return replace(
        tiles,
        tiles=tuple(replace(tile, path=tile.location.below(here)) for tile in tiles),
        folders=tuple(os.path.abspath(folder) for folder in tiles.folders),  # noqa: PTH100
    )


def groups_of(parts: Iterable[Part], least: int, tiles: int) -> Iterator[list[Part]]:
    """Consecutive parts, so many that only they need to be in memory.

    Args:
        parts: the parts.
        least: the least number of parts in a group, but the last.
        tiles: the number of tiles at which a group with enough parts ends.
    """
    group: list[Part] = []
    for part in parts:
        group.append(part)
        if len(group) >= least and sum(one.count for one in group) >= tiles:
            yield group
            group = []
    if group:
        yield group
