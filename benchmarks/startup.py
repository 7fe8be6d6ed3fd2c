"""How long a command takes that has little to do, beside a bare `import torch`.

    python benchmarks/startup.py INDEX IMAGE [--runs 5]

Each command runs in a process of its own, in turn with the others, after a first run that is not
counted. Given are the least processor seconds of some runs (of a command and of the processes that
it starts), the ratio to `import torch`, and the most memory that one process held.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from dataclasses import dataclass

BARE = "import torch"


@dataclass(frozen=True)
class Run:
    """What a process took.

    Attributes:
        processor_s: of it and of all that it started.
        wall_s: from its start to its end.
        peak_mb: the most that it held, or one that it started.
    """

    processor_s: float
    wall_s: float
    peak_mb: float


def run(command: list[str]) -> Run:
    """Run a command to its end, which must be a good one."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    seconds = time.perf_counter() - started
    return Run(usage.ru_utime + usage.ru_stime, seconds, usage.ru_maxrss / 1024)


def commands(index: str, image: str, tile: str) -> dict[str, list[str]]:
    """What is measured, by name."""
    ours = [sys.executable, "-m", "rsretrieve"]
    return {
        BARE: [sys.executable, "-c", BARE],
        "query IMAGE": [*ours, "query", image, "--index", index, "--json"],
        "query --tile": [*ours, "query", "--tile", tile, "--index", index, "--json"],
        "--help": [*ours, "--help"],
    }


def first_tile(index: str) -> str:
    """The id of a tile of an index."""
    from pathlib import Path

    from rsretrieve.index.store.folder import open_index

    return open_index(Path(index)).rows[0].id


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("index")
    parser.add_argument("image")
    parser.add_argument("--runs", type=int, default=5)
    given = parser.parse_args()
    measured = commands(given.index, given.image, first_tile(given.index))
    for command in measured.values():
        run(command)
    runs: dict[str, list[Run]] = {name: [] for name in measured}
    for _ in range(given.runs):
        for name, command in measured.items():
            runs[name].append(run(command))
    bare = min(one.processor_s for one in runs[BARE])
    print(f"{'':<14}{'processor s':>12}{'ratio':>8}{'wall s':>8}{'peak MB':>9}")
    for name, several in runs.items():
        seconds = min(one.processor_s for one in several)
        wall, peak = min(one.wall_s for one in several), max(one.peak_mb for one in several)
        print(f"{name:<14}{seconds:>12.2f}{seconds / bare:>8.2f}{wall:>8.2f}{peak:>9.0f}")


if __name__ == "__main__":
    main()
