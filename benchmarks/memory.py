"""How much memory `train`, `index` and `audit-labels` take over many tiles.

    OMP_NUM_THREADS=1 python benchmarks/memory.py WORK --count 100000

Makes small tiles in WORK (once), runs each command on them as a user would, and prints the peak
of its resident memory above that of a process which has loaded the same libraries and does
nothing, and that of its decoding processes. The network is small: what grows with the number of
tiles is ours, not the network's.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from PIL import Image

CLASSES = 20
LIBRARIES = "import torch, torchvision, faiss, rasterio, pyarrow.parquet, PIL.Image, matplotlib"
MEGABYTE = 1e6


def make_tiles(folder: Path, count: int, side_px: int) -> None:
    """Write tiles of noise about a colour of their class, in class sub-folders."""
    chance = np.random.default_rng(0)
    colours = chance.integers(40, 215, (CLASSES, 3))
    for label in range(CLASSES):
        (folder / f"{label:02}").mkdir(parents=True, exist_ok=True)
    for number in range(count):
        label = number % CLASSES
        pixels = colours[label] + chance.integers(-40, 40, (side_px, side_px, 3))
        path = folder / f"{label:02}" / f"{number:07}.png"
        Image.fromarray(pixels.astype(np.uint8)).save(path, compress_level=1)


def peaks(command: list[str]) -> tuple[float, float, float]:
    """Peak resident MB of a program, of the processes that it starts together, and its seconds."""
    started = time.perf_counter()
    highest: dict[int, float] = {}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as program:
        while program.poll() is None:
            for process in (program.pid, *_children(program.pid)):
                with suppress(OSError, IndexError, ValueError):
                    highest[process] = max(highest.get(process, 0.0), _high_water(process))
            time.sleep(0.1)
    if program.returncode:
        raise SystemExit(f"{' '.join(command)} ended with exit code {program.returncode}")
    own = highest.pop(program.pid, 0.0)
    return own, sum(highest.values()), time.perf_counter() - started


def _children(process: int) -> Iterator[int]:
    for listing in Path(f"/proc/{process}/task").glob("*/children"):
        with suppress(OSError):
            yield from map(int, listing.read_text().split())


def _high_water(process: int) -> float:
    """The peak of a process so far, in MB (Linux)."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024 / MEGABYTE


def main(
    work: Annotated[Path, typer.Argument(help="A folder for tiles, model and index.")],
    count: Annotated[int, typer.Option(help="How many tiles.")] = 100_000,
    side: Annotated[int, typer.Option(metavar="PX", help="Of a tile, and of training.")] = 16,
    backbone: Annotated[str, typer.Option()] = "shufflenet_v2_x0_5",
    batch_size: Annotated[int, typer.Option()] = 256,
) -> None:
    """Print a table: peak memory above the libraries' own, a command a row."""
    tiles, model, index = work / f"tiles-{count}", work / "model", work / "index"
    if not tiles.exists():
        make_tiles(tiles, count, side)
    here = [sys.executable, "-m", "rsretrieve"]
    model_options = ["--backbone", backbone, "--weights", "none", "--size", str(side)]
    short = ["--epochs", "1", "--batch-size", str(batch_size), "--overwrite", "--quiet"]
    commands = {
        "train": ["train", str(tiles), "--output", str(model), *model_options, *short],
        "index": ["index", str(tiles), "--model", str(model), "--output", str(index)],
        "audit-labels": ["audit-labels", str(tiles), "--model", str(model)],
    }
    commands["index"] += ["--overwrite", "--quiet"]
    commands["audit-labels"] += ["--output", str(work / "audit.csv"), "--overwrite", "--quiet"]
    os.environ["RSRETRIEVE_CACHE"] = str(work / "cache")
    libraries, _, _ = peaks([sys.executable, "-c", f"{LIBRARIES}; import time; time.sleep(0.5)"])
    print(f"{count} tiles of {side} px, {backbone}; the libraries alone {libraries:.0f} MB\n")
    print("| | peak above the libraries, MB | its decoding processes together, MB | s |")
    print("|---|---|---|---|")
    for name, command in commands.items():
        own, workers, seconds = peaks([*here, *command])
        print(f"| {name} | {own - libraries:.0f} | {workers:.0f} | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    typer.run(main)
