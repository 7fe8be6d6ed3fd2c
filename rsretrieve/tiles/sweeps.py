"""Which tiles are read together: windows of one scene that follow and touch one another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rsretrieve.tiles.records import Tile, Window

MAX_WINDOWS = 64
_MAX_AREA_PX = 2 * 1024 * 1024
_MAX_WASTE = 2.0  # the rectangle around windows, in areas of these windows


def in_sweeps(tiles: Iterable[Tile]) -> Iterator[list[Tile]]:
    """Cut tiles into runs, in their order: of windows that lie close together in one file.

    A tile that is a whole file is a run of its own. The rectangle around a run's windows is
    at most twice as large as they are together, and at most two million pixels (24 MB of six
    bands of 16 bits), unless a single window is larger.
    """
    run: list[Tile] = []
    around, area = (0, 0, 0, 0), 0
    for tile in tiles:
        if tile.window is None:
            if run:
                yield run
            run = []
            yield [tile]
            continue
        size = tile.window.width * tile.window.height
        wider = _around(around, tile.window)
        if run and _belong_together(run, tile, wider, area + size):
            run.append(tile)
            around, area = wider, area + size
            continue
        if run:
            yield run
        run, around, area = [tile], _edges(tile.window), size
    if run:
        yield run


def _belong_together(
    run: list[Tile], tile: Tile, around: tuple[int, int, int, int], area: int
) -> bool:
    if len(run) >= MAX_WINDOWS or run[0].path != tile.path:
        return False
    left, top, right, bottom = around
    return (right - left) * (bottom - top) <= min(_MAX_WASTE * area, _MAX_AREA_PX)


def _edges(window: Window) -> tuple[int, int, int, int]:
    return window.col, window.row, window.col + window.width, window.row + window.height


def _around(edges: tuple[int, int, int, int], window: Window) -> tuple[int, int, int, int]:
    left, top, right, bottom = _edges(window)
    return min(edges[0], left), min(edges[1], top), max(edges[2], right), max(edges[3], bottom)
