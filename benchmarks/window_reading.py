"""How fast windows of a scene are read: rsretrieve beside a bare rasterio loop, in one run.

    python benchmarks/window_reading.py SCENE --window 64 --stride 32

The bare loop opens the scene once and reads every window, in the same order, and no more:
no masks, no places. Ours is what every command does before preprocessing. The first lap of
each is not counted: it brings the file into the system's cache.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import rasterio
from rasterio.windows import Window

from rsretrieve.tiles.catalog import find_tiles
from rsretrieve.tiles.failures import Failed
from rsretrieve.tiles.raw import RawTile
from rsretrieve.tiles.reading import read_in_order
from rsretrieve.tiles.records import TileSet
from rsretrieve.tiles.windows import SceneChoices, WindowChoices


def read_bare(path: str, tiles: TileSet) -> None:
    """Read every window, one by one."""
    with rasterio.open(path) as dataset:
        for tile in tiles:
            window = tile.window
            assert window is not None
            dataset.read(window=Window(window.col, window.row, window.width, window.height))


def as_it_is(_: str, raw: RawTile) -> RawTile:
    """What the workers make of a window: nothing else."""
    return raw


def read_ours(tiles: TileSet, workers: int | None) -> None:
    """Read every window as the commands do: valid pixels and places, too."""
    for read in read_in_order(tiles, as_it_is, workers):
        if isinstance(read, Failed) and not read.skipped:
            raise SystemExit(f"{read.tile.id}: {read.reason}")


def timed(work: Callable[[], None]) -> tuple[float, float]:
    """Wall-clock and processor seconds of one lap."""
    wall, processor = time.perf_counter(), processor_seconds()
    work()
    return time.perf_counter() - wall, processor_seconds() - processor


def processor_seconds() -> float:
    """What we have used so far, the processes that read for us included."""
    seconds = time.process_time()
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # ended since
            fields = status.read_text().rpartition(")")[2].split()
            if int(fields[1]) == os.getpid():  # its parent
                seconds += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return seconds


def main() -> None:
    """Measure laps in turn, and print the medians and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("scene")
    parser.add_argument("--window", type=int, default=64)
    parser.add_argument("--stride", type=int, default=32)
    parser.add_argument("--laps", type=int, default=15)
    parser.add_argument("--workers", type=int, help="processes of ours [default: one a core]")
    asked = parser.parse_args()
    choices = SceneChoices(WindowChoices(asked.window, asked.stride))
    tiles = find_tiles(asked.scene, scenes=choices)
    contenders = {
        "bare rasterio loop": lambda: read_bare(asked.scene, tiles),
        "rsretrieve": lambda: read_ours(tiles, asked.workers),
    }
    laps: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
    for lap in range(asked.laps + 1):
        for name, work in contenders.items():
            seconds = timed(work)
            if lap:
                laps[name].append(seconds)
    print(f"{len(tiles)} windows of {asked.window} px every {asked.stride} px of {asked.scene}")
    medians = {}
    for name, seconds in laps.items():
        medians[name] = [statistics.median(column) for column in zip(*seconds)]
        wall, processor = medians[name]
        print(f"{name:20} {wall:8.3f} s wall {processor:8.3f} s processor")
    bare, ours = medians.values()
    print(f"ratio {ours[0] / bare[0]:.2f} wall, {ours[1] / bare[1]:.2f} processor (ours / bare)")


if __name__ == "__main__":
    # The processes that read look for `as_it_is` in a module, and a script is none.
    from window_reading import main as run_as_module

    run_as_module()
