"""How well `rsretrieve train --dry-run` predicts what a training really takes.

Each case is predicted and then run, in processes of their own. Seconds are those of the training,
without the start of Python. The start's processor seconds, those of `rsretrieve info`, are
subtracted.

    python benchmarks/training_predictions.py --data ../shared/data --weights mobilenet_v2.pth
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

CASES = (  # share of the tiles, and options
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


def ran(arguments: list[str]) -> dict[str, Any]:
    """Run the program; its JSON, and the processor seconds of its processes."""
    command = [sys.executable, "-m", "rsretrieve", *arguments, "--json", "--quiet"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        out = process.stdout.read() if process.stdout else ""
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(process.returncode)
    used = {"used": usage.ru_utime + usage.ru_stime, "peak": usage.ru_maxrss * 1024}
    return {**json.loads(out), **used}


def main(
    data: Annotated[Path, typer.Option(help="The folder that holds ucmerced.")],
    weights: Annotated[str, typer.Option(help="As `train --weights` takes them.")] = "none",
    backbone: Annotated[str, typer.Option()] = "mobilenet_v2",
    cases: Annotated[str, typer.Option(help="Which cases; by default all.")] = "",
) -> None:
    """Print predicted and real costs of each case."""
    chosen = [int(one) for one in cases.split(",")] if cases else range(len(CASES))
    print(
        "| tiles | options | seconds | real | ratio | processor s | real | ratio | memory | real |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|", flush=True)
    for share, options in (CASES[number] for number in chosen):
        with tempfile.TemporaryDirectory() as folder:
            some, model = Path(folder, "lists"), Path(folder, "model")
            rest = max(0.0, (1 - share) / 2 - 1e-6) or 1e-6
            fractions = f"{share - 2e-6},{rest},{rest}"
            split = ["split", str(data / "ucmerced"), "--output", str(some)]
            ran([*split, "--fractions", fractions])
            train = ["train", str(some / "train.csv"), "--backbone", backbone, "--weights", weights]
            train += [*options.split(), "--output", str(model)]
            said, real = ran([*train, "--dry-run"]), ran(train)
            startup = ran(["info", str(model)])["used"]
        predicted, used = said["processor_seconds"], real["used"] - startup
        print(
            f"| {said['tiles']} | {options} | {said['seconds']:.0f} | {real['seconds']:.0f} | "
            f"{said['seconds'] / real['seconds']:.2f} | {predicted:.0f} | {used:.0f} | "
            f"{predicted / used:.2f} | {said['memory_bytes'] / 1e9:.2f} GB | "
            f"{real['peak'] / 1e9:.2f} GB |",
            flush=True,
        )


if __name__ == "__main__":
    typer.run(main)
