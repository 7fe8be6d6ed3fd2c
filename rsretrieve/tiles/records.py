"""What a tile is: the records that every station passes on."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rsretrieve.errors import InvalidArgument
from rsretrieve.tiles.footprints import crosses_antimeridian
from rsretrieve.tiles.sources import is_elsewhere

if TYPE_CHECKING:
    from rsretrieve.tiles.windows import WindowChoices

MIN_SIDE_PX = 8
MAX_PIXELS = 64 * 1024 * 1024
"""A tile of more pixels is refused before it is decoded: 64 Mpx of RGB take 200 MB."""

_WINDOW_SUFFIX = re.compile(r"#(\d+),(\d+),(\d+),(\d+)$")


@dataclass(frozen=True, slots=True)
class Window:
    """A rectangle of a scene, in pixels from its upper left corner.

    Written `#col,row,width,height` at the end of a tile's id. What lies beyond the scene's
    right and lower edge is nodata.

    Attributes:
        col, row, width, height: the rectangle.
        read_px: the side that a larger rectangle is reduced to while it is read, with the
            help of the file's overviews; None: it is read at the scene's own resolution.
    """

    col: int
    row: int
    width: int
    height: int
    read_px: int | None = None

    def __post_init__(self) -> None:
        if self.col < 0 or self.row < 0 or self.width < 1 or self.height < 1:
            raise InvalidArgument(f"not a window of a scene: {self}")
        if self.read_px is not None and self.read_px < 1:
            raise InvalidArgument(f"a window is not read at {self.read_px} px")

    @property
    def shape_px(self) -> tuple[int, int]:
        """Height and width that it is read at."""
        if self.read_px is None:
            return self.height, self.width
        return min(self.height, self.read_px), min(self.width, self.read_px)

    def __reduce__(self) -> tuple[Any, ...]:
        # Between processes; what a frozen record with slots does of itself takes ten times as long.
        return Window, (self.col, self.row, self.width, self.height, self.read_px)

    def __str__(self) -> str:
        return f"#{self.col},{self.row},{self.width},{self.height}"


def split_window(tile_id: str) -> tuple[str, Window | None]:
    """Split a tile's id into the path part and the window, if it names one.

    >>> split_window("scene.tif#64,0,32,32")
    ('scene.tif', Window(col=64, row=0, width=32, height=32))
    >>> split_window("forest/a.jpg")
    ('forest/a.jpg', None)
    """
    found = _WINDOW_SUFFIX.search(tile_id)
    if found is None:
        return tile_id, None
    return tile_id[: found.start()], Window(*map(int, found.groups()))


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
class Failure:
    """A tile that could not be used, and why."""

    tile_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where on Earth a tile lies.

    Attributes:
        crs: the tile's coordinate reference system, "EPSG:32618" or WKT.
        bounds: left, bottom, right, top in the units of `crs`.
        footprint: the tile's corners as (lon, lat) in WGS 84 degrees: upper left, lower
            left, lower right, upper right (counter-clockwise for a north-up tile, and always
            for one wider than half the globe; see `crosses_antimeridian`). Of a tile with a
            pole inside: its outline from −180 to 180, and back along the pole.
    """

    crs: str
    bounds: tuple[float, float, float, float]
    footprint: tuple[tuple[float, float], ...]

    def __reduce__(self) -> tuple[Any, ...]:
        return Place, (self.crs, self.bounds, self.footprint)

    @property
    def centre(self) -> tuple[float, float]:
        """Mean of the corners, (lon, lat) in degrees, also across the antimeridian.

        Of a tile with a pole inside, the pole: it is no farther from the middle than that.
        """
        poles = [lat for _, lat in self.footprint if abs(lat) == 90]
        if len(poles) == 2 and len(self.footprint) > 4:
            return 0.0, poles[0]
        longitudes = [lon for lon, _ in self.footprint]
        if crosses_antimeridian(self.footprint):
            longitudes = [lon + 360 if lon < 0 else lon for lon in longitudes]
        lon = sum(longitudes) / len(longitudes)
        lat = sum(lat for _, lat in self.footprint) / len(self.footprint)
        return (lon - 360 if lon > 180 else lon), lat


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


def absolute(path: str | Path) -> str:
    """The absolute form of a path, links resolved: what two spellings of one file share.

    What is no path on this machine's disk stays as it is.
    """
    # Without a `Path`, which takes as long as all the rest: lists may have a million tiles.
    return str(path) if is_elsewhere(path) else os.path.realpath(path)
