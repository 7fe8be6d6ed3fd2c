"""Retrieval and audit figures of trainings with one and with several processes.

    python benchmarks/several_processes.py --data DATA --work WORK

The first classes and tiles of UC Merced are split, a share of the training labels is corrupted,
and the same training is run with 1, 2 and 4 processes (`torchrun`, on processors) for each seed.
mAP is that of the test tiles among the training tiles with their true labels. A finished run is
kept in WORK and not run again. One line a run, and a table of means in the end.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Annotated, Any

import typer
from grid import options

FIGURES = ("map", "auroc", "average_precision", "seconds")


@dataclass(frozen=True)
class Training:
    """What all runs have in common.

    Attributes:
        work: keeps splits, labels, models and figures.
        arguments: of `train`.
        rate: share of wrong labels.
    """

    work: Path
    arguments: tuple[str, ...]
    rate: float


def rsretrieve(*arguments: object, processes: int = 1) -> Any:
    """Run a command with --json, and return what it prints."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    before = launcher if processes > 1 else []
    command = [sys.executable, *before, "-m", "rsretrieve", *map(str, arguments), "--json"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {ran.returncode}: {ran.stderr}")
    return json.loads(ran.stdout or "null")


def write_subset(data: Path, work: Path, classes: int, tiles: int) -> Path:
    """A list of the first tiles of the first classes, with their true labels."""
    folders = sorted(path for path in (data / "ucmerced").iterdir() if path.is_dir())[:classes]
    path = work / "subset.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("tile", "path", "label"))
        for folder in folders:
            for tile in sorted(folder.iterdir())[:tiles]:
                writer.writerow((f"{folder.name}/{tile.name}", tile.resolve(), folder.name))
    return path


def figures_of(training: Training, lists: Path, seed: int, processes: int) -> dict[str, float]:
    """Train, index, evaluate and audit once; the figures."""
    name = f"seed{seed}-{processes}"
    kept = training.work / f"{name}.json"
    if kept.exists():
        found: dict[str, float] = json.loads(kept.read_text())
        return found
    model, index = training.work / f"model-{name}", training.work / f"index-{name}"
    noisy = training.work / f"noisy-{seed}.csv"
    tiles, test = lists / "train.csv", lists / "test.csv"
    over = ("--overwrite", "--device", "cpu")
    corruption = ("--rate", training.rate, "--seed", seed, "--output", noisy, "--overwrite")
    rsretrieve("corrupt-labels", tiles, *corruption)
    given = ("--labels", noisy, "--output", model, "--seed", seed, *over, *training.arguments)
    trained = rsretrieve("train", tiles, *given, processes=processes)
    rsretrieve("index", tiles, "--model", model, "--output", index, *over)
    retrieved = rsretrieve("evaluate", test, "--index", index, "--device", "cpu")
    truth = ("--truth", tiles, "--device", "cpu")
    audited = rsretrieve("audit-labels", tiles, "--labels", noisy, "--model", model, *truth)
    figures = {
        "map": retrieved["map"],
        **{name: audited["truth"][name] for name in FIGURES[1:3]},
        "seconds": trained["seconds"],
    }
    kept.write_text(json.dumps(figures))
    return figures


def table(rows: dict[int, list[dict[str, float]]]) -> Iterator[str]:
    """Mean and standard deviation over the seeds, for each number of processes."""
    yield "| processes | " + " | ".join(FIGURES) + " |"
    yield "|" + "---|" * (len(FIGURES) + 1)
    for processes, runs in rows.items():
        cells = []
        for name in FIGURES:
            values = [run[name] for run in runs]
            spread = stdev(values) if len(values) > 1 else 0.0
            cells.append(f"{mean(values):.3f} ± {spread:.3f}")
        yield f"| {processes} | " + " | ".join(cells) + " |"


def main(
    data: options.DataFolder = options.DATA,
    work: options.Work = Path("build/several_processes"),
    weights: options.Weights = "none",
    size: options.Size = 64,
    epochs: options.Epochs = 12,
    backbone: Annotated[str, typer.Option()] = "resnet18",
    classes: Annotated[int, typer.Option(min=2)] = 7,
    tiles: Annotated[int, typer.Option(min=10, help="Of each class.")] = 60,
    rate: Annotated[float, typer.Option(min=0, max=1)] = 0.3,
    seeds: Annotated[str, typer.Option()] = "0,1,2",
    processes: Annotated[str, typer.Option()] = "1,2,4",
) -> None:
    """Run what is not finished, and print one table."""
    work.mkdir(parents=True, exist_ok=True)
    lists = work / "lists"
    if not lists.exists():
        rsretrieve("split", write_subset(data, work, classes, tiles), "--output", lists)
    arguments = ("--weights", weights, "--size", size, "--epochs", epochs, "--backbone", backbone)
    training = Training(work, tuple(map(str, arguments)), rate)
    counts: Sequence[int] = tuple(map(int, processes.split(",")))
    rows: dict[int, list[dict[str, float]]] = {count: [] for count in counts}
    for seed in map(int, seeds.split(",")):
        for count in counts:
            rows[count].append(figures_of(training, lists, seed, count))
            print(f"seed {seed}, {count} processes: {rows[count][-1]}", file=sys.stderr)
    for line in table(rows):
        print(line)


if __name__ == "__main__":
    typer.run(main)
