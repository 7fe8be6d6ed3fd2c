"""Which part of its file a tile shows: a window that covers the whole file is the whole file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from rsretrieve.data.discovery.scenes import facts_of_images
from rsretrieve.data.file_state import FileStates
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.data.window import split_window
from rsretrieve.errors import InvalidArgument

ImageKey = tuple[str, str]
"""A file, by its content or path, and an area of it."""

_FROM_THE_CORNER = "#0,0,"


class ImageSizes:
    """The sizes of files, each of whose headers is read once.

    First `covers` notes the files whose size is needed, then `read` reads them all.
    """

    def __init__(self) -> None:
        self._wanted: dict[str, Tile] = {}
        self._known: dict[str, tuple[int, int]] = {}

    def covers(self, window: str, tile: Tile) -> bool:
        """Whether a window covers the whole file of a tile.

        Args:
            window: as in the id of a tile; empty for the whole file.
            tile: names the file.

        Returns:
            False, too, if the size of the file is not known (yet).
        """
        if not may_be_whole(window) or not window:
            return not window
        if tile.path not in self._known:
            self._wanted[tile.path] = tile
            return False
        try:
            area = split_window(window)[1]
        except InvalidArgument:  # a stranger's
            return False
        width, height = self._known[tile.path]
        return area is not None and area.width >= width > 0 and area.height >= height > 0

    def read(self) -> bool:
        """Read the headers of the files that were asked for; whether there were any."""
        wanted, self._wanted = self._wanted, {}
        if not wanted:
            return False
        images = tuple(replace(tile, id=path, window=None) for path, tile in wanted.items())
        facts = facts_of_images(TileSet("the images", images))
        self._known |= dict.fromkeys(wanted, (0, 0))  # of those that cannot be opened
        self._known |= {path: (found.width, found.height) for path, found in facts.items()}
        return True


def may_be_whole(window: str) -> bool:
    """Whether a window, as in the id of a tile, may cover its whole file."""
    return not window or window.startswith(_FROM_THE_CORNER)


def areas_of(keys: Sequence[tuple[str, str]], tile_of: Callable[[str], Tile]) -> list[str]:
    """The area that each of N tiles shows of its file, the same text for the same area.

    The headers of those files are read of which both the whole and a window from its corner are
    among the tiles, or two such windows. Of a file that cannot be opened the windows stay.

    Args:
        keys: N pairs: what identifies the file (a content or a path; empty if unknown), and the
            window as in the id of a tile, empty for the whole file.
        tile_of: a tile of the file that a key names.

    Returns:
        The N windows; empty for the whole file, also for a window that covers it.
    """
    kinds: dict[str, set[str]] = {}
    for file, window in keys:
        if file and may_be_whole(window):
            kinds.setdefault(file, set()).add(window)
    unclear = {file: tile_of(file) for file, windows in kinds.items() if len(windows) > 1}
    sizes = ImageSizes()
    for file, tile in unclear.items():
        for window in kinds[file]:
            sizes.covers(window, tile)
    sizes.read()
    return [
        "" if file in unclear and sizes.covers(window, unclear[file]) else window
        for file, window in keys
    ]


def image_keys(tiles: Iterable[Tile], files: FileStates | None = None) -> list[ImageKey]:
    """What tells the image of a tile from others: its content, or else its path; and its area.

    Keys of one call can be compared: a window that covers its whole file has the key of the file
    if both are among the tiles.
    """
    tiles = list(tiles)
    files = files or FileStates(tiles)
    names = [
        (files.content(tile.path).file if tile.location.local_files else "")
        or tile.location.absolute()
        for tile in tiles
    ]
    return with_areas(names, tiles)


def with_areas(names: Sequence[str], tiles: Sequence[Tile]) -> list[ImageKey]:
    """The names of the files of N tiles, each with the area that the tile shows."""
    keys = [(name, str(tile.window or "")) for name, tile in zip(names, tiles)]
    return [*zip(names, areas_of(keys, dict(zip(names, tiles)).__getitem__))]
