"""Tiles and sets of tiles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from rsretrieve.data.window import Window
from rsretrieve.errors import InvalidArgument

if TYPE_CHECKING:
    from rsretrieve.data.windowing import WindowChoices


class Trust(IntEnum):
    """Who vouches for a tile's file."""

    STRANGER = 0  # found in a folder, or named by a list, a STAC item or an index
    NAMED = 1  # the user typed this very file or URL
    TRUSTED = 2  # the user trusts all that it names, too


@dataclass(frozen=True, slots=True)
class Tile:
    """One image, the unit of everything.

    Attributes:
        id: POSIX path relative to the root it was found under, plus the window if any.
        path: where the file lies: a path, a URL, or a name in GDAL's virtual file systems.
        label: the label as given, or None.
        window: the part of the file that is the tile, or None for all of it.
        trust: who vouches for the file; see `access`.
    """

    id: str
    path: str
    label: str | None = None
    window: Window | None = None
    trust: Trust = Trust.STRANGER

    def __reduce__(self) -> tuple[Any, ...]:
        return Tile, (self.id, self.path, self.label, self.window, self.trust)


@dataclass(frozen=True)
class TileSet:
    """Tiles in a fixed order, each id once.

    Attributes:
        source: what the user named, for messages.
        tiles: the tiles.
        notices: what the user should know about how the tiles were found.
        windows: how scenes were cut into these tiles, if they were; whoever reads them
            keeps to it.
        unseen: what the ids of tiles begin with that may be there, too: of folders that cannot
            be listed, and of scenes that cannot be opened.
        folders: that the user typed, and whoever reads the tiles may read.
    """

    source: str
    tiles: tuple[Tile, ...]
    notices: tuple[str, ...] = field(default=())
    windows: WindowChoices | None = None
    unseen: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len({tile.id for tile in self.tiles}) != len(self.tiles):
            raise InvalidArgument(f"{self.source}: a tile's id stands there twice")

    def __repr__(self) -> str:
        """Short: there may be a million tiles."""
        return f"TileSet({self.source!r}, {len(self)} tiles, {len(self.class_names)} classes)"

    def __len__(self) -> int:
        return len(self.tiles)

    def __iter__(self) -> Iterator[Tile]:
        return iter(self.tiles)

    def __getitem__(self, position: int) -> Tile:
        return self.tiles[position]

    @property
    def class_names(self) -> tuple[str, ...]:
        """The labels that occur, sorted."""
        return tuple(sorted({tile.label for tile in self.tiles if tile.label is not None}))

    def select(self, positions: Sequence[int]) -> TileSet:
        """The tiles at these positions, in that order."""
        return replace(self, tiles=tuple(self.tiles[i] for i in positions))

    def labelled(self) -> TileSet:
        """The tiles that have a label."""
        return replace(self, tiles=tuple(tile for tile in self.tiles if tile.label is not None))

    def relabelled(self, labels: Mapping[str, str | None]) -> TileSet:
        """The same tiles, with the label of every tile named in `labels` replaced."""
        tiles = tuple(
            replace(tile, label=labels[tile.id]) if tile.id in labels else tile
            for tile in self.tiles
        )
        return replace(self, tiles=tiles)

    def with_notices(self, *notices: str) -> TileSet:
        """The same tiles, with more to say about them."""
        return replace(self, notices=self.notices + notices)
