"""Which tiles are read together: consecutive windows of one scene that lie close together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rsretrieve.data.tile import Tile
from rsretrieve.data.window import Window

MAX_WINDOWS = 256
_MAX_AREA_PX = 2 * 1024 * 1024
_MAX_WASTE = 2.0  # area of the rectangle around windows, in areas of these windows


def runs_of(tiles: Iterable[Tile]) -> Iterator[list[Tile]]:
    """Split tiles, in their order, into runs that are read together.

    A run is one file, or consecutive windows of one file. The rectangle around its windows has
    at most twice their total area. Both have at most two million pixels (24 MB for six bands of
    16 bits), unless a single window has more.
    """
    run = _Run(())
    for tile in tiles:
        while run.tiles and not run.takes(tile):
            end = run.end_before(tile)
            yield run.tiles[:end]
            run = _Run(run.tiles[end:])
        run.add(tile)
    if run.tiles:
        yield run.tiles


class _Run:
    """Tiles that are read together, with the rectangle around them and their total area."""

    def __init__(self, tiles: Sequence[Tile]) -> None:
        self.tiles: list[Tile] = []
        self._around, self._area = (0, 0, 0, 0), 0
        for tile in tiles:
            self.add(tile)

    def add(self, tile: Tile) -> None:
        if tile.window is not None:
            self._around = self._wider(tile.window)
            self._area += tile.window.width * tile.window.height
        self.tiles.append(tile)

    def takes(self, tile: Tile) -> bool:
        """Whether a tile may join the run."""
        first = self.tiles[0]
        if tile.window is None or first.window is None or first.path != tile.path:
            return False
        left, top, right, bottom = self._wider(tile.window)
        rectangle = (right - left) * (bottom - top)
        area = self._area + tile.window.width * tile.window.height
        few = len(self.tiles) < MAX_WINDOWS and max(rectangle, area) <= _MAX_AREA_PX
        return few and rectangle <= _MAX_WASTE * area

    def end_before(self, tile: Tile) -> int:
        """How many of the run's tiles to read before a tile that may not join.

        If the tile lies in the middle of a row of windows, that row is left for the next run. A
        run that began in the middle of a row would end with that row: the rectangle around it
        and the next row is mostly waste.
        """
        rows = [t.window.row for t in (*self.tiles, tile) if t.window is not None]
        if len(rows) <= len(self.tiles) or tile.path != self.tiles[-1].path:
            return len(self.tiles)
        end = len(self.tiles)
        while end > len(self.tiles) // 2 and rows[end] == rows[end - 1]:
            end -= 1
        return end if end > len(self.tiles) // 2 else len(self.tiles)

    def _wider(self, window: Window) -> tuple[int, int, int, int]:
        edges = (window.col, window.row, window.col + window.width, window.row + window.height)
        if not self.tiles:
            return edges
        left, top, right, bottom = self._around
        upper_left = min(left, edges[0]), min(top, edges[1])
        return *upper_left, max(right, edges[2]), max(bottom, edges[3])
