"""Tiles and sets of tiles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rsretrieve._core.paths import Location
from rsretrieve.data.dates.acquisition_time import AcquisitionTime
from rsretrieve.data.labels.confirmed import ConfirmedLabel
from rsretrieve.data.window import Window
from rsretrieve.errors import InvalidArgument

if TYPE_CHECKING:
    from rsretrieve.data.windowing import WindowChoices


class Trust(IntEnum):
    """How far a tile's file is trusted: by who named it."""

    STRANGER = 0  # found in a folder, or named by a list, a STAC item or an index: untrusted
    NAMED = 1  # the user typed this very file or URL
    TRUSTED = 2  # the user trusts also the files that it names


@dataclass(frozen=True, slots=True)
class Tile:
    """One image: a file, or a window of a scene.

    Attributes:
        id: POSIX path relative to the root it was found under, plus the window if any.
        path: of the file: a path, a URL, or a name in GDAL's virtual file systems.
        label: the label as given, or None.
        window: the part of the file that is the tile; None for the whole file.
        trust: how far the file is trusted; see `access`.
        confirmed: that a person decided on the label; None if nobody did.
        taken: when it was taken, as a list or a STAC item says; of a tile that was read, else as
            its file says. None if that is unknown.
    """

    id: str
    path: str
    label: str | None = None
    window: Window | None = None
    trust: Trust = Trust.STRANGER
    confirmed: ConfirmedLabel | None = None
    taken: AcquisitionTime | None = None

    @property
    def location(self) -> Location:
        """The path, parsed (and cached): a field of its own would cost a tenth of the memory."""
        return Location.parse(self.path)

    def __reduce__(self) -> tuple[Any, ...]:
        fields = self.id, self.path, self.label, self.window, self.trust, self.confirmed
        return Tile, (fields if self.taken is None else (*fields, self.taken))


@dataclass(frozen=True)
class TileSet:
    """Tiles in a fixed order, with unique ids.

    Attributes:
        source: what the user named, for messages.
        tiles: the tiles.
        notices: messages for the user about how the tiles were found.
        windows: how scenes were cut into these tiles; None if they were not.
        unseen: names of tiles that may exist but were not found: of folders that cannot be listed
            (ending in `/`), of scenes that cannot be opened (ending in `#`), and of items that
            cannot be used; see `may_be_unseen`.
        unseen_files: the absolute path and the id of each scene that cannot be opened.
        folders: the folders that the user named; workers may read them.
        labels_file: the list or labels file that the labels come from; None for the names of
            folders, and for labels that were given otherwise.
    """

    source: str
    tiles: tuple[Tile, ...]
    notices: tuple[str, ...] = field(default=())
    windows: WindowChoices | None = None
    unseen: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    labels_file: Path | None = None
    unseen_files: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if len({tile.id for tile in self.tiles}) != len(self.tiles):
            raise InvalidArgument(f"{self.source}: a tile's id occurs twice")

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
        """The labels of the tiles, sorted, each once."""
        return tuple(sorted({tile.label for tile in self.tiles if tile.label is not None}))

    def may_be_unseen(self, tile_id: str) -> bool:
        """Whether a tile may exist that was not found: `unseen` names it, or what it is part of."""
        beginnings, names = self._unseen
        return tile_id.startswith(beginnings) or tile_id in names

    @cached_property
    def unseen_file_ids(self) -> dict[str, str]:
        """The ids of scenes that cannot be opened, by absolute path; see `unseen_files`."""
        return dict(self.unseen_files)

    @cached_property
    def _unseen(self) -> tuple[tuple[str, ...], frozenset[str]]:
        """What ids of unseen tiles begin with; and whole ids."""
        names = [name for name in self.unseen if not name.endswith(("/", "#"))]
        beginnings = [name for name in self.unseen if name.endswith(("/", "#"))]
        parts = (f"{name}{end}" for name in names for end in ("/", "#"))
        return (*beginnings, *parts), frozenset(names)

    def select(self, positions: Sequence[int]) -> TileSet:
        """The tiles at these positions, in that order."""
        return replace(self, tiles=tuple(self.tiles[i] for i in positions))

    def labelled(self) -> TileSet:
        """The tiles that have a label."""
        return replace(self, tiles=tuple(tile for tile in self.tiles if tile.label is not None))

    def relabelled(self, labels: Mapping[str, str | None]) -> TileSet:
        """The same tiles with new labels, by tile id; the others keep theirs.

        A label that changes is no longer confirmed.
        """
        tiles = tuple(
            replace(tile, label=labels[tile.id], confirmed=None)
            if labels.get(tile.id, tile.label) != tile.label
            else tile
            for tile in self.tiles
        )
        return replace(self, tiles=tiles)

    def with_confirmed(self, confirmed: Mapping[str, ConfirmedLabel]) -> TileSet:
        """The same tiles; the labels of some, by tile id, are confirmed by a person."""
        if not confirmed:
            return self
        tiles = tuple(
            replace(tile, confirmed=confirmed[tile.id]) if tile.id in confirmed else tile
            for tile in self.tiles
        )
        return replace(self, tiles=tiles)

    def with_notices(self, *notices: str) -> TileSet:
        """The same tiles with more notices."""
        return replace(self, notices=self.notices + notices)
