"""How fast windows of a scene are read: rsretrieve beside a bare rasterio loop, in one run.

    python benchmarks/window_reading.py SCENE --window 64 --stride 32

The bare loop opens the scene once and reads every window, in the same order, and no more:
no masks, no places. Ours is what every command does before preprocessing. Both take turns.
`--laps` of each are read in this process, and the first is not counted: it brings the file into
the system's cache, and starts the process that reads for us. `--starts` of each are whole
programs, from `python` to the last window, with everything that each has to import and start.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

Seconds = tuple[float, float]
"""Wall-clock and processor seconds."""


def read_bare(path: str, window_px: int, stride_px: int) -> int:
    """Read every window, one by one; imports nothing of ours."""
    import rasterio
    from rasterio.windows import Window

    count = 0
    with rasterio.open(path) as dataset:
        for row in range(0, dataset.height - window_px + 1, stride_px):
            for col in range(0, dataset.width - window_px + 1, stride_px):
                dataset.read(window=Window(col, row, window_px, window_px))
                count += 1
    return count


def read_ours(path: str, window_px: int, stride_px: int, workers: int | None = None) -> int:
    """Find and read every window as the commands do: valid pixels and places, too."""
    from rsretrieve.data.discovery.find_tiles import find_tiles
    from rsretrieve.data.failures import Failure
    from rsretrieve.data.reading.read_tiles import read_in_order
    from rsretrieve.data.windowing import SceneChoices, WindowChoices

    tiles = find_tiles(path, scenes=SceneChoices(WindowChoices(window_px, stride_px)))
    for read in read_in_order(tiles, as_it_is, workers):
        if isinstance(read, Failure) and not read.skipped:
            raise SystemExit(f"{read.tile.id}: {read.reason}")
    return len(tiles)


def as_it_is(_: str, raw: object) -> object:
    """What the workers make of a window: nothing else."""
    return raw


def timed_lap(work: Callable[[], object]) -> Seconds:
    """Of one lap in this process, the processes that read for it included."""
    wall, processor = time.perf_counter(), processor_seconds()
    work()
    return time.perf_counter() - wall, processor_seconds() - processor


def timed_program(arguments: list[str]) -> Seconds:
    """Of this script run once, its processes included."""
    wall, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, __file__, *arguments], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - wall, processor


def processor_seconds() -> float:
    """What we have used so far, the processes that read for us included."""
    seconds = time.process_time()
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # ended since
            fields = status.read_text().rpartition(")")[2].split()
            if int(fields[1]) == os.getpid():  # its parent
                for schedule in status.parent.glob("task/*/schedstat"):  # in ns, not in ticks
                    seconds += int(schedule.read_text().split()[0]) / 1e9
    return seconds


def by_turns(contenders: Mapping[str, Callable[[], Seconds]], rounds: int) -> None:
    """Print the medians of each, and the median of the ratios of each round."""
    taken: dict[str, list[Seconds]] = {name: [] for name in contenders}
    for number in range(rounds + 1):
        for name, measured in contenders.items():
            seconds = measured()
            if number:
                taken[name].append(seconds)
    for name, laps in taken.items():
        wall, processor = (statistics.median(column) for column in zip(*laps))
        print(f"  {name:20} {wall:8.3f} s wall {processor:8.3f} s processor")
    bare, ours = taken.values()
    ratios = [[o / b for o, b in zip(*pair)] for pair in zip(ours, bare)]
    wall, processor = (statistics.median(column) for column in zip(*ratios))
    print(f"  ratio {wall:.2f} wall, {processor:.2f} processor (ours / bare, of each round)")


def main() -> None:
    """Measure laps and whole programs in turn."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("scene")
    parser.add_argument("--window", type=int, default=64)
    parser.add_argument("--stride", type=int, default=32)
    parser.add_argument("--laps", type=int, default=15)
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--workers", type=int, help="processes of ours [default: as it chooses]")
    parser.add_argument("--once", choices=("bare", "ours"), help="read once, and measure nothing")
    asked = parser.parse_args()
    cut = asked.scene, asked.window, asked.stride
    works: dict[str, Callable[[], object]] = {
        "bare": lambda: read_bare(*cut),
        "ours": lambda: read_ours(*cut, asked.workers),
    }
    if asked.once:
        if asked.once == "ours":
            from rsretrieve.data.workers.pool import start_for_scenes

            start_for_scenes()  # as the commands do, which have much more to load meanwhile
        works[asked.once]()
        return
    counts = {work() for work in works.values()}
    print(f"{counts} windows of {asked.window} px every {asked.stride} px of {asked.scene}")
    names = {"bare rasterio loop": "bare", "rsretrieve": "ours"}
    print(f"reading, {asked.laps} laps:")
    laps = {name: partial(timed_lap, works[key]) for name, key in names.items()}
    by_turns(laps, asked.laps)
    print(f"whole programs, {asked.starts} of each:")
    given = [asked.scene, "--window", str(asked.window), "--stride", str(asked.stride)]
    starts = {name: partial(timed_program, [*given, "--once", key]) for name, key in names.items()}
    by_turns(starts, asked.starts)


if __name__ == "__main__":
    # The processes that read look for `as_it_is` in a module, and a script is none.
    from window_reading import main as run_as_module

    run_as_module()
