"""How long `train`, `index` and `audit-labels` take alone, and beside a program of two threads.

    python benchmarks/beside.py TILES WORK --weights FILE --epochs 3

Each command runs alone in two ways: as it is, and with a thread for every core, set by
`OMP_NUM_THREADS`. Then it runs beside a program whose two threads multiply
matrices without end. Nothing else should run on the machine; it has two cores in the README's
figures.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

THREADS = 2
LIMIT = 6  # what takes more times as long as alone is not waited for
ALL_CORES = {"OMP_NUM_THREADS": str(os.cpu_count())}
NEIGHBOUR = f"""
import torch
torch.set_num_threads({THREADS})
matrix = torch.randn(1024, 1024)
while True:
    matrix @ matrix
"""


@contextmanager
def neighbour() -> Iterator[None]:
    """A program that computes in two threads meanwhile."""
    with subprocess.Popen([sys.executable, "-c", NEIGHBOUR], env=plain_environment()) as it:
        time.sleep(3)  # it starts
        try:
            yield
        finally:
            it.kill()


def plain_environment() -> dict[str, str]:
    """Ours, without what is set of threads."""
    return {
        k: v
        for k, v in os.environ.items()
        if not k.startswith(("GOMP_", "OMP_", "MKL_", "OPENBLAS_"))
    }


def seconds_of(arguments: list[str], settings: dict[str, str], limit_s: float = 600) -> float:
    """Wall-clock seconds of a command, from its process's start to its end; inf past the limit."""
    environment = {**plain_environment(), "RSRETRIEVE_CACHE_SIZE": "0", **settings}
    program = [sys.executable, "-m", "rsretrieve", *arguments, "--overwrite", "--quiet"]
    started = time.perf_counter()
    try:
        subprocess.run(
            program, env=environment, stdout=subprocess.DEVNULL, check=True, timeout=limit_s
        )
    except subprocess.TimeoutExpired:
        return float("inf")
    return time.perf_counter() - started


def commands(tiles: Path, work: Path, weights: str, size: int, epochs: int) -> list[list[str]]:
    """What is measured; the first makes the model that the others need."""
    model = ["--model", str(work / "model")]
    training = ["--weights", weights, "--backbone", "mobilenet_v2", "--size", str(size)]
    return [
        ["train", str(tiles), "--output", model[1], *training, "--epochs", str(epochs)],
        ["index", str(tiles), *model, "--output", str(work / "index")],
        ["audit-labels", str(tiles), *model, "--output", str(work / "audit.csv")],
    ]


def main(
    tiles: Annotated[Path, typer.Argument(help="A folder of labelled tiles.")],
    work: Annotated[Path, typer.Argument(help="A folder for what the commands write.")],
    weights: Annotated[str, typer.Option(help="A weights file of mobilenet_v2.")] = "none",
    size: Annotated[int, typer.Option(help="Tiles are resized to this square.")] = 64,
    epochs: Annotated[int, typer.Option(help="Of the training.")] = 3,
    rounds: Annotated[int, typer.Option(help="How often each is measured alone.")] = 2,
) -> None:
    """Print seconds and ratios, a line a command."""
    work.mkdir(parents=True, exist_ok=True)
    print("command        alone s  all cores s  rate by that  beside s  times alone")
    measured = commands(tiles, work, weights, size, epochs)
    seconds_of(measured[0], {})  # files that were never read are read more slowly
    for arguments in measured:
        pairs = [
            (seconds_of(arguments, {}), seconds_of(arguments, ALL_CORES)) for _ in range(rounds)
        ]
        alone, all_cores = (statistics.median(column) for column in zip(*pairs))
        with neighbour():
            beside = seconds_of(arguments, {}, LIMIT * alone)
        print(
            f"{arguments[0]:<13}{alone:9.1f}{all_cores:13.1f}{all_cores / alone:14.3f}"
            f"{beside:10.1f}{beside / alone:13.2f}",
            flush=True,
        )


if __name__ == "__main__":
    typer.run(main)
