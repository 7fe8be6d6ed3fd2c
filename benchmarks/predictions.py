"""How well `train --dry-run` and `explain` predict what train, index and audit-labels really take.

Each case is predicted and then run, in processes of their own, without the cache of decoded tiles.
Seconds are those from the start of a command to its end; memory is that of the largest process.
Ten cases are trainings, ten are indexes and ten are audits. Run it on a quiet machine: a prediction
is made for a machine that stays as busy as it is.

    python benchmarks/predictions.py --data ../shared/data --weights mobilenet_v2.pth
    python benchmarks/predictions.py --data ../shared/data --only index --cases 0,1
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

WITHIN = 0.2
SHARES = (0.2, 0.3, 0.5, 0.7, 1.0)


class Command(StrEnum):
    """What is predicted."""

    TRAIN = "train"
    INDEX = "index"
    AUDIT = "audit-labels"


@dataclass(frozen=True)
class Case:
    """One run.

    Attributes:
        command: what is run.
        share: of the tiles.
        options: of the training; for the other commands, of the model.
    """

    command: Command
    share: float
    options: str


TRAININGS = (
    (0.2, "--size 32 --epochs 8"),
    (0.5, "--size 32 --epochs 6"),
    (1.0, "--size 32 --epochs 3"),
    (0.3, "--size 64 --epochs 4"),
    (0.5, "--size 64 --epochs 3"),
    (0.5, "--size 64 --epochs 4 --loss nsl"),
    (0.5, "--size 64 --epochs 3 --recipe paper --batch-size 64"),
    (0.5, "--size 64 --epochs 30 --freeze-backbone"),
    (1.0, "--size 64 --epochs 20 --freeze-backbone"),
    (1.0, "--size 128 --epochs 40 --freeze-backbone"),
)
OF_MODELS = [(share, f"--size {size} --epochs 0") for size in (64, 128) for share in SHARES]
CASES = {
    Command.TRAIN: [Case(Command.TRAIN, *given) for given in TRAININGS],
    Command.INDEX: [Case(Command.INDEX, *given) for given in OF_MODELS],
    Command.AUDIT: [Case(Command.AUDIT, *given) for given in OF_MODELS],
}


@dataclass(frozen=True)
class Costs:
    """What a run takes, as predicted or as measured.

    Attributes:
        seconds: by the clock.
        processor: seconds of all processors.
        memory: bytes of the largest process at its peak.
        disk: bytes that are written.
    """

    seconds: float
    processor: float
    memory: float
    disk: float

    def ratios(self, real: Costs) -> tuple[float, ...]:
        """Predicted divided by real."""
        return tuple(float(one) / max(other, 1e-9) for one, other in zip(self, real))

    def __iter__(self) -> Iterator[float]:
        return iter((self.seconds, self.processor, self.memory, self.disk))


def ran(arguments: Sequence[object]) -> tuple[dict[str, Any], Costs]:
    """Run the program; its JSON and its costs, but for what it writes."""
    command = [sys.executable, "-m", "rsretrieve", *map(str, arguments), "--json", "--quiet"]
    environment = {**os.environ, "RSRETRIEVE_CACHE_SIZE": "0"}
    started = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        out = process.stdout.read() if process.stdout else ""
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(process.returncode)
    wall, used = time.perf_counter() - started, usage.ru_utime + usage.ru_stime
    return json.loads(out), Costs(wall, used, usage.ru_maxrss * 1024, 0)


@dataclass(frozen=True)
class Trial:
    """The tiles of a case, and where its files are made.

    Attributes:
        case: the case.
        tiles: a list of tiles.
        folder: for what is written.
        network: the options of the network.
    """

    case: Case
    tiles: Path
    folder: Path
    network: tuple[str, ...]

    def measure(self) -> tuple[dict[str, Any], Costs, Costs]:
        """What is predicted: number of tiles and bytes to read; predicted costs and real ones."""
        model, made = self.folder / "model", self.folder / "made"
        options = (*self.network, *self.case.options.split())
        train = ["train", self.tiles, *options, "--output", model]
        if self.case.command is Command.TRAIN:
            said, real = ran([*train, "--dry-run"])[0], ran(train)[1]
            made = model
        else:
            ran(train)
            predicted = ["explain", self.tiles, "--model", model, "--commands", self.case.command]
            said = ran(predicted)[0]["predictions"][0]
            made = made if self.case.command is Command.INDEX else made.with_suffix(".csv")
            real = ran([self.case.command, self.tiles, "--model", model, "--output", made])[1]
        files = made.rglob("*") if made.is_dir() else [made]
        written = sum(path.stat().st_size for path in files if path.is_file())
        names = ("seconds", "processor_seconds", "memory_bytes", "disk_bytes")
        return said, Costs(*(said[name] for name in names)), replace(real, disk=written)


def measured(case: Case, data: Path, network: tuple[str, ...]) -> tuple[str, tuple[float, ...]]:
    """Run a case: its row, and predicted divided by real costs."""
    with tempfile.TemporaryDirectory() as folder:
        rest = max(0.0, (1 - case.share) / 2 - 1e-6) or 1e-6
        fractions = f"{case.share - 2e-6},{rest},{rest}"
        lists = Path(folder, "lists")
        ran(["split", data / "ucmerced", "--output", lists, "--fractions", fractions])
        said, predicted, real = Trial(case, lists / "train.csv", Path(folder), network).measure()
    ratios = predicted.ratios(real)
    cells = [f"{one:.1f} | {r:.1f} | {q:.2f}" for one, r, q in zip(predicted, real, ratios)][:2]
    for one, true, ratio in list(zip(predicted, real, ratios))[2:]:
        cells.append(f"{one / 1e6:,.1f} | {true / 1e6:,.1f} | {ratio:.2f}")
    start = f"| {case.command} | {said['tiles']} | {case.options} | {said['read_bytes'] / 1e6:.0f} "
    return f"{start}| {' | '.join(cells)} |", ratios


def summary(command: Command, found: Sequence[tuple[float, ...]]) -> str:
    """How many predictions of a command are within 20 %."""
    counts = [sum(abs(row[i] - 1) <= WITHIN for row in found) for i in range(4)]
    names = ("seconds", "processor seconds", "memory", "disk")
    texts = [f"{name} {count} of {len(found)}" for name, count in zip(names, counts)]
    return f"{command} within {WITHIN:.0%}: {', '.join(texts)}"


def main(
    data: Annotated[Path, typer.Option(help="The folder that holds ucmerced.")],
    weights: Annotated[str, typer.Option(help="As `train --weights` takes them.")] = "none",
    backbone: Annotated[str, typer.Option()] = "mobilenet_v2",
    only: Annotated[Command | None, typer.Option(help="One command; by default all.")] = None,
    cases: Annotated[str, typer.Option(help="Which cases; by default all ten.")] = "",
) -> None:
    """Print predicted and real costs of each case, and how many are within 20 %."""
    network = ("--backbone", backbone, "--weights", weights)
    heads = ("seconds", "processor s", "memory MB", "disk MB")
    print("| command | tiles | options | to read MB | ", end="")
    print(" | ".join(f"{name} | real | ratio" for name in heads), "|")
    print("|" + "---|" * (4 + 3 * len(heads)), flush=True)
    summaries = []
    for command in [only] if only else list(Command):
        numbers = [int(one) for one in cases.split(",")] if cases else range(len(CASES[command]))
        found = []
        for number in numbers:
            row, ratios = measured(CASES[command][number], data, network)
            found.append(ratios)
            print(row, flush=True)
        summaries.append(summary(command, found))
    print("\n" + "\n".join(summaries))


if __name__ == "__main__":
    typer.run(main)
